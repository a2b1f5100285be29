//! Cold methods: amq-protocol behind our limits.

use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::{basic, connection, exchange, queue};
use amq_protocol::types::FieldTable;
use proptest::prelude::*;

use super::*;
use crate::wire::cursor::{put_longstr, put_shortstr};
use crate::wire::oracle;
use crate::wire::oracle::{Damage, short};
use crate::wire::table::TABLE_DEPTH_MAX;

/// Returns one of the methods that have a table.
fn with_table(which: usize, name: &str, table: FieldTable) -> AMQPClass {
    let name = || name.into();
    match which {
        0 => AMQPClass::Connection(connection::AMQPMethod::Start(connection::Start {
            version_minor: 9,
            server_properties: table,
            mechanisms: "PLAIN AMQPLAIN".into(),
            ..connection::Start::default()
        })),
        1 => AMQPClass::Connection(connection::AMQPMethod::StartOk(connection::StartOk {
            client_properties: table,
            mechanism: name(),
            ..connection::StartOk::default()
        })),
        2 => AMQPClass::Exchange(exchange::AMQPMethod::Declare(exchange::Declare {
            exchange: name(),
            kind: "topic".into(),
            durable: true,
            arguments: table,
            ..exchange::Declare::default()
        })),
        3 => AMQPClass::Exchange(exchange::AMQPMethod::Bind(exchange::Bind {
            source: name(),
            arguments: table,
            ..exchange::Bind::default()
        })),
        4 => AMQPClass::Exchange(exchange::AMQPMethod::Unbind(exchange::Unbind {
            destination: name(),
            arguments: table,
            ..exchange::Unbind::default()
        })),
        5 => AMQPClass::Queue(queue::AMQPMethod::Declare(queue::Declare {
            queue: name(),
            auto_delete: true,
            arguments: table,
            ..queue::Declare::default()
        })),
        6 => AMQPClass::Queue(queue::AMQPMethod::Bind(queue::Bind {
            routing_key: name(),
            arguments: table,
            ..queue::Bind::default()
        })),
        7 => AMQPClass::Queue(queue::AMQPMethod::Unbind(queue::Unbind {
            queue: name(),
            arguments: table,
            ..queue::Unbind::default()
        })),
        _ => AMQPClass::Basic(basic::AMQPMethod::Consume(basic::Consume {
            consumer_tag: name(),
            no_ack: true,
            arguments: table,
            ..basic::Consume::default()
        })),
    }
}

/// Returns the payload of such a method, with its empty table replaced by one nested `depth`
/// levels.
fn with_nested(which: usize, depth: usize) -> Vec<u8> {
    let mut content = Vec::new();
    for _ in 1..depth {
        let mut outer = Vec::new();
        put_shortstr(&mut outer, "t");
        outer.push(b'F');
        put_longstr(&mut outer, &content);
        content = outer;
    }
    let empty = oracle::method_bytes(&with_table(which, "", FieldTable::default()));
    let mut marked = FieldTable::default();
    marked.insert("marker".into(), amq_protocol::types::AMQPValue::Void);
    let with_marker = oracle::method_bytes(&with_table(which, "", marked));
    let at = empty.iter().zip(&with_marker).position(|(a, b)| a != b).unwrap() - 3;
    let mut payload = empty[..at].to_vec();
    put_longstr(&mut payload, &content);
    payload.extend_from_slice(&empty[at + 4..]);
    payload
}

#[test]
fn a_close_matches_literal_bytes() {
    let payload = b"\x00\x0a\x00\x32\x01\x93\x02no\x00\x00\x00\x00";
    let close = AMQPClass::Connection(connection::AMQPMethod::Close(connection::Close {
        reply_code: 403,
        reply_text: "no".into(),
        class_id: 0,
        method_id: 0,
    }));
    assert_eq!(parse_method(payload), Ok(close.clone()));
    let mut frame = b"before".to_vec();
    encode_method_frame(&mut frame, 0, &close);
    assert_eq!(frame[6..], oracle::frame_bytes(&AMQPFrame::Method(0, close)));
}

#[test]
fn trailing_bytes_are_refused_although_amq_protocol_accepts_them() {
    let payload = [0, 10, 0, 51, 9, 9];
    assert_eq!(parse_method(&payload), Err(WireError::TrailingBytes { count: 2 }));
    assert!(amq_protocol::protocol::parse_class(&payload[..]).is_ok());
}

#[test]
fn unknown_methods_are_reported_and_the_known_ones_are_those_of_amq_protocol() {
    for class in 0..=255u8 {
        for method in 0..=255u8 {
            let payload = [0, class, 0, method];
            let ours = parse_method(&payload);
            let bad = WireError::BadMethod { class: class.into(), method: method.into() };
            let known = match amq_protocol::protocol::parse_class(&payload[..]) {
                Ok(_) => true,
                // A known method whose arguments are missing needs more bytes.
                Err(error) => error.is_incomplete(),
            };
            assert_eq!(ours != Err(bad), known, "{class}.{method}");
        }
    }
    assert_eq!(parse_method(&[0, 10, 0]), Err(WireError::Truncated));
}

#[test]
fn the_nesting_limit_applies_to_the_table_of_every_method() {
    for which in 0..9 {
        let too_deep = Err(WireError::TableTooDeep { max: TABLE_DEPTH_MAX });
        assert!(parse_method(&with_nested(which, 32)).is_ok(), "method {which}");
        assert_eq!(parse_method(&with_nested(which, 33)), too_deep, "method {which}");
        assert_eq!(parse_method(&with_nested(which, 20_000)), too_deep, "method {which}");
    }
}

proptest! {
    #[test]
    fn methods_with_tables_read_back_as_written(
        which in 0..9usize,
        name in short(),
        table in oracle::table(),
    ) {
        let method = with_table(which, &name, table);
        prop_assert_eq!(parse_method(&oracle::method_bytes(&method)), Ok(method.clone()));
        let mut frame = Vec::new();
        encode_method_frame(&mut frame, 5, &method);
        prop_assert_eq!(frame, oracle::frame_bytes(&AMQPFrame::Method(5, method)));
    }

    #[test]
    fn both_refuse_the_same_broken_methods(
        which in 0..9usize,
        table in oracle::table(),
        damage in Damage::any(),
    ) {
        let mut payload = oracle::method_bytes(&with_table(which, "name", table));
        damage.apply(&mut payload);
        // Compared as text: a broken number may be NaN, which equals nothing.
        let ours = parse_method(&payload).ok().map(|method| format!("{method:?}"));
        let theirs = oracle::method(&payload).map(|method| format!("{method:?}"));
        prop_assert_eq!(ours, theirs);
    }
}
