//! Tests of the sink and the source.

use amq_protocol::protocol::{AMQPClass, basic, connection};

use crate::loopback::sink::Sink;
use crate::loopback::source::Source;
use crate::loopback::tests::client::Client;
use crate::wire::content::write_body_frames;
use crate::wire::hot::{HotMethod, Publish};
use crate::wire::properties::Properties;

#[test]
fn a_sink_accepts_every_declaration_and_counts() {
    let sink = Sink::start().unwrap();
    let mut client = Client::with_channel(sink.addr());
    client.declare_exchange("e", "topic");
    client.declare_queue("q");
    client.bind("q", "e", "#");
    let mut bytes = Vec::new();
    for _ in 0..10_000 {
        Publish { exchange: "e", routing_key: "q", ..Publish::default() }
            .encode_frame(1, &mut bytes);
        Properties::new().encode_frame(1, 200, &mut bytes);
        write_body_frames(&mut bytes, 1, &[0; 200], client.frame_max);
    }
    client.write(&bytes);
    let close = connection::AMQPMethod::Close(connection::Close::default());
    client.send(0, AMQPClass::Connection(close));
    client.method(0);
    assert_eq!(sink.published(), 10_000);
    assert!(sink.bytes() > bytes.len() as u64);
    assert_eq!(sink.errors(), 0);
    sink.stop();
}

#[test]
fn a_sink_confirms_on_channels_with_confirms() {
    let sink = Sink::start().unwrap();
    let mut client = Client::with_channel(sink.addr());
    client.publish("", "q", b"not counted for confirms");
    client.confirm_select();
    let mut settled = 0;
    for count in 1..=3 {
        for _ in 0..count {
            client.publish("", "q", b"x");
        }
        let expected = settled + count;
        while settled < expected {
            let frame = client.frame();
            let Ok(Some(HotMethod::Ack(ack))) = HotMethod::parse(&frame.payload) else {
                panic!("expected an ack");
            };
            settled = ack.delivery_tag;
        }
    }
    assert_eq!(settled, 6);
}

#[test]
fn a_sink_counts_garbage_as_an_error() {
    let sink = Sink::start().unwrap();
    let mut client = Client::with_channel(sink.addr());
    client.write(&[3, 0, 1, 0, 0, 0, 1, 1, 1]);
    client.expect_end();
    assert_eq!(sink.errors(), 1);
}

#[test]
fn a_source_sends_numbered_deliveries_until_cancelled() {
    for body_bytes in [0, 200, 200_000] {
        let source = Source::start(body_bytes).unwrap();
        let mut client = Client::with_channel(source.addr());
        client.declare_queue("q");
        client.consume("q", "tag", true);
        for expected in 1..=3_000 / (1 + body_bytes as u64 / 1000) {
            let message = client.delivery();
            assert_eq!((message.tag, message.body.len()), (expected, body_bytes));
        }
        let cancel = basic::Cancel { consumer_tag: "tag".into(), nowait: false };
        client.send_basic(basic::AMQPMethod::Cancel(cancel));
        let is_cancel_ok = |payload: &[u8]| payload.starts_with(&[0, 60, 0, 31]);
        while !is_cancel_ok(&client.frame().payload) {}
        assert!(source.delivered() > 0);
        source.stop();
    }
}
