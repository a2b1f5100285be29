//! What no peer should send: cut short, too long, too deep, or rubbish altogether.

use serde::de::IgnoredAny;

use super::*;

/// Everything a stranger's bytes may be put through.
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
fn bodies_that_are_no_map_are_told_apart() {
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
fn values_that_mean_nothing_are_told_apart() {
    assert_eq!(to_value(&unhex("0101")), Err(ReadError::Trailing));
    assert_eq!(text(&unhex("a16101")), Err(ReadError::Trailing));
    assert_eq!(text(&unhex("a1ff")), Err(ReadError::NotUtf8));
    assert_eq!(to_value(&unhex("91c1")), Err(ReadError::Reserved));
    assert_eq!(to_value(&unhex("a1ff")), Err(ReadError::NotUtf8), "text must be UTF-8");
    from_slice::<(u8, u8)>(&unhex("93010203")).expect_err("more elements than asked for");
    from_slice::<u8>(&unhex("cd0100")).expect_err("too large for its type");
}

/// The claim is refused before anything is made ready for it.
#[test]
fn lengths_that_lie_are_refused() {
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
fn bombs_of_depth_go_off_nowhere() {
    let arrays = [vec![0x91; 1 << 20], vec![0x01]].concat();
    let maps = [[0x81, 0xa0].repeat(1 << 19), vec![0x01]].concat();
    for bomb in [&arrays, &maps] {
        assert_eq!(to_value(bomb), Err(ReadError::TooDeep));
        from_slice::<IgnoredAny>(bomb).expect("what is passed over costs no stack");
        let body = [&unhex("81 a161")[..], bomb].concat();
        assert_eq!(entries(&body), Ok(vec![("a", &bomb[..])]));
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
        to_value(&bomb).expect_err("no extension may lead down that far");
        from_slice::<i128>(&bomb).expect_err("nor with a type");
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
