//! Values of JSON and of msgpack, read and written, and compared with other parsers.

use std::collections::BTreeMap;
use std::io::Cursor;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::codec::json::Members;
use crate::codec::{json, msgpack};

/// Brackets from which on a text may be nested deeper than a parser reads.
const DEEP: usize = 100;

/// Reads JSON text as a value and as members of an object; compares both with `serde_json`.
pub fn json_text(data: &[u8]) {
    let (ours, strict) = (json::from_slice::<Value>(data), serde_json::from_slice::<Value>(data));
    match (&ours, &strict) {
        (Ok(ours), Ok(strict)) => assert_eq!(ours, strict),
        (Ok(_), Err(_)) => {
            let only_python = [&b"NaN"[..], b"Infinity", b"\\ud", b"\\uD"];
            let has = |part: &&[u8]| data.windows(part.len()).any(|found| found == *part);
            assert!(only_python.iter().any(has), "more is accepted than by Python");
        }
        (Err(error), Ok(_)) => panic!("valid JSON is refused: {error}"),
        (Err(_), Err(_)) => {}
    }
    check_members(data);
    check_members(&[b"{\"a\":", data, b"}"].concat());
    if let Ok(value) = ours {
        let mut plain = Vec::new();
        json::write::<0, _>(&mut plain, &value).expect("what is read can be written");
        assert!(plain.is_ascii());
        let again = json::from_slice::<Value>(&plain).expect("what is written can be read");
        assert!(same(&again, &value), "{again} is not {value}");
        let (mut nested, mut unescaped) = (Vec::new(), Vec::new());
        json::write::<1, _>(&mut nested, &value).expect("what is read can be written");
        assert!(json::unescape_into(&nested, &mut unescaped) && unescaped == plain);
    }
    check_string(data);
}

/// Compares the members of an object with those of a parser.
fn check_members(text: &[u8]) {
    let decoded = |value: &str| json::from_slice::<Value>(value.as_bytes());
    let found: Result<Map<_, _>, _> = Members::new(text).and_then(|mut members| {
        members.try_fold(Map::new(), |mut map, member| {
            let (key, value) = member?;
            map.insert(key.into_owned(), decoded(value).expect("a checked value can be decoded"));
            Ok(map)
        })
    });
    let wanted = json::from_slice::<Map<String, Value>>(text);
    match (found, wanted) {
        (Ok(found), Ok(wanted)) => assert_eq!(found, wanted),
        (Ok(_), Err(error)) => assert!(is_deep(text), "{error}"),
        (Err(json::ReadError::OverBudget(_)), _) | (Err(_), Err(_)) => {}
        (Err(error), Ok(_)) => panic!("an object is refused: {error}"),
    }
    for member in Members::unchecked(text).into_iter().flatten() {
        let Ok((_, value)) = member else { break };
        assert_eq!(value.trim_matches([' ', '\n', '\t', '\r']), value);
    }
}

/// Whether a text may be nested too deep for a parser.
pub(super) fn is_deep(text: &[u8]) -> bool {
    text.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() > DEEP
}

/// Reads the input as the content of a JSON string.
fn check_string(content: &[u8]) {
    let Ok(text) = std::str::from_utf8(content) else { return };
    let raw = format!("\"{text}\"");
    let Ok(strict) = serde_json::from_str::<String>(&raw) else { return };
    assert_eq!(json::parse_string(&raw).expect("a JSON string"), strict);
    let mut unescaped = Vec::new();
    if json::unescape_into(content, &mut unescaped) {
        assert_eq!(unescaped, strict.as_bytes());
    }
}

/// Whether two values are equal, with floats as `f64`: arbitrary precision keeps their text.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) if one != other => {
            one.as_f64().map(f64::to_bits) == other.as_f64().map(f64::to_bits)
        }
        // A number beyond the range of floats is written as infinity, which is read as null.
        (Value::Null, Value::Number(other)) => !other.as_f64().is_some_and(f64::is_finite),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let mut pairs = one.iter().zip(other);
            one.len() == other.len()
                && pairs.all(|((k, one), (l, other))| k == l && same(one, other))
        }
        _ => one == other,
    }
}

/// Reads a value of msgpack, and compares with `rmp-serde`.
pub fn msgpack(data: &[u8]) {
    let ours = msgpack::to_value(data);
    assert_eq!(msgpack::check_value(data).is_ok(), ours.is_ok());
    let mut deserializer = rmp_serde::Deserializer::new(Cursor::new(data));
    deserializer.set_max_depth(200);
    let theirs = Value::deserialize(&mut deserializer);
    let is_whole = deserializer.get_ref().position() == data.len() as u64;
    if let Ok(theirs) = theirs
        && is_whole
    {
        match &ours {
            Ok(ours) => assert_eq!(*ours, theirs),
            Err(error) => assert_eq!(*error, msgpack::ReadError::TooDeep),
        }
    }
    let _ = msgpack::from_slice::<Vec<Vec<u64>>>(data);
    let _ = msgpack::from_slice::<BTreeMap<i8, Option<(bool, f32)>>>(data);
    let _ = msgpack::from_slice::<Box<RawValue>>(data);
    let Ok(value) = ours else { return };
    let mut written = Vec::new();
    msgpack::write(&mut written, &value).expect("what is read can be written");
    assert!(msgpack::to_value(&written).is_ok_and(|again| same(&again, &value)));
    let entries: Result<Vec<_>, _> =
        msgpack::Entries::new(data).and_then(|entries| entries.collect());
    if let (Ok(entries), Some(map)) = (entries, value.as_object()) {
        let read = |(key, value): (&str, &[u8])| {
            (key.to_owned(), msgpack::to_value(value).expect("read as part of the whole"))
        };
        assert_eq!(entries.into_iter().map(read).collect::<Map<_, _>>(), *map);
    }
}
