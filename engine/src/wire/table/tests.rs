//! Tables, compared with literal bytes and with amq-protocol, and the limit of their nesting.

use amq_protocol::frame::WriteContext;
use amq_protocol::types::{generation::gen_field_table, parsing::parse_field_table};
use proptest::prelude::*;

use super::*;
use crate::wire::cursor::{put_longstr, put_shortstr};
use crate::wire::oracle;
use crate::wire::oracle::Damage;

/// Returns a table's content as amq-protocol writes it, without its length.
fn content(table: &FieldTable) -> Vec<u8> {
    gen_field_table(table)(WriteContext::from(Vec::new())).unwrap().into_inner().0.split_off(4)
}

/// Returns what amq-protocol reads from a table's content.
fn read_by_oracle(content: &[u8]) -> Option<FieldTable> {
    let mut bytes = Vec::new();
    put_longstr(&mut bytes, content);
    match parse_field_table(&bytes[..]) {
        Ok(([], table)) => Some(table),
        _ => None,
    }
}

/// Returns `depth` tables within each other.
fn nested_tables(depth: usize) -> Vec<u8> {
    let mut content = Vec::new();
    for _ in 1..depth {
        let mut outer = Vec::new();
        put_shortstr(&mut outer, "t");
        outer.push(b'F');
        put_longstr(&mut outer, &content);
        content = outer;
    }
    content
}

/// Returns a table around arrays within each other, `depth` levels in all.
fn nested_arrays(depth: usize) -> Vec<u8> {
    let mut content = Vec::new();
    for _ in 2..depth {
        let mut outer = vec![b'A'];
        put_longstr(&mut outer, &content);
        content = outer;
    }
    let mut table = Vec::new();
    put_shortstr(&mut table, "a");
    table.push(b'A');
    put_longstr(&mut table, &content);
    table
}

#[test]
fn values_are_found_by_key() {
    let bytes = b"\x01aI\xff\xff\xff\xfe\x01sS\x00\x00\x00\x02hi\x01ft\x01";
    let table = TableView::parse(bytes).unwrap();
    assert_eq!(table.get("a"), Some(ValueView::I32(-2)));
    assert_eq!(table.get("a").and_then(|value| value.as_int()), Some(-2));
    assert_eq!(table.get("s").and_then(|value| value.as_str()), Some("hi"));
    assert_eq!(table.get("f"), Some(ValueView::Boolean(true)));
    assert_eq!(table.get("b"), None);
    assert_eq!(table.iter().count(), 3);
}

#[test]
fn the_last_value_of_a_repeated_key_counts() {
    let bytes = b"\x01at\x00\x01at\x01";
    let table = TableView::parse(bytes).unwrap();
    assert_eq!(table.get("a"), Some(ValueView::Boolean(true)));
    assert_eq!(table.to_table(), read_by_oracle(bytes).unwrap());
}

#[test]
fn nesting_is_accepted_up_to_its_limit() {
    let too_deep = Err(WireError::TableTooDeep { max: 32 });
    assert!(TableView::parse(&nested_tables(32)).is_ok());
    assert_eq!(TableView::parse(&nested_tables(33)), too_deep);
    assert!(TableView::parse(&nested_arrays(32)).is_ok());
    assert_eq!(TableView::parse(&nested_arrays(33)), too_deep);
    // A stack of a few thousand levels would overflow; the first 32 decide here.
    assert_eq!(TableView::parse(&nested_tables(20_000)), too_deep);
    assert_eq!(TableView::parse(&nested_arrays(20_000)), too_deep);
    let deepest = TableView::parse(&nested_tables(32)).unwrap().to_table();
    assert_eq!(Some(deepest), read_by_oracle(&nested_tables(32)));
}

#[test]
fn an_unknown_type_is_reported() {
    for octet in 0..=255u8 {
        let bytes = [1, b'k', octet, 0, 0, 0, 0, 0, 0, 0, 0];
        let known = b"tbBsUuIilLfdDSATFxV".contains(&octet);
        let refused = TableView::parse(&bytes[..3 + 8]) == Err(WireError::BadFieldType(octet));
        assert_eq!(refused, !known, "type {octet:#04x}");
    }
}

#[test]
fn lengths_beyond_the_content_are_reported_as_truncated() {
    for bytes in [
        &b"\x01kS\x00\x00\x00\x05hell"[..],
        b"\x01kS\xff\xff\xff\xffhell",
        b"\x01kF\x00\x00\x00\x04\x03abc",
        b"\x01kA\x00\x00\x00\x02I\x00",
        b"\x05abc",
        b"\x01k",
        b"\x01kx\x80\x00\x00\x00",
    ] {
        assert_eq!(TableView::parse(bytes), Err(WireError::Truncated), "{bytes:?}");
        assert_eq!(read_by_oracle(bytes), None, "{bytes:?}");
    }
    assert_eq!(TableView::parse(b"\x01\xffV"), Err(WireError::BadUtf8));
}

proptest! {
    #[test]
    fn amq_protocol_reads_the_same_values(table in oracle::table()) {
        let bytes = content(&table);
        let view = TableView::parse(&bytes).unwrap();
        prop_assert_eq!(view.to_table(), table.clone());
        for (key, value) in &table {
            let found = view.get(key.as_str()).map(|view| view.to_value());
            prop_assert_eq!(found.as_ref(), Some(value));
        }
    }

    #[test]
    fn both_refuse_the_same_broken_tables(table in oracle::table(), damage in Damage::any()) {
        let mut bytes = content(&table);
        if bytes.is_empty() {
            return Ok(());
        }
        damage.apply(&mut bytes);
        let ours = TableView::parse(&bytes);
        // Compared as text: a broken number may be NaN, which equals nothing.
        let ours = ours.map(|view| format!("{:?}", view.to_table())).ok();
        let theirs = read_by_oracle(&bytes).map(|table| format!("{table:?}"));
        prop_assert_eq!(ours, theirs);
    }
}
