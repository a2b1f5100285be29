//! The writer and the reader against Python's bytes, each other, `rmp-serde`, and invalid input.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::codec::budget::DEPTH_MAX;
use crate::codec::error::WriteError;
use crate::codec::msgpack::encode::{
    push_array, push_bool, push_bytes, push_float, push_nil, push_signed, push_unsigned,
};
use crate::codec::msgpack::*;
use crate::codec::sample::{any_json, same};

mod broken;

fn packed<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, value).unwrap();
    out
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Returns the name, bytes and JSON of values that Python wrote.
fn golden() -> impl Iterator<Item = (&'static str, Vec<u8>, Value)> {
    let lines = include_str!("../../../../tests/golden/msgpack.txt").lines();
    lines.filter(|line| !line.starts_with('#')).map(|line| {
        let mut parts = line.splitn(3, ' ');
        let mut part = || parts.next().unwrap();
        (part(), unhex(part()), serde_json::from_str(part()).unwrap())
    })
}

#[test]
fn what_python_writes_is_read_as_its_json_says() {
    let mut read = 0;
    for (name, bytes, expected) in golden() {
        let value = to_value(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(same(&value, &expected), "{name}: {value} is not {expected}");
        read += 1;
    }
    assert_eq!(read, 26);
}

#[test]
fn values_are_written_as_python_writes_them() {
    let mut written = 0;
    for (name, bytes, value) in golden() {
        // The others are bytes, extension types or keys that JSON has only as text.
        if ["reply", "positive", "negative", "floats", "scalars", "text", "array", "map"]
            .contains(&name)
        {
            assert_eq!(packed(&value), bytes, "{name}");
            written += 1;
        }
    }
    assert_eq!(written, 8);
    for (length, head) in [(1 << 16, "db 00010000"), (65535, "da ffff"), (255, "d9 ff")] {
        assert!(packed(&"a".repeat(length)).starts_with(&unhex(head)));
    }
    assert!(packed(&vec![(); 1 << 16]).starts_with(&unhex("dd 00010000")));
    let map: BTreeMap<u32, u32> = (0..1 << 16).map(|number| (number, 0)).collect();
    assert!(packed(&map).starts_with(&unhex("df 00010000")));
    assert_eq!(from_slice::<BTreeMap<u32, u32>>(&packed(&map)).unwrap(), map);
}

#[test]
fn observed_replies_are_read() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Spoken {
        x: String,
        l: (u8, f64, Option<u8>),
    }
    let python3 = unhex("81a173 82a178a368c3a9 a16c9301cb4004000000000000c0");
    let python2 = unhex("81c40173 82c40178a368c3a9 c4016c9301cb4004000000000000c0");
    for reply in [&python3, &python2] {
        let [(key, value)]: [(&str, &[u8]); 1] = Entries::new(reply)
            .unwrap()
            .collect::<Result<Vec<_>, _>>()
            .unwrap()
            .try_into()
            .unwrap();
        assert_eq!(key, "s");
        let spoken: Spoken = from_slice(value).unwrap();
        assert_eq!(spoken, Spoken { x: "hé".into(), l: (1, 2.5, None) });
        assert_eq!(to_value(value).unwrap(), json!({"x": "hé", "l": [1, 2.5, null]}));
        assert_eq!(packed(&BTreeMap::from([("s", spoken)])), python3);
    }
}

#[test]
fn pushed_values_are_read_as_entries() {
    let mut frame = Vec::new();
    push_map(&mut frame, 5);
    push_str(&mut frame, "method").unwrap();
    push_str(&mut frame, "echo").unwrap();
    push_str(&mut frame, "namespace").unwrap();
    push_nil(&mut frame);
    push_bytes(&mut frame, b"args").unwrap();
    write(&mut frame, &json!({"arg": [1, -1]})).unwrap();
    push_str(&mut frame, "id").unwrap();
    push_bytes(&mut frame, "é".as_bytes()).unwrap();
    push_str(&mut frame, "rest").unwrap();
    push_array(&mut frame, 4);
    push_bool(&mut frame, true);
    push_unsigned(&mut frame, u64::MAX);
    push_signed(&mut frame, i64::MIN);
    push_float(&mut frame, 0.5);

    let entries: HashMap<_, _> = Entries::new(&frame).unwrap().map(Result::unwrap).collect();
    assert_eq!(text(entries["method"]).unwrap(), Some("echo"));
    assert_eq!(text(entries["namespace"]).unwrap(), None);
    assert_eq!(text(entries["id"]).unwrap(), Some("é"));
    assert_eq!(text(entries["args"]), Err(ReadError::NotText));
    assert_eq!(to_value(entries["args"]).unwrap(), json!({"arg": [1, -1]}));
    assert_eq!(from_slice(entries["rest"]), Ok((true, u64::MAX, i64::MIN, 0.5)));
}

#[test]
fn serde_json_numbers_are_numbers_at_any_depth() {
    let text = r#"{"a": [1, {"b": -2.5, "c": 18446744073709551615}], "d": 1e400, "e": -0}"#;
    let value: Value = serde_json::from_str(text).unwrap();
    let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
    let expected = unhex(
        "83 a161 92 01 82 a162 cbc004000000000000 a163 cfffffffffffffffff
         a164 cb7ff0000000000000 a165 00",
    );
    assert_eq!(packed(&value), expected);
    assert_eq!(packed(&raw), expected);
    assert_eq!(packed(&[Some(&raw)])[1..], expected);
    assert_eq!(packed(&json!(7).as_number()), [7]);
}

#[test]
fn integers_beyond_64_bits_are_refused() {
    let mut out = b"before".to_vec();
    let value: Value = serde_json::from_str("[1, {\"a\": 18446744073709551616}]").unwrap();
    assert_eq!(write(&mut out, &value), Err(WriteError::IntegerTooLarge));
    assert_eq!(write(&mut out, &("text", i128::MIN)), Err(WriteError::IntegerTooLarge));
    assert_eq!(write(&mut out, &u128::MAX), Err(WriteError::IntegerTooLarge));
    assert_eq!(out, b"before", "an error leaves nothing behind");
    write(&mut out, &(u128::from(u64::MAX), i128::from(i64::MIN))).unwrap();
    assert_eq!(from_slice(&out[6..]), Ok((u128::from(u64::MAX), i128::from(i64::MIN))));
}

/// A receiver's type may have what JSON lacks.
#[test]
fn bytes_and_nan_reach_types_that_have_them() {
    struct Bytes<'a>(&'a [u8]);
    impl Serialize for Bytes<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }
    let bytes = packed(&Bytes(b"\xff\0"));
    assert_eq!(bytes, unhex("c402ff00"));
    assert_eq!(from_slice::<&[u8]>(&bytes), Ok(&b"\xff\0"[..]));
    assert_eq!(to_value(&bytes), Err(ReadError::NotUtf8));
    assert_eq!(from_slice::<String>(&bytes), Err(ReadError::NotUtf8));
    assert_eq!(from_slice::<&str>(&packed(&Bytes("é".as_bytes()))), Ok("é"));
    from_slice::<Vec<u8>>(&packed(&Bytes(b"ab"))).expect_err("text is no list");

    let floats = packed(&[f64::NAN, f64::INFINITY]);
    assert_eq!(to_value(&floats).unwrap(), json!([null, null]));
    let [nan, infinity]: [f64; 2] = from_slice(&floats).unwrap();
    assert!(nan.is_nan() && infinity == f64::INFINITY);
    assert_eq!(packed(&0.1_f32), packed(&0.1_f64), "its own digits, as in JSON");
    assert_eq!(packed(&f32::NEG_INFINITY), packed(&f64::NEG_INFINITY));
    assert_eq!(from_slice::<f64>(&unhex("ca3fc00000")), Ok(1.5), "single precision is read");
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
enum Shape {
    Unit,
    New(u8),
    Tuple(u8, u8),
    Struct { a: u8 },
}

#[test]
fn enums_take_the_shapes_of_serde_json() {
    let all = [Shape::Unit, Shape::New(1), Shape::Tuple(1, 2), Shape::Struct { a: 3 }];
    let expected = json!(["Unit", {"New": 1}, {"Tuple": [1, 2]}, {"Struct": {"a": 3}}]);
    assert_eq!(packed(&all), packed(&expected));
    assert_eq!(from_slice::<[Shape; 4]>(&packed(&all)).unwrap(), all);
    assert_eq!(from_slice::<Shape>(&unhex("c404556e6974")), Ok(Shape::Unit), "from Python 2");
    assert_eq!(from_slice::<Shape>(&unhex("81c4034e657701")), Ok(Shape::New(1)));
    for refused in [json!({}), json!(1), json!({"New": 1, "Unit": null}), json!({"Tuple": [1]})] {
        from_slice::<Shape>(&packed(&refused)).expect_err("no shape");
    }
}

#[test]
fn map_keys_become_text() {
    assert_eq!(packed(&BTreeMap::from([(1, 2)])), packed(&json!({"1": 2})));
    assert_eq!(packed(&BTreeMap::from([(None::<u8>, 2)])), packed(&json!({"null": 2})));
    assert_eq!(packed(&BTreeMap::from([(true, 2)])), packed(&json!({"true": 2})));
    assert_eq!(packed(&BTreeMap::from([(Shape::Unit, 2)])), packed(&json!({"Unit": 2})));
    let mut out = vec![7];
    assert_eq!(write(&mut out, &BTreeMap::from([(vec![1], 2)])), Err(WriteError::Key));
    assert_eq!(write(&mut out, &BTreeMap::from([(Shape::New(1), 2)])), Err(WriteError::Key));
    assert_eq!(out, [7]);
}

#[test]
fn map_keys_are_read_as_the_type_asked_for() {
    let numbers = BTreeMap::from([(-1_i8, 1), (100, 2)]);
    assert_eq!(from_slice(&packed(&numbers)), Ok(numbers));
    assert_eq!(from_slice(&unhex("82 01 02 ff 03")), Ok(BTreeMap::from([(1, 2), (-1, 3)])));
    assert_eq!(from_slice(&unhex("82 c2 02 c3 03")), Ok(BTreeMap::from([(false, 2), (true, 3)])));
    let shapes = BTreeMap::from([(Some(Shape::Unit), 1)]);
    assert_eq!(from_slice(&packed(&shapes)), Ok(shapes));
    from_slice::<BTreeMap<u8, u8>>(&packed(&json!({"x": 1}))).expect_err("no number");
    assert_eq!(to_value(&unhex("81 9101 02")), Err(ReadError::Key), "an array is no key");
}

#[test]
fn heads_have_the_length_that_was_written() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Flat {
        first: u8,
        #[serde(flatten)]
        rest: BTreeMap<String, Vec<u8>>,
    }
    let rest = (0..20_u8).map(|number| (format!("{number:02}"), vec![number])).collect();
    let flat = Flat { first: 1, rest };
    let bytes = packed(&(&flat, &flat));
    assert!(bytes.starts_with(&unhex("92 de 0015")));
    assert_eq!(from_slice::<[Flat; 2]>(&bytes).unwrap()[1], flat);

    struct Liar;
    impl Serialize for Liar {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeSeq;
            let mut array = serializer.serialize_seq(Some(70_000))?;
            array.serialize_element(&1)?;
            array.end()
        }
    }
    assert_eq!(packed(&(Liar, Liar)), unhex("92 9101 9101"));
}

#[test]
fn a_raw_value_is_read_as_json() {
    let raw: Box<RawValue> = from_slice(&unhex("92 c40161 81a16201")).unwrap();
    assert_eq!(raw.get(), r#"["a",{"b":1}]"#);
}

/// Typed receivers read extension types as text, numbers and lists.
#[test]
fn extension_types_are_read_into_types() {
    let bytes: HashMap<_, _> = golden().map(|(name, bytes, _)| (name, bytes)).collect();
    let uuid: String = from_slice(&bytes["uuid"]).unwrap();
    assert_eq!(uuid, "cfc4ee99-f8b7-4783-8b84-a4b9d74568af");
    assert_eq!(from_slice(&bytes["count_step"]), Ok(-3_i8));
    assert_eq!(from_slice(&bytes["count_large"]), Ok(u64::MAX));
    let addresses: Vec<std::net::IpAddr> = from_slice(&bytes["address"]).unwrap();
    assert_eq!(addresses[0], std::net::Ipv4Addr::new(10, 0, 0, 1));
    assert_eq!(from_slice::<std::collections::HashSet<u8>>(&bytes["set"]).unwrap(), [7].into());
    let nested: Vec<Vec<(u8, char)>> = from_slice(&bytes["set_nested"]).unwrap();
    assert_eq!(nested, [[(1, 'a')]]);
}

#[test]
fn values_nested_too_deep_are_refused() {
    let mut value = json!(1);
    for _ in 0..DEPTH_MAX {
        value = json!([value]);
    }
    let bytes = packed(&value);
    assert_eq!(to_value(&bytes).unwrap(), value, "what we write we can read");
    assert_eq!(write(&mut Vec::new(), &json!({"a": value})), Err(WriteError::TooDeep));
    let deeper = [&[0x91], &bytes[..]].concat();
    assert_eq!(to_value(&deeper), Err(ReadError::TooDeep));
    let raw = RawValue::from_string(value.to_string()).unwrap();
    assert_eq!(write(&mut Vec::new(), &[raw]), Err(WriteError::TooDeep));
}

proptest! {
    #[test]
    fn what_is_written_reads_back(value in any_json(20)) {
        let bytes = packed(&value);
        let back = to_value(&bytes).unwrap();
        prop_assert!(same(&back, &value), "{back}");
        prop_assert_eq!(packed(&back), bytes);
    }

    #[test]
    fn typed_and_raw_values_are_written_alike(value in any_json(20)) {
        let raw = RawValue::from_string(value.to_string()).unwrap();
        prop_assert_eq!(packed(&raw), packed(&value));
        let back: Box<RawValue> = from_slice(&packed(&raw)).unwrap();
        let back: Value = serde_json::from_str(back.get()).unwrap();
        prop_assert!(same(&back, &value), "{back}");
    }

    #[test]
    fn entries_cover_the_body(
        map in prop::collection::btree_map(any::<String>(), any_json(20), 0..20),
    ) {
        let bytes = packed(&map);
        let entries: Vec<_> = Entries::new(&bytes).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(entries.len(), map.len());
        for ((key, value), (expected, inner)) in entries.into_iter().zip(&map) {
            prop_assert_eq!(key, expected);
            prop_assert_eq!(value, packed(inner));
        }
    }
}

/// `rmp-serde`, which most Rust programs use.
mod oracle {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Kind {
        Bare,
        Tuple(u8, String),
        Named { left: i64 },
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Sample {
        text: String,
        numbers: Vec<i64>,
        large: u64,
        real: f64,
        maybe: Option<bool>,
        kinds: Vec<Kind>,
        members: BTreeMap<String, (u16, ())>,
    }

    prop_compose! {
        fn sample()(
            text in ".{0,40}", numbers: Vec<i64>, large: u64, real in -1e300..1e300_f64,
            maybe: Option<bool>, left: i64, byte: u8,
            members in proptest::collection::btree_map(".{0,8}", any::<u16>(), 0..20),
        ) -> Sample {
            let kinds = vec![Kind::Bare, Kind::Tuple(byte, text.clone()), Kind::Named { left }];
            let members = members.into_iter().map(|(key, value)| (key, (value, ()))).collect();
            Sample { text, numbers, large, real, maybe, kinds, members }
        }
    }

    proptest! {
        #[test]
        fn rmp_serde_writes_the_same_and_reads_it(sample in sample()) {
            let theirs = rmp_serde::to_vec_named(&sample).unwrap();
            let ours = packed(&sample);
            prop_assert_eq!(&ours, &theirs);
            prop_assert_eq!(&rmp_serde::from_slice::<Sample>(&ours).unwrap(), &sample);
            prop_assert_eq!(&from_slice::<Sample>(&theirs).unwrap(), &sample);
        }
    }
}
