//! The writer against Python's output and against `serde_json`; the reader against what only Python
//! accepts.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::codec::budget::DEPTH_MAX;
use crate::codec::error::WriteError;
use crate::codec::json::*;
use crate::codec::sample::{any_json, same};

fn plain<T: serde::Serialize + ?Sized>(value: &T) -> String {
    let mut out = Vec::new();
    write::<0, T>(&mut out, value).unwrap();
    String::from_utf8(out).unwrap()
}

fn nested<const LEVEL: usize, T: serde::Serialize + ?Sized>(value: &T) -> String {
    let mut out = Vec::new();
    write::<LEVEL, T>(&mut out, value).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn separators_have_a_space() {
    assert_eq!(
        plain(&json!({"a": [1, null, true], "b": {}})),
        r#"{"a": [1, null, true], "b": {}}"#
    );
    assert_eq!(plain(&json!([])), "[]");
}

#[test]
fn text_is_escaped_as_python_does() {
    let text = "a\"b\\c\n\r\t\u{8}\u{c}\0\u{1f}\u{7f}é\u{2028}😀/";
    let python = r#""a\"b\\c\n\r\t\b\f\u0000\u001f\u007f\u00e9\u2028\ud83d\ude00/""#;
    assert_eq!(plain(text), python);
}

#[test]
fn floats_are_printed_as_python_repr() {
    for line in include_str!("../../../tests/golden/floats.txt").lines() {
        let (bits, repr) = line.split_once(' ').unwrap();
        let value = f64::from_bits(u64::from_str_radix(bits, 16).unwrap());
        assert_eq!(plain(&value), repr, "bits {bits}");
    }
}

#[test]
fn single_precision_keeps_its_own_digits() {
    assert_eq!(plain(&[0.1f32, -1.5, 3.0, 1e-7, f32::NAN]), "[0.1, -1.5, 3.0, 1e-07, NaN]");
}

#[test]
fn map_keys_become_text() {
    assert_eq!(plain(&BTreeMap::from([(1, 2)])), r#"{"1": 2}"#);
    assert_eq!(plain(&BTreeMap::from([(None::<u8>, 2)])), r#"{"null": 2}"#);
    assert_eq!(plain(&BTreeMap::from([(true, 2)])), r#"{"true": 2}"#);
    let mut out = Vec::new();
    assert_eq!(
        write::<0, _>(&mut out, &BTreeMap::from([(vec![1], 2)])),
        Err(WriteError::Key),
        "an array is no key"
    );
}

#[test]
fn integers_of_any_size_survive() {
    let text = "[123456789012345678901234567890, -9223372036854775808, 18446744073709551615]";
    let value: Value = from_slice(text.as_bytes()).unwrap();
    assert_eq!(plain(&value), text);
    assert_eq!(plain(&i128::MIN), i128::MIN.to_string());
}

#[test]
fn enums_take_the_shapes_of_serde_json() {
    #[derive(serde::Serialize)]
    enum Shape {
        Unit,
        New(u8),
        Tuple(u8, u8),
        Struct { a: u8 },
    }
    let all = [Shape::Unit, Shape::New(1), Shape::Tuple(1, 2), Shape::Struct { a: 3 }];
    assert_eq!(plain(&all), r#"["Unit", {"New": 1}, {"Tuple": [1, 2]}, {"Struct": {"a": 3}}]"#);
}

#[test]
fn a_raw_value_keeps_its_text() {
    let raw: Box<serde_json::value::RawValue> =
        serde_json::from_str("{\"k\":\n [1,  \"\\n\\\"é\"]}").unwrap();
    assert_eq!(plain(&raw), "{\"k\":  [1,  \"\\n\\\"\\u00e9\"]}");
    let once: String = serde_json::from_str(&format!("\"{}\"", nested::<1, _>(&raw))).unwrap();
    assert_eq!(once, plain(&raw));
}

#[test]
fn values_nested_too_deep_are_refused() {
    let mut value = json!(1);
    for _ in 0..DEPTH_MAX {
        value = json!([value]);
    }
    let text = plain(&value);
    from_slice::<Value>(text.as_bytes()).expect("what we write we can read");
    assert_eq!(write::<0, _>(&mut Vec::new(), &json!([value])), Err(WriteError::TooDeep));
    from_slice::<Value>(format!("[{text}]").as_bytes()).expect_err("one deeper is refused");
}

#[test]
fn what_only_python_accepts_is_read() {
    let text =
        br#"{"a": NaN, "b": [-Infinity, Infinity], "c": "x\ud800y", "d": "\ud83d\ude00\udc00"}"#;
    let expected = json!({"a": null, "b": [null, null], "c": "x\u{fffd}y", "d": "😀\u{fffd}"});
    assert_eq!(from_slice::<Value>(text).unwrap(), expected);
    let text = br#"["NaN", "a\\ud800\"Infinity", NaN]"#;
    assert_eq!(
        from_slice::<Value>(text).unwrap(),
        json!(["NaN", "a\\ud800\"Infinity", null]),
        "text stays text"
    );
}

#[test]
fn broken_text_is_an_error() {
    for text in ["", "{", "nan", "[NaN", r#""\ud800"#, r#"["a", "\"#, "\"\u{1}\""] {
        from_slice::<Value>(text.as_bytes()).expect_err(text);
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(value in any_json(8)) {
        let text = plain(&value);
        prop_assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        let back: Value = serde_json::from_str(&text).unwrap();
        prop_assert!(same(&back, &value), "{text}");
    }

    #[test]
    fn nested_text_is_the_plain_text_as_a_string(value in any_json(8)) {
        let once = serde_json::to_string(&plain(&value)).unwrap();
        prop_assert_eq!(format!("\"{}\"", nested::<1, _>(&value)), once);
        let twice = serde_json::to_string(&serde_json::to_string(&plain(&value)).unwrap()).unwrap();
        let inner = nested::<2, _>(&value);
        prop_assert_eq!(format!("\"\\\"{inner}\\\"\""), twice);
    }

    #[test]
    fn unescaping_undoes_nesting(value in any_json(8)) {
        let mut out = Vec::new();
        prop_assert!(unescape_into(nested::<1, _>(&value).as_bytes(), &mut out));
        prop_assert_eq!(String::from_utf8(out).unwrap(), plain(&value));
    }

    #[test]
    fn reading_garbage_never_panics(text in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = from_slice::<Value>(&text);
        let _ = unescape_into(&text, &mut Vec::new());
    }
}

/// A parser with an approximate fast path misses some of these by one unit in the last place.
#[test]
fn floats_are_read_to_the_last_bit() {
    for text in ["1795386747.2906981", "1763905896.9123458", "0.30000000000000004", "5e-324"] {
        let read: f64 = from_slice(text.as_bytes()).unwrap();
        assert_eq!(read.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
    }
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..10_000 {
        let value = 1.7e9 + random.f64() * 1e8;
        let mut text = Vec::new();
        write::<0, _>(&mut text, &value).unwrap();
        assert_eq!(from_slice::<f64>(&text).unwrap().to_bits(), value.to_bits(), "{value}");
    }
}
