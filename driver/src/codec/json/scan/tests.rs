//! The scan accepts what the parser accepts, and counts what its values cost.

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use crate::codec::budget::{NODE, VALUE, VALUES_MAX};
use crate::codec::json::scan::*;
use crate::codec::json::{Members, from_slice};

/// Scans a text that is one value. Returns what was counted.
fn scanned(text: &str) -> Result<Budget, ReadError> {
    let mut scan = Scan::new(text);
    let value = scan.check_value()?;
    scan.finish()?;
    assert_eq!(&text[value], text.trim_matches([' ', '\n', '\t', '\r']));
    Ok(scan.budget)
}

fn refused(text: &str) -> Option<OverBudget> {
    match scanned(text) {
        Ok(_) => None,
        Err(ReadError::OverBudget(error)) => Some(error),
        Err(other) => panic!("{other}: {}", &text[..text.len().min(200)]),
    }
}

fn repeated(one: &str, count: usize) -> String {
    format!("[{}{one}]", format!("{one},").repeat(count - 1))
}

/// Deepest level of values within a message.
const DEEP: usize = LEVELS_MAX - 1;

#[test]
fn levels_are_limited_as_in_the_writer() {
    let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let full = |levels| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(refused(&full(DEEP)), None);
    from_slice::<Value>(full(DEEP).as_bytes()).expect("it can be decoded");
    assert_eq!(refused(&full(DEEP + 1)), Some(OverBudget::Levels));
    assert_eq!(refused(&nested(DEEP)), None);
    assert_eq!(refused(&nested(DEEP + 1)), Some(OverBudget::Levels));
    assert_eq!(refused(&nested(100_000)), Some(OverBudget::Levels));
    assert_eq!(refused(&"[".repeat(100_000)), Some(OverBudget::Levels));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(DEEP + 1), "}".repeat(DEEP + 1));
    assert_eq!(refused(&objects), Some(OverBudget::Levels));
    let text = json!({"text": "[".repeat(100_000), "more": "\"[\\".repeat(500)}).to_string();
    assert_eq!(refused(&text), None, "brackets in text are text");
    assert_eq!(refused(&repeated(&nested(100), 200)), None, "side by side they nest nothing");
}

#[test]
fn values_and_their_memory_are_limited() {
    assert_eq!(refused(&repeated("0", VALUES_MAX - 2)), None);
    assert_eq!(refused(&repeated("0", VALUES_MAX - 1)), Some(OverBudget::Values));
    assert_eq!(refused(&repeated(r#"{"":0}"#, 20_000)), None, "small messages may");
    assert_eq!(refused(&repeated(r#"{"":0}"#, 30_000)), Some(OverBudget::Memory));
    assert_eq!(refused(&repeated("[[[0]]]", 100_000)), Some(OverBudget::Memory));
    let usual = r#"{"id": 1, "name": "instance-00000001", "host": "compute.host1"}"#;
    assert_eq!(refused(&repeated(usual, 100_000)), None);
    assert_eq!(refused(&format!("[\"{}\"]", ",".repeat(3 * VALUES_MAX))), None);
}

#[test]
fn reserved_keys_are_found_in_any_spelling() {
    let token = format!("{RESERVED_PREFIX}RawValue");
    let escaped: String = token.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    for key in [token.as_str(), &escaped] {
        let text = format!(r#"{{"a": 1, "b": [{{"c": 1, "{key}": "[1]"}}]}}"#);
        assert_eq!(refused(&text), Some(OverBudget::ReservedKey), "{key}");
        let value = format!(r#"{{"a": ["{key}"], "b": "{key}"}}"#);
        assert_eq!(refused(&value), None, "{key}");
    }
    assert_eq!(refused(r#"{"$ref": 1, "\n": 2, "\u0024": 3, "$": 4}"#), None);
}

#[test]
fn a_value_and_a_node_have_the_sizes_of_serde_json() {
    // These are the sizes of the implementation: a change there must be noticed.
    assert_eq!((VALUE, NODE), (32, 632));
}

#[test]
fn members_are_returned_as_they_were_sent() {
    let members = |text: &str| {
        Members::new(text.as_bytes())?
            .map(|member| member.map(|(key, value)| (key.into_owned(), value.to_owned())))
            .collect::<Result<Vec<_>, _>>()
    };
    let found = members("\n { \"a\" : [1, {}] ,\"\\u0062\":-1.5e3,\"a\": \"x\\\"\" } ").unwrap();
    let wanted = [("a", "[1, {}]"), ("b", "-1.5e3"), ("a", "\"x\\\"\"")];
    assert_eq!(found, wanted.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_eq!(members(" {} "), Ok(vec![]));
    for wrong in [
        "",
        "[]",
        "{",
        "{}}",
        "{\"a\"}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":1 \"b\":2}",
        "{a:1}",
        "{\"a\":1]",
        "{\"a\":}",
        "{\"a\":[1}",
        "{\"a\":{1:2}}",
        "{\"a\":{\"b\" 2}}",
        "{\"a\":[1,]}",
    ] {
        let error = members(wrong).unwrap_err();
        assert!(matches!(error, ReadError::Expected { .. }), "{wrong}: {error}");
    }
    assert_eq!(Members::new(b"{\"\xff\": 1}").err(), Some(ReadError::NotUtf8));
    // A member is counted together with those before it.
    let many = repeated("0", VALUES_MAX / 2);
    let text = format!("{{\"a\": {many}, \"b\": 5, \"c\": {many}}}");
    let mut all = Members::new(text.as_bytes()).unwrap();
    assert_eq!([all.next(), all.next()].map(|one| one.unwrap().unwrap().1.len()), [many.len(), 1]);
    assert_eq!(all.next(), Some(Err(OverBudget::Values.into())));
    assert_eq!(all.next(), None);
}

#[test]
fn unchecked_values_are_skipped() {
    let deep = format!("{}{}", "[{\"]\": ".repeat(100_000), "}]".repeat(100_000));
    let text = format!("{{\"a\": {deep}, \"b\": tru ,\"c\": \"x\"}}");
    let found: Vec<_> =
        Members::unchecked(text.as_bytes()).unwrap().map(|member| member.unwrap().1).collect();
    assert_eq!(found, [&deep, "tru", "\"x\""]);
    for wrong in ["{\"a\": [1, 2", "{\"a\": [\"", "{\"a\": ]", "{\"a\": 1}}", "{\"a\": {}"] {
        let last = Members::unchecked(wrong.as_bytes()).unwrap().last();
        assert!(matches!(last, Some(Err(_))), "{wrong}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let text = r#"[a-c{}\[\]",\\ \n$é]{0,6}"#;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(text, inner, 0..15)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Counts a value by recursion.
fn cost(value: &Value, budget: &mut Budget) {
    match value {
        Value::Array(all) => {
            all.iter().for_each(|one| cost(one, budget));
            budget.array(all.len());
        }
        Value::Object(all) => {
            all.values().for_each(|one| cost(one, budget));
            budget.object(all.len());
        }
        _ => {}
    }
}

/// Generates text that is almost JSON.
fn near_json() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"a\":",
        "0",
        "-",
        "1",
        "1.5",
        "e",
        "E+1",
        ".",
        "true",
        "null",
        "nul",
        "NaN",
        "Infinity",
        "-Infinity",
        " ",
        "\n",
        "\\",
        "\\u00e9",
        "\\ud800",
        "\"\\",
        "\u{1}",
        "é",
        "\"\\n\"",
        "\"\\x\"",
        "[]",
        "{}",
        "01",
        "-0",
        "1e999",
        "/",
    ]);
    let pieces = |count| prop::collection::vec(piece.clone(), count).prop_map(|all| all.concat());
    prop_oneof![
        pieces(0..5),
        pieces(0..5).prop_map(|inner| format!("[{inner}]")),
        pieces(0..5).prop_map(|inner| format!("{{\"a\":{inner}}}")),
        pieces(0..5).prop_map(|inner| format!("\"{inner}\"")),
    ]
}

proptest! {
    #[test]
    fn values_are_counted_as_the_parser_decodes_them(value in any_value(), pretty: bool) {
        let text = match pretty {
            true => serde_json::to_string_pretty(&value).unwrap(),
            false => value.to_string(),
        };
        let mut wanted = Budget { values: 2, memory: text.len() };
        cost(&value, &mut wanted);
        let found = scanned(&text).unwrap();
        prop_assert_eq!((found.values, found.memory), (wanted.values, wanted.memory));
    }

    #[test]
    fn text_is_accepted_if_it_can_be_decoded(text in near_json()) {
        let passes = scanned(&text).is_ok();
        prop_assert_eq!(passes, from_slice::<Value>(text.as_bytes()).is_ok(), "{}", text);
        prop_assert_eq!(passes, from_slice::<IgnoredAny>(text.as_bytes()).is_ok(), "{}", text);
    }

    #[test]
    fn members_are_those_of_the_parser(text in near_json(), value in any_value()) {
        for text in [text, json!({"x": value, "y": 1}).to_string()] {
            let found: Result<Map<_, _>, _> = Members::new(text.as_bytes()).and_then(|mut all| {
                all.try_fold(Map::new(), |mut map, member| {
                    let (key, value) = member?;
                    map.insert(key.into_owned(), from_slice(value.as_bytes())?);
                    Ok(map)
                })
            });
            let wanted = from_slice::<Map<String, Value>>(text.as_bytes());
            prop_assert_eq!(found.ok(), wanted.ok());
        }
    }

    #[test]
    fn garbage_is_an_error_not_a_panic(text in prop::collection::vec(any::<u8>(), 0..80)) {
        for members in [Members::new(&text), Members::unchecked(&text)].into_iter().flatten() {
            let _ = members.last();
        }
    }
}
