//! Shared by the differential tests: amq-protocol as plain functions, and strategies that generate
//! names, tables, properties and broken bytes.

use amq_protocol::frame::{AMQPFrame, WriteContext, gen_frame, parse_frame};
use amq_protocol::protocol::{AMQPClass, BasicProperties, gen_class, parse_class};
use amq_protocol::types::{AMQPValue, DecimalValue, FieldArray, FieldTable, ShortString};
use proptest::collection::vec;
use proptest::prelude::*;

/// Returns the bytes that amq-protocol writes for a frame.
pub(super) fn frame_bytes(frame: &AMQPFrame) -> Vec<u8> {
    gen_frame(frame)(WriteContext::from(Vec::new())).unwrap().into_inner().0
}

/// Returns the frame that amq-protocol reads, if it consumes all of `bytes`.
pub(super) fn frame(bytes: &[u8]) -> Option<AMQPFrame> {
    match parse_frame(bytes) {
        Ok(([], frame)) => Some(frame),
        _ => None,
    }
}

/// Returns the payload that amq-protocol writes for a method.
pub(super) fn method_bytes(method: &AMQPClass) -> Vec<u8> {
    gen_class(method)(WriteContext::from(Vec::new())).unwrap().into_inner().0
}

/// Returns the method that amq-protocol reads, if it consumes all of `payload`.
pub(super) fn method(payload: &[u8]) -> Option<AMQPClass> {
    match parse_class(payload) {
        Ok(([], method)) => Some(method),
        _ => None,
    }
}

/// Generates short strings: mostly a few characters, sometimes near the limit of 255 bytes, also
/// non-ASCII.
pub(super) fn short() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[ -~éЖ]{0,12}",
        1 => Just("x".repeat(255)),
        1 => Just("é".repeat(127)),
    ]
}

/// Generates any value that a table can hold and a peer can read, nested a few levels.
pub(super) fn value() -> impl Strategy<Value = AMQPValue> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(AMQPValue::Boolean),
        any::<i8>().prop_map(AMQPValue::ShortShortInt),
        any::<u8>().prop_map(AMQPValue::ShortShortUInt),
        any::<i16>().prop_map(AMQPValue::ShortInt),
        any::<u16>().prop_map(AMQPValue::ShortUInt),
        any::<i32>().prop_map(AMQPValue::LongInt),
        any::<u32>().prop_map(AMQPValue::LongUInt),
        any::<i64>().prop_map(AMQPValue::LongLongInt),
        (-1e6f32..1e6).prop_map(AMQPValue::Float),
        (-1e6f64..1e6).prop_map(AMQPValue::Double),
        any::<(u8, u32)>()
            .prop_map(|(scale, value)| { AMQPValue::DecimalValue(DecimalValue { scale, value }) }),
        vec(any::<u8>(), 0..20).prop_map(|bytes| AMQPValue::LongString(bytes.into())),
        any::<u64>().prop_map(AMQPValue::Timestamp),
        vec(any::<u8>(), 0..20).prop_map(|bytes| AMQPValue::ByteArray(bytes.into())),
        Just(AMQPValue::Void),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|all| AMQPValue::FieldArray(FieldArray::from(all))),
            vec((short(), inner), 0..4).prop_map(|all| AMQPValue::FieldTable(to_table(all))),
        ]
    })
}

/// Generates a table of such values.
pub(super) fn table() -> impl Strategy<Value = FieldTable> {
    vec((short(), value()), 0..5).prop_map(to_table)
}

fn to_table(entries: Vec<(String, AMQPValue)>) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in entries {
        table.insert(ShortString::from(key), value);
    }
    table
}

/// Generates any combination of the fourteen properties.
pub(super) fn properties() -> impl Strategy<Value = BasicProperties> {
    let text = || prop::option::of(short().prop_map(ShortString::from));
    let first =
        (text(), text(), prop::option::of(table()), any::<[Option<u8>; 2]>(), text(), text());
    let second = (text(), text(), any::<Option<u64>>(), text(), text(), text(), text());
    (first, second).prop_map(|(first, second)| {
        let (content_type, content_encoding, headers, [mode, priority], correlation, reply_to) =
            first;
        let (expiration, message_id, timestamp, kind, user_id, app_id, cluster_id) = second;
        let mut all = BasicProperties::default();
        macro_rules! set {
            ($($value:ident $with:ident),*) => { $(
                if let Some(value) = $value {
                    all = all.$with(value);
                }
            )* };
        }
        set!(content_type with_content_type, content_encoding with_content_encoding);
        set!(headers with_headers, mode with_delivery_mode, priority with_priority);
        set!(correlation with_correlation_id, reply_to with_reply_to);
        set!(expiration with_expiration, message_id with_message_id);
        set!(timestamp with_timestamp, kind with_type, user_id with_user_id);
        set!(app_id with_app_id, cluster_id with_cluster_id);
        all
    })
}

/// A way to break bytes: cut them, append some, or change some.
#[derive(Clone, Debug)]
pub(super) enum Damage {
    Cut(prop::sample::Index),
    Append(Vec<u8>),
    Change(Vec<(prop::sample::Index, u8)>),
}

impl Damage {
    pub(super) fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            any::<prop::sample::Index>().prop_map(Self::Cut),
            vec(any::<u8>(), 1..4).prop_map(Self::Append),
            vec((any::<prop::sample::Index>(), any::<u8>()), 1..4).prop_map(Self::Change),
        ]
    }

    pub(super) fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Self::Append(more) => bytes.extend_from_slice(more),
            Self::Change(changes) => {
                for (at, octet) in changes {
                    let at = at.index(bytes.len());
                    bytes[at] = *octet;
                }
            }
        }
    }
}
