//! Content headers, compared with literal bytes and with amq-protocol, and the cases where that is
//! less strict.

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame};
use amq_protocol::protocol::BasicProperties;
use amq_protocol::types::{AMQPValue, FieldTable};
use proptest::prelude::*;

use super::*;
use crate::wire::oracle;
use crate::wire::oracle::Damage;

/// Returns the frame that amq-protocol writes.
fn oracle_frame(channel: u16, body_size: u64, properties: &BasicProperties) -> Vec<u8> {
    let header = AMQPContentHeader { class_id: 60, body_size, properties: properties.clone() };
    oracle::frame_bytes(&AMQPFrame::Header(channel, header))
}

/// Returns the properties that amq-protocol reads from a header's payload, whatever its class.
fn oracle_read(payload: &[u8]) -> Option<AMQPContentHeader> {
    let mut frame = Vec::new();
    write_frame(&mut frame, FrameKind::Header, 1, |out| out.extend_from_slice(payload));
    match oracle::frame(&frame) {
        Some(AMQPFrame::Header(_, header)) => Some(header),
        _ => None,
    }
}

/// Converts properties to amq-protocol's structure.
fn to_oracle(ours: &Properties) -> BasicProperties {
    let mut all = BasicProperties::default();
    macro_rules! set {
        ($($name:ident $with:ident),*) => { $(
            if let Some(value) = ours.$name() {
                all = all.$with(value.into());
            }
        )* };
    }
    set!(content_type with_content_type, content_encoding with_content_encoding);
    set!(delivery_mode with_delivery_mode, priority with_priority, timestamp with_timestamp);
    set!(correlation_id with_correlation_id, reply_to with_reply_to, expiration with_expiration);
    set!(message_id with_message_id, kind with_type, user_id with_user_id, app_id with_app_id);
    set!(cluster_id with_cluster_id);
    if let Some(headers) = ours.headers() {
        all = all.with_headers(headers.clone());
    }
    all
}

fn full() -> Properties {
    let mut headers = FieldTable::default();
    headers.insert("version".into(), AMQPValue::LongString("1.0".into()));
    Properties::new()
        .with_content_type("application/json")
        .with_content_encoding("utf-8")
        .with_headers(headers)
        .with_delivery_mode(2)
        .with_priority(0)
        .with_correlation_id("c")
        .with_reply_to("r")
        .with_expiration("5000")
        .with_message_id("m")
        .with_timestamp(1_700_000_000)
        .with_kind("k")
        .with_user_id("guest")
        .with_app_id("a")
        .with_cluster_id("z")
}

#[test]
fn a_header_matches_literal_bytes() {
    let payload = b"\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x90\x00\x0aapp/json/x\x02";
    let header = ContentHeader::parse(payload).unwrap();
    assert_eq!(header.body_size, 5);
    let expected = PropertiesView {
        content_type: Some("app/json/x"),
        delivery_mode: Some(2),
        ..PropertiesView::default()
    };
    assert_eq!(header.properties, expected);
    let mut frame = Vec::new();
    header.encode_frame(1, &mut frame);
    assert_eq!(frame[7..frame.len() - 1], payload[..]);
}

#[test]
fn all_fourteen_properties_read_back_as_written() {
    let properties = full();
    let mut frame = Vec::new();
    properties.encode_frame(7, 99, &mut frame);
    assert_eq!(frame, oracle_frame(7, 99, &to_oracle(&properties)));
    let header = ContentHeader::parse(&frame[7..frame.len() - 1]).unwrap();
    assert_eq!(header.properties.flags(), 0xfffc);
    assert_eq!(header.properties.to_owned(), properties);
    let headers = header.properties.headers.unwrap();
    assert_eq!(headers.get("version").and_then(|value| value.as_str()), Some("1.0"));
}

#[test]
fn every_cut_is_refused() {
    let mut frame = Vec::new();
    full().encode_frame(7, 99, &mut frame);
    let payload = &frame[7..frame.len() - 1];
    for end in 0..payload.len() {
        assert!(ContentHeader::parse(&payload[..end]).is_err(), "{end} bytes");
    }
    let mut longer = payload.to_vec();
    longer.push(0);
    let trailing = Err(WireError::TrailingBytes { count: 1 });
    assert_eq!(ContentHeader::parse(&longer), trailing);
}

#[test]
fn flags_without_a_property_are_refused_although_amq_protocol_accepts_them() {
    for flags in [1u16, 2, 3] {
        let mut payload = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        payload[12..].copy_from_slice(&flags.to_be_bytes());
        assert_eq!(ContentHeader::parse(&payload), Err(WireError::BadProperties { flags }));
        assert!(oracle_read(&payload).is_some());
    }
}

#[test]
fn a_header_of_another_class_is_refused_although_amq_protocol_accepts_it() {
    let payload = [0, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(ContentHeader::parse(&payload), Err(WireError::BadContentClass { class: 50 }));
    assert!(oracle_read(&payload).is_some());
}

#[test]
fn the_weight_is_ignored_by_both() {
    let payload = [0, 60, 9, 9, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0];
    assert_eq!(ContentHeader::parse(&payload).unwrap().body_size, 4);
    assert!(oracle_read(&payload).is_some());
}

#[test]
fn a_property_longer_than_255_bytes_is_refused() {
    let long = "x".repeat(256);
    let refused = Err(WireError::ShortStringTooLong { len: 256 });
    assert_eq!(Properties::new().with_content_type(&long).check(), refused);
    assert_eq!(Properties::new().with_reply_to(&long).check(), refused);
    assert_eq!(Properties::new().with_reply_to(&long[1..]).check(), Ok(()));
}

proptest! {
    #[test]
    fn amq_protocol_writes_the_same_bytes_and_reads_the_same_values(
        theirs in oracle::properties(),
        body_size in any::<u64>(),
        channel in any::<u16>(),
    ) {
        let frame = oracle_frame(channel, body_size, &theirs);
        let header = ContentHeader::parse(&frame[7..frame.len() - 1]).unwrap();
        prop_assert_eq!(header.body_size, body_size);
        let mut again = Vec::new();
        header.encode_frame(channel, &mut again);
        prop_assert_eq!(&again, &frame);
        let owned = header.properties.to_owned();
        prop_assert_eq!(to_oracle(&owned), theirs);
        let mut again = Vec::new();
        owned.encode_frame(channel, body_size, &mut again);
        prop_assert_eq!(&again, &frame);
    }

    #[test]
    fn both_refuse_the_same_broken_headers(
        theirs in oracle::properties(),
        damage in Damage::any(),
    ) {
        let frame = oracle_frame(1, 5, &theirs);
        let mut payload = frame[7..frame.len() - 1].to_vec();
        damage.apply(&mut payload);
        let theirs = oracle_read(&payload);
        match ContentHeader::parse(&payload) {
            Ok(header) => {
                let ours = to_oracle(&header.properties.to_owned());
                // Compared as text: a broken number may be NaN, which equals nothing.
                let theirs = theirs.map(|theirs| format!("{:?}", theirs.properties));
                prop_assert_eq!(Some(format!("{ours:?}")), theirs);
            }
            Err(WireError::BadContentClass { .. } | WireError::BadProperties { .. }) => (),
            Err(_) => prop_assert_eq!(theirs, None),
        }
    }
}
