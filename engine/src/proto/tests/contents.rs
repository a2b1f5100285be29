//! Method, header and body frames are assembled into contents, whatever the sizes of reads (AMQP
//! 4.2.6).

use amq_protocol::protocol::basic;
use proptest::prelude::*;

use crate::proto::error::ProtoError;
use crate::proto::tests::scenario::{
    EventSummary, Scenario, body, channel_close, deliver, delivered, delivery, header, hex, on,
};
use crate::wire::error::WireError;
use crate::wire::hot::{Ack, Return};

fn bytes_of(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

#[test]
fn a_delivery_of_every_size_arrives_whole() {
    // Small bodies are copied, large ones stay in their blocks, bodies above 4088 bytes need
    // several frames.
    for len in [0, 1, 1023, 1024, 1025, 4087, 4088, 4089, 8176, 8177, 100_000, 300_000] {
        let mut scenario = Scenario::with_channels();
        let body = bytes_of(len);
        scenario.receive(&delivery(1, 5, &body));
        assert_eq!(scenario.events(), [delivered(1, 5, &body)], "{len} bytes");
    }
}

#[test]
fn a_delivery_may_arrive_one_byte_at_a_time() {
    for len in [0, 3, 2000] {
        let mut scenario = Scenario::with_channels();
        let body = bytes_of(len);
        let bytes = delivery(1, 5, &body);
        let (last, rest) = bytes.split_last().unwrap();
        scenario.receive_bytewise(rest);
        // A content is complete before the end octet of its last body frame.
        let early = usize::from(len > 0);
        assert_eq!(scenario.events().len(), early, "{len} bytes");
        scenario.receive(&[*last]);
        assert_eq!(scenario.events().len(), 1 - early);
    }
}

#[test]
fn a_body_may_arrive_in_frames_of_any_size() {
    let mut scenario = Scenario::with_channels();
    let mut bytes = [deliver(1, 5), header(1, 6)].concat();
    bytes.extend(hex("03 0001 00000001 61 CE"));
    bytes.extend(hex("03 0001 00000000 CE")); // empty frames carry nothing and are allowed
    bytes.extend(hex("03 0001 00000002 6263 CE"));
    bytes.extend(hex("08 0000 00000000 CE")); // a heartbeat in between
    bytes.extend(hex("03 0001 00000003 646566 CE"));
    scenario.receive(&bytes);
    assert_eq!(scenario.events(), [delivered(1, 5, b"abcdef")]);
}

#[test]
fn many_frames_may_arrive_in_one_read() {
    let mut scenario = Scenario::with_channels();
    let bytes: Vec<u8> = (1..=500).flat_map(|tag| delivery(1, tag, b"x")).collect();
    scenario.receive(&bytes);
    let all: Vec<EventSummary> = (1..=500).map(|tag| delivered(1, tag, b"x")).collect();
    assert_eq!(scenario.events(), all);
}

#[test]
fn contents_of_two_channels_may_interleave() {
    let mut scenario = Scenario::with_channels();
    let (one, two) = (bytes_of(5000), bytes_of(6000));
    let mut frames = [deliver(1, 1), deliver(2, 2), header(2, 6000), header(1, 5000)].concat();
    frames.extend(body(1, &one[..4088]));
    frames.extend(body(2, &two[..4088]));
    frames.extend(body(2, &two[4088..]));
    frames.extend(body(1, &one[4088..]));
    scenario.receive(&frames);
    assert_eq!(scenario.events(), [delivered(2, 2, &two), delivered(1, 1, &one)]);
}

#[test]
fn a_return_arrives_with_its_body_before_its_ack() {
    let mut scenario = Scenario::with_channels();
    let returned =
        Return { reply_code: 312, reply_text: "NO_ROUTE", exchange: "", routing_key: "lost" };
    let mut bytes = Vec::new();
    returned.encode_frame(1, &mut bytes);
    bytes.extend([header(1, 4), body(1, b"body")].concat());
    Ack { delivery_tag: 1, multiple: false }.encode_frame(1, &mut bytes);
    scenario.receive(&bytes);
    let (channel, key) = (1, "lost".to_owned());
    let returned = EventSummary::Returned { channel, code: 312, key, body: b"body".to_vec() };
    let confirmed = EventSummary::Confirmed { channel, tag: 1, multiple: false, ack: true };
    assert_eq!(scenario.events(), [returned, confirmed]);
}

#[test]
fn frames_of_a_content_in_the_wrong_order_end_the_connection() {
    let unexpected = |what| ProtoError::Unexpected { what, channel: 1 };
    let cases = [
        (header(1, 3), unexpected("content header")),
        (body(1, b"abc"), unexpected("body frame")),
        ([deliver(1, 1), body(1, b"abc")].concat(), unexpected("body frame")),
        ([deliver(1, 1), deliver(1, 2)].concat(), unexpected("method inside a content")),
        (
            [deliver(1, 1), channel_close(1, 404, "")].concat(),
            unexpected("method inside a content"),
        ),
        ([deliver(1, 1), header(1, 3), header(1, 3)].concat(), unexpected("content header")),
        ([delivery(1, 1, b"abc"), body(1, b"d")].concat(), unexpected("body frame")),
        ([deliver(1, 1), header(1, 0), body(1, b"d")].concat(), unexpected("body frame")),
        (
            [deliver(1, 1), header(1, 3), body(1, b"abcd")].concat(),
            ProtoError::BodyOverrun { channel: 1 },
        ),
        (
            [deliver(1, 1), header(1, (1 << 32) + 1)].concat(),
            ProtoError::BodyTooLarge { size: (1 << 32) + 1, max: 1 << 20 },
        ),
        (header(3, 1), ProtoError::UnknownChannel(3)),
        (body(3, b"x"), ProtoError::UnknownChannel(3)),
    ];
    for (bytes, error) in cases {
        assert_eq!(Scenario::with_channels().refuses(&bytes), error);
    }
}

#[test]
fn a_frame_that_exceeds_its_body_delivers_nothing_whatever_the_sizes_of_reads() {
    let frames = [deliver(1, 1), header(1, 3), body(1, b"abcd")].concat();
    for cut in 1..frames.len() {
        let mut scenario = Scenario::with_channels();
        let (first, rest) = frames.split_at(cut);
        let received = scenario.try_receive(first).and_then(|()| scenario.try_receive(rest));
        assert_eq!(received, Err(ProtoError::BodyOverrun { channel: 1 }), "cut at {cut}");
        assert!(scenario.events().is_empty(), "cut at {cut}");
    }
}

#[test]
fn a_body_above_the_limit_is_dropped_except_for_its_end_and_its_checksum() {
    let whole: Vec<u8> = (0..=255).cycle().take((1 << 20) + 5000).collect();
    let mut bytes = [deliver(1, 1), header(1, whole.len() as u64)].concat();
    whole.chunks(100_000).for_each(|piece| bytes.extend(body(1, piece)));
    bytes.extend(delivery(1, 2, b"next"));
    let mut connection = Scenario::with_channels();
    connection.receive(&bytes);
    let events = connection.events();
    let [EventSummary::Oversized { size, tail, sum }, EventSummary::Delivery { body, .. }] =
        &events[..]
    else {
        panic!("one is dropped, the next is not")
    };
    assert_eq!(*size, whole.len() as u64);
    assert_eq!(tail[..], whole[whole.len() - (16 << 10)..]);
    assert_eq!(*sum, crc32fast::hash(&whole));
    assert_eq!(body, b"next");
}

/// Headers that equal the last one but for the body size are not parsed again.
#[test]
fn a_header_is_checked_even_if_it_resembles_the_last_one() {
    let content = |tag, properties: &str| {
        let head = hex("02 0001 00000010 003C 0000 0000000000000003");
        [deliver(1, tag), head, hex(properties), body(1, b"abc")].concat()
    };
    let good = content(1, "8000 01 61 CE"); // content type "a"
    let mut scenario = Scenario::with_channels();
    scenario.receive(&good);
    scenario.receive(&[deliver(1, 2), header(1, 0)].concat());
    scenario.receive(&content(3, "8000 01 62 CE"));
    let events = [delivered(1, 1, b"abc"), delivered(1, 2, b""), delivered(1, 3, b"abc")];
    assert_eq!(scenario.events(), events);

    let mut bad_class = content(2, "8000 01 61 CE");
    let end = bad_class.len() - body(1, b"abc").len();
    // The class is behind the frame header.
    bad_class[end - 16] = 61;
    for (second, error) in [
        (content(2, "8000 01 FF CE"), WireError::BadUtf8),
        (content(2, "8000 02 61 CE"), WireError::Truncated),
        (content(2, "8001 01 61 CE"), WireError::BadProperties { flags: 0x8001 }),
        (bad_class, WireError::BadContentClass { class: 61 }),
    ] {
        let bytes = [good.clone(), second].concat();
        assert_eq!(Scenario::with_channels().refuses(&bytes), ProtoError::Wire(error));
    }
}

#[test]
fn malformed_frames_end_the_connection() {
    let refuses = |bytes: &[u8]| match Scenario::with_channels().refuses(bytes) {
        ProtoError::Wire(error) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refuses(&hex("05 0001 00000000 CE")), WireError::BadFrameKind(5));
    assert_eq!(refuses(&hex("08 0000 00000000 CD")), WireError::BadFrameEnd(0xCD));
    let mut bytes = delivery(1, 1, b"abc");
    *bytes.last_mut().unwrap() = 0;
    assert_eq!(refuses(&bytes), WireError::BadFrameEnd(0), "also behind a body");
    let unknown = WireError::BadMethod { class: 10, method: 999 };
    assert_eq!(refuses(&hex("01 0000 00000004 000A03E7 CE")), unknown);
    assert_eq!(refuses(&hex("01 0001 00000002 000A CE")), WireError::Truncated);
    let trailing = WireError::TrailingBytes { count: 1 };
    assert_eq!(refuses(&hex("01 0000 00000005 000A003D 00 CE")), trailing);
}

/// Generates frames that a broker may send on open channels, including bodies of any size.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        (1..3_u16, any::<u64>(), 0..9000_usize).prop_map(|(channel, tag, len)| delivery(
            channel,
            tag,
            &bytes_of(len)
        )),
        (1..3_u16, any::<u64>(), any::<bool>()).prop_map(|(channel, delivery_tag, multiple)| {
            let mut out = Vec::new();
            Ack { delivery_tag, multiple }.encode_frame(channel, &mut out);
            out
        }),
        Just(hex("08 0000 00000000 CE")),
        Just(hex("01 0001 00000005 00140014 01 CE")),
        (1..3_u16).prop_map(|channel| {
            let cancel = basic::Cancel { consumer_tag: "c".into(), nowait: false };
            on(channel, basic::AMQPMethod::Cancel(cancel))
        }),
    ];
    proptest::collection::vec(piece, 1..12).prop_map(|pieces| pieces.concat())
}

fn events_of(bytes: &[u8], cuts: &[usize]) -> (Vec<EventSummary>, Vec<u8>) {
    let mut scenario = Scenario::with_channels();
    let mut rest = bytes;
    for &cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at(cut.min(rest.len()));
        scenario.receive(piece);
        rest = after;
    }
    (scenario.events(), scenario.output())
}

/// 200 cases unless `PROPTEST_CASES` is set.
fn random_cases() -> ProptestConfig {
    let usual = ProptestConfig::default();
    let is_told = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig { cases: if is_told { usual.cases } else { 200 }, ..usual }
}

/// Flips each bit of a stream of at least 4,096 bits in turn.
#[test]
fn a_flipped_bit_causes_no_panic() {
    let closing = channel_close(2, 404, "NOT_FOUND");
    let whole = [delivery(1, 1, &bytes_of(400)), closing, delivery(1, 2, b"next")].concat();
    assert!(whole.len() * 8 >= 4096);
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let _ = Scenario::with_channels().try_receive(&bytes);
    }
}

proptest! {
    #![proptest_config(random_cases())]

    #[test]
    fn the_sizes_of_reads_do_not_change_the_events(
        bytes in stream(),
        cuts in proptest::collection::vec(prop_oneof![1..10_usize, 1..5000_usize], 1..20),
    ) {
        let whole = events_of(&bytes, &[bytes.len()]);
        prop_assert_eq!(events_of(&bytes, &cuts), whole);
    }

    #[test]
    fn random_bytes_cause_no_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        at in 0..400_usize,
    ) {
        let _ = Scenario::with_channels().try_receive(&bytes);
        // The same bytes after a part of a valid delivery.
        let mut sensible = delivery(1, 1, &bytes_of(300));
        sensible.truncate(at);
        sensible.extend(&bytes);
        let _ = Scenario::with_channels().try_receive(&sensible);
    }
}
