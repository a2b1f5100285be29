//! Channels: requests and their replies, closing from both sides, cancelling, flow, confirms.

use amq_protocol::protocol::{AMQPClass, basic, channel, confirm};

use crate::proto::error::ProtoError;
use crate::proto::tests::scenario::{
    EventSummary, Scenario, channel_close, deliver, delivery, hex, on,
};
use crate::wire::hot::{Ack, Nack};

fn qos() -> AMQPClass {
    AMQPClass::Basic(basic::AMQPMethod::Qos(basic::Qos { prefetch_count: 1, global: false }))
}

fn select() -> AMQPClass {
    AMQPClass::Confirm(confirm::AMQPMethod::Select(confirm::Select { nowait: false }))
}

fn close_request() -> AMQPClass {
    AMQPClass::Channel(channel::AMQPMethod::Close(channel::Close {
        reply_code: 200,
        reply_text: "bye".into(),
        class_id: 0,
        method_id: 0,
    }))
}

fn qos_ok(number: u16) -> Vec<u8> {
    on(number, basic::AMQPMethod::QosOk(basic::QosOk {}))
}

fn select_ok(number: u16) -> Vec<u8> {
    on(number, confirm::AMQPMethod::SelectOk(confirm::SelectOk {}))
}

fn channel_close_ok(number: u16) -> Vec<u8> {
    on(number, channel::AMQPMethod::CloseOk(channel::CloseOk {}))
}

#[test]
fn a_channel_opens_one_byte_at_a_time() {
    let mut scenario = Scenario::open();
    assert!(scenario.connection.open_channel(1, 7));
    assert_eq!(scenario.output(), hex("01 0001 00000005 0014000A 00 CE"));
    scenario.receive_bytewise(&hex("01 0001 00000008 0014000B 00000000 CE"));
    assert_eq!(scenario.events(), [EventSummary::Reply { token: 7, method: (20, 11) }]);
}

#[test]
fn a_channel_number_opens_once_and_only_in_the_agreed_range() {
    let mut scenario = Scenario::open();
    assert!(!scenario.connection.open_channel(0, 1), "channel 0 is the connection");
    assert!(!scenario.connection.open_channel(2048, 1), "2047 were agreed");
    assert!(scenario.connection.open_channel(2047, 1));
    assert!(!scenario.connection.open_channel(2047, 1), "twice");
    assert!(!scenario.connection.request(9, 1, qos()), "never opened");
}

#[test]
fn a_channel_has_at_most_one_unanswered_request() {
    let mut scenario = Scenario::with_channels();
    assert!(scenario.connection.request(1, 11, qos()));
    assert!(scenario.connection.request(1, 12, select()));
    assert!(scenario.connection.request(2, 21, select()));
    assert_eq!(scenario.sent_ids(), [(1, 60, 10), (2, 85, 10)], "select of channel 1 waits");
    scenario.receive(&select_ok(2));
    assert_eq!(scenario.events(), [EventSummary::Reply { token: 21, method: (85, 11) }]);
    scenario.receive(&qos_ok(1));
    assert_eq!(scenario.events(), [EventSummary::Reply { token: 11, method: (60, 11) }]);
    assert_eq!(scenario.sent_ids(), [(1, 85, 10)]);
    scenario.receive(&select_ok(1));
    assert_eq!(scenario.events(), [EventSummary::Reply { token: 12, method: (85, 11) }]);
}

#[test]
fn a_reply_without_a_request_is_an_error() {
    let unexpected = ProtoError::Unexpected { what: "method", channel: 1 };
    assert_eq!(Scenario::with_channels().refuses(&qos_ok(1)), unexpected);
    let mut scenario = Scenario::with_channels();
    scenario.connection.request(1, 11, qos());
    assert_eq!(scenario.refuses(&select_ok(1)), unexpected);
    assert_eq!(Scenario::with_channels().refuses(&qos_ok(3)), ProtoError::UnknownChannel(3));
}

#[test]
fn the_broker_closes_a_channel_and_its_number_can_be_opened_again() {
    let mut scenario = Scenario::with_channels();
    scenario.connection.request(1, 11, qos());
    scenario.connection.request(1, 12, select());
    scenario.sent();
    scenario.receive_bytewise(&channel_close(1, 404, "NOT_FOUND - no queue"));
    let text = "NOT_FOUND - no queue".into();
    assert_eq!(scenario.events(), [EventSummary::ChannelClosed { channel: 1, code: 404, text }]);
    assert_eq!(scenario.output(), hex("01 0001 00000004 00140029 CE"), "close-ok, no select");
    assert!(!scenario.connection.request(1, 13, qos()));
    assert!(scenario.connection.open_channel(1, 14));
    scenario.receive(&hex("01 0001 00000008 0014000B 00000000 CE"));
    assert_eq!(scenario.events(), [EventSummary::Reply { token: 14, method: (20, 11) }]);
    scenario.receive(&delivery(2, 1, b"the other lives"));
    assert_eq!(scenario.events().len(), 1);
}

#[test]
fn a_frame_on_a_closed_channel_is_an_error() {
    let mut scenario = Scenario::with_channels();
    scenario.receive(&channel_close(1, 406, "PRECONDITION_FAILED"));
    assert_eq!(scenario.refuses(&deliver(1, 1)), ProtoError::UnknownChannel(1));
}

#[test]
fn deliveries_still_arrive_after_our_channel_close() {
    let mut scenario = Scenario::with_channels();
    assert!(scenario.connection.request(1, 11, close_request()));
    assert_eq!(scenario.sent_ids(), [(1, 20, 40)]);
    scenario.receive(&delivery(1, 1, b"late"));
    assert!(matches!(scenario.events()[..], [EventSummary::Delivery { .. }]));
    scenario.receive(&qos_ok(1));
    assert!(scenario.events().is_empty(), "stale answers are nobody's");
    scenario.receive(&channel_close_ok(1));
    assert_eq!(scenario.events(), [EventSummary::Reply { token: 11, method: (20, 41) }]);
    assert!(!scenario.connection.request(1, 12, qos()));
}

#[test]
fn both_sides_may_close_a_channel_at_once() {
    let mut scenario = Scenario::with_channels();
    scenario.connection.request(1, 11, close_request());
    scenario.sent();
    // RabbitMQ answers our close although it waits for the reply to its own.
    scenario.receive(&channel_close(1, 404, "NOT_FOUND"));
    assert_eq!(scenario.sent_ids(), [(1, 20, 41)]);
    scenario.receive(&channel_close_ok(1));
    let text = "NOT_FOUND".into();
    let closed = EventSummary::ChannelClosed { channel: 1, code: 404, text };
    let answered = EventSummary::Reply { token: 11, method: (20, 41) };
    assert_eq!(scenario.events(), [closed, answered]);
    assert!(scenario.connection.open_channel(1, 12), "the number is free");
}

#[test]
fn an_unsent_channel_close_is_not_waited_for() {
    let mut scenario = Scenario::with_channels();
    scenario.connection.request(1, 11, qos());
    scenario.connection.request(1, 12, close_request());
    scenario.sent();
    scenario.receive(&channel_close(1, 404, "NOT_FOUND"));
    assert_eq!(scenario.sent_ids(), [(1, 20, 41)]);
    assert!(scenario.connection.open_channel(1, 13), "the number is free");
}

#[test]
fn consumers_are_cancelled_from_both_sides() {
    let mut scenario = Scenario::with_channels();
    let cancel = |nowait| {
        on(1, basic::AMQPMethod::Cancel(basic::Cancel { consumer_tag: "c".into(), nowait }))
    };
    scenario.receive(&cancel(true));
    let cancelled = EventSummary::ConsumerCancelled { channel: 1, tag: "c".into() };
    assert_eq!(scenario.events(), std::slice::from_ref(&cancelled));
    assert!(scenario.output().is_empty());
    scenario.receive(&cancel(false));
    assert_eq!(scenario.events(), [cancelled]);
    assert_eq!(scenario.output(), hex("01 0001 00000006 003C001F 0163 CE"), "cancel-ok");

    let request = basic::Cancel { consumer_tag: "c".into(), nowait: false };
    let request = AMQPClass::Basic(basic::AMQPMethod::Cancel(request));
    scenario.connection.request(1, 11, request);
    assert_eq!(scenario.output(), hex("01 0001 00000007 003C001E 0163 00 CE"));
    scenario.receive(&hex("01 0001 00000006 003C001F 0163 CE"));
    assert_eq!(scenario.events(), [EventSummary::Reply { token: 11, method: (60, 31) }]);
}

#[test]
fn flow_is_answered() {
    let mut scenario = Scenario::with_channels();
    for active in ["00", "01"] {
        scenario.receive(&hex(&format!("01 0001 00000005 00140014 {active} CE")));
        assert_eq!(scenario.output(), hex(&format!("01 0001 00000005 00140015 {active} CE")));
    }
    assert!(scenario.events().is_empty());
}

#[test]
fn confirms_report_tag_and_multiple() {
    let mut scenario = Scenario::with_channels();
    let mut bytes = Vec::new();
    Ack { delivery_tag: 3, multiple: true }.encode_frame(1, &mut bytes);
    Ack { delivery_tag: u64::MAX, multiple: false }.encode_frame(2, &mut bytes);
    Nack { delivery_tag: 5, multiple: true, requeue: true }.encode_frame(1, &mut bytes);
    scenario.receive_bytewise(&bytes);
    let confirmed =
        |channel, tag, multiple, ack| EventSummary::Confirmed { channel, tag, multiple, ack };
    let all = [
        confirmed(1, 3, true, true),
        confirmed(2, u64::MAX, false, true),
        confirmed(1, 5, true, false),
    ];
    assert_eq!(scenario.events(), all);
}

#[test]
fn methods_that_only_clients_send_are_refused() {
    let publish = hex("01 0001 00000009 003C0028 0000 00 00 00 CE");
    let reject = hex("01 0001 0000000D 003C005A 0000000000000001 00 CE");
    for bytes in [publish, reject] {
        let error = Scenario::with_channels().refuses(&bytes);
        assert_eq!(error, ProtoError::Unexpected { what: "client's method", channel: 1 });
    }
    let declare = hex("01 0001 0000000C 0032000A 0000 00 00 00000000 CE");
    let error = Scenario::with_channels().refuses(&declare);
    assert_eq!(error, ProtoError::Unexpected { what: "method", channel: 1 });
}
