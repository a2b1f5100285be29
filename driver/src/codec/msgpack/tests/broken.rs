//! Invalid input: truncated, too long, too deep, or random bytes.

use serde::de::IgnoredAny;

use crate::codec::budget::OverBudget;
use crate::codec::msgpack::tests::*;
use crate::codec::reserved_keys::RESERVED_PREFIX;

/// Reads `bytes` in every way.
fn read_all(bytes: &[u8]) {
    let _ = to_value(bytes);
    let _ = text(bytes);
    let _ = from_slice::<IgnoredAny>(bytes);
    let _ = from_slice::<Vec<Vec<u64>>>(bytes);
    let _ = from_slice::<BTreeMap<u8, Option<Shape>>>(bytes);
    let _ = from_slice::<Box<RawValue>>(bytes);
    for entry in Entries::new(bytes).into_iter().flatten() {
        let Ok((_, value)) = entry else { break };
        let _ = to_value(value);
    }
}

fn entries(body: &[u8]) -> Result<Vec<(&str, &[u8])>, ReadError> {
    Entries::new(body)?.collect()
}

#[test]
fn input_cut_short_is_an_error_everywhere() {
    for (name, bytes, _) in golden() {
        for end in 0..bytes.len() {
            assert_eq!(to_value(&bytes[..end]), Err(ReadError::Truncated), "{name} to {end}");
            assert_eq!(
                from_slice::<IgnoredAny>(&bytes[..end]).unwrap_err(),
                ReadError::Truncated,
                "{name} to {end}"
            );
        }
        if name.starts_with("call") || name.starts_with("reply") {
            for end in 0..bytes.len() {
                assert_eq!(entries(&bytes[..end]), Err(ReadError::Truncated));
            }
        }
    }
}

#[test]
fn a_body_must_be_a_map_with_text_as_keys() {
    assert_eq!(entries(&unhex("80")), Ok(vec![]));
    assert_eq!(entries(b""), Err(ReadError::Truncated));
    assert_eq!(entries(&unhex("9101")), Err(ReadError::NotMap));
    assert_eq!(entries(b"{\"s\": 1}"), Err(ReadError::NotMap));
    assert_eq!(entries(&unhex("81 01 02")), Err(ReadError::Key));
    assert_eq!(entries(&unhex("81 a1ff 02")), Err(ReadError::NotUtf8));
    assert_eq!(entries(&unhex("81 c401ff 02")), Err(ReadError::NotUtf8));
    assert_eq!(entries(&unhex("81 a161 02 03")), Err(ReadError::Trailing));
    assert_eq!(entries(&unhex("81 a161 c1")), Err(ReadError::Reserved));
    let mut entries = Entries::new(&[0x82, 0x01, 0x02, 0xa0, 0x02]).unwrap();
    assert_eq!(entries.next(), Some(Err(ReadError::Key)));
    assert_eq!(entries.next(), None, "it ends after an error");
}

#[test]
fn invalid_values_are_errors() {
    assert_eq!(to_value(&unhex("0101")), Err(ReadError::Trailing));
    assert_eq!(text(&unhex("a16101")), Err(ReadError::Trailing));
    assert_eq!(text(&unhex("a1ff")), Err(ReadError::NotUtf8));
    assert_eq!(to_value(&unhex("91c1")), Err(ReadError::Reserved));
    assert_eq!(to_value(&unhex("a1ff")), Err(ReadError::NotUtf8), "text must be UTF-8");
    from_slice::<(u8, u8)>(&unhex("93010203")).expect_err("more elements than asked for");
    from_slice::<u8>(&unhex("cd0100")).expect_err("too large for its type");
}

/// A length is checked before anything is allocated for it.
#[test]
fn lengths_beyond_the_input_are_refused() {
    for head in ["db", "c6", "dd", "df", "c9"] {
        let bytes = unhex(&format!("{head} ffffffff 00 00"));
        assert_eq!(to_value(&bytes), Err(ReadError::Truncated), "{head}");
        assert_eq!(from_slice::<Vec<u64>>(&bytes), Err(ReadError::Truncated), "{head}");
        let body = [&unhex("81 a161")[..], &bytes].concat();
        assert_eq!(entries(&body), Err(ReadError::Truncated), "{head}");
    }
}

/// A megabyte of arrays within arrays, of maps, of sets, and of counters within counters.
#[test]
fn deep_nesting_is_refused_everywhere() {
    let arrays = [vec![0x91; 1 << 20], vec![0x01]].concat();
    let maps = [[0x81, 0xa0].repeat(1 << 19), vec![0x01]].concat();
    for bomb in [&arrays, &maps] {
        assert_eq!(to_value(bomb), Err(ReadError::TooDeep));
        from_slice::<IgnoredAny>(bomb).expect("skipping does not recurse");
        let body = [&unhex("81 a161")[..], bomb].concat();
        assert_eq!(entries(&body), Err(OverBudget::Levels.into()));
    }
    for (kind, before) in [(2, 0x92), (1, 0x81), (7, 0x81), (4, 0x91), (0, 0x91), (6, 0x81)] {
        let mut bomb = vec![0x01];
        while bomb.len() < 1 << 16 {
            let mut outer = vec![0xc9];
            let name: &[u8] = if before == 0x81 { b"\xa3day" } else { b"" };
            let tail: &[u8] = if before == 0x92 { &[0x01] } else { b"" };
            let length = u32::try_from(1 + name.len() + bomb.len() + tail.len()).unwrap();
            outer.extend_from_slice(&length.to_be_bytes());
            outer.extend_from_slice(&[kind, before]);
            bomb = [&outer[..], name, &bomb, tail].concat();
        }
        to_value(&bomb).expect_err("an extension must not nest that deep");
        from_slice::<i128>(&bomb).expect_err("for a typed receiver either");
    }
}

/// Puts `value` in `levels` arrays or, if they are short enough, sets.
fn nested(levels: usize, in_sets: bool, value: &[u8]) -> Vec<u8> {
    (0..levels).fold(value.to_vec(), |inner, _| {
        let array = [&[0x91], &inner[..]].concat();
        match (in_sets, u8::try_from(array.len())) {
            (true, Ok(length)) => [&[0xc7, length, 4][..], &array].concat(),
            _ => array,
        }
    })
}

#[test]
fn a_body_is_within_its_budget() {
    let body = |value: &[u8]| [&unhex("81 a161")[..], value].concat();
    let found = |value: &[u8]| {
        let body = body(value);
        match entries(&body) {
            Ok(entries) => {
                assert_eq!(entries, [("a", value)]);
                Ok(())
            }
            Err(ReadError::OverBudget(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    };
    for in_sets in [false, true] {
        assert_eq!(found(&nested(127, in_sets, &[0])), Ok(()));
        to_value(&nested(127, in_sets, &[0])).expect("it can be decoded");
        assert_eq!(found(&nested(128, in_sets, &[0])), Err(OverBudget::Levels));
    }
    let many = |count: u32, one: &[u8]| {
        [&[0xdd][..], &count.to_be_bytes(), &one.repeat(count as usize)].concat()
    };
    assert_eq!(found(&many(250_000, &[0])), Ok(()));
    assert_eq!(found(&many(600_000, &[0])), Err(OverBudget::Memory));
    assert_eq!(found(&many(999_998, b"\xa3abc")), Ok(()));
    assert_eq!(found(&many(999_999, b"\xa3abc")), Err(OverBudget::Values));
    assert_eq!(found(&many(20_000, &[0x81, 0xa0, 0])), Ok(()));
    assert_eq!(found(&many(30_000, &[0x81, 0xa0, 0])), Err(OverBudget::Memory));
    let set = many(30_000, &[0x81, 0xa0, 0]);
    let length = u32::try_from(set.len()).unwrap().to_be_bytes();
    let set = [&[0xc9][..], &length, &[5], &set].concat();
    assert_eq!(found(&set), Err(OverBudget::Memory), "elements of a set are values");
    let name = format!("{RESERVED_PREFIX}RawValue");
    let mut key = vec![0x81];
    push_str(&mut key, &name).unwrap();
    key.push(0);
    assert_eq!(found(&key), Err(OverBudget::ReservedKey));
    assert_eq!(found(&nested(3, true, &key)), Err(OverBudget::ReservedKey));
    assert_eq!(found(&packed(&[name])), Ok(()));
}

#[test]
fn a_body_with_a_broken_set_is_refused() {
    for broken in ["c70204 92c1", "d40480", "c70204 91 c1", "c70404 92 d404c1"] {
        let body = [&unhex("81 a161 92")[..], &unhex(broken), &[0]].concat();
        assert!(entries(&body).is_err(), "{broken}");
    }
}

fn any_msgpack() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "00",
            "ff",
            "c0",
            "c1",
            "c2",
            "a161",
            "a1ff",
            "c40161",
            "c401ff",
            "ca7fc00000",
            "d40180",
            "d40505",
            "d7ff0000000000000000",
            "d40090",
            "c7020292ff",
            "cfffffffffffffffff",
        ])
        .prop_map(unhex),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        (prop::collection::vec(inner, 0..6), 0..3).prop_map(|(all, kind)| {
            let count = all.len() as u8;
            match kind {
                0 => [&[0x90 | count][..], &all.concat()].concat(),
                1 => [&[0x80 | (count / 2)][..], &all.concat()].concat(),
                _ => {
                    let array = [&[0x90 | count][..], &all.concat()].concat();
                    match u8::try_from(array.len()) {
                        Ok(length) => [&[0xc7, length, 4][..], &array].concat(),
                        Err(_) => array,
                    }
                }
            }
        })
    })
}

proptest! {
    #[test]
    fn a_value_that_was_checked_can_be_decoded(bytes in any_msgpack()) {
        prop_assert_eq!(check_value(&bytes).is_ok(), to_value(&bytes).is_ok());
    }
}

#[test]
fn broken_extensions_are_errors() {
    let wrong = [
        ("unknown", "d42000", ReadError::UnknownExtension(32)),
        ("unknown, of msgpack itself", "d6ff00000000", ReadError::UnknownExtension(-1)),
        ("short UUID", "d40061", ReadError::Extension(0)),
        ("a time without parts", "d40180", ReadError::Extension(1)),
        ("a counter of floats", "c70b0292cb000000000000000001", ReadError::Extension(2)),
        ("a negative address", "d403ff", ReadError::Extension(3)),
        ("a set that is a map", "d40480", ReadError::Extension(4)),
        ("an XML-RPC time that is none", "d406c0", ReadError::Extension(6)),
        (
            "the 30th of February",
            "c7150783a479656172cd07eaa56d6f6e746802a36461791e",
            ReadError::Extension(7),
        ),
        ("the year 0", "c7130783a47965617200a56d6f6e746802a364617901", ReadError::Extension(7)),
        ("a set with more", "d505 9000", ReadError::Trailing),
        ("a set cut short", "d505 9201", ReadError::Truncated),
    ];
    for (what, bytes, error) in wrong {
        assert_eq!(to_value(&unhex(bytes)), Err(error), "{what}");
    }
}

proptest! {
    #[test]
    fn reading_garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        read_all(&bytes);
    }

    #[test]
    fn one_wrong_byte_never_panics(which in 0_usize..26, at: usize, byte: u8) {
        let mut bytes = golden().nth(which).unwrap().1;
        let at = at % bytes.len();
        bytes[at] = byte;
        read_all(&bytes);
    }
}
