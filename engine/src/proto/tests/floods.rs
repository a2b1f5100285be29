//! A broker that sends faster than it reads: the responses kept for it are bounded.

use amq_protocol::protocol::{AMQPClass, basic, channel};

use crate::proto::tests::scenario::{EventSummary, Scenario, close, hex, on, start};

fn flow(number: u16, active: bool) -> Vec<u8> {
    on(number, channel::AMQPMethod::Flow(channel::Flow { active }))
}

fn cancel(tag: &str) -> Vec<u8> {
    let cancel = basic::Cancel { consumer_tag: tag.into(), nowait: false };
    on(1, basic::AMQPMethod::Cancel(cancel))
}

#[test]
fn only_the_last_flow_ok_of_each_channel_is_kept() {
    let mut scenario = Scenario::with_channels();
    for round in 0..10_000 {
        scenario.receive(&flow(1, round % 2 == 0));
        scenario.receive(&flow(2, true));
    }
    let ok = |active| AMQPClass::Channel(channel::AMQPMethod::FlowOk(channel::FlowOk { active }));
    assert_eq!(scenario.sent(), [(1, ok(false)), (2, ok(true))], "the last of each");
    scenario.receive(&flow(2, false));
    assert_eq!(scenario.sent(), [(2, ok(false))]);
}

#[test]
fn a_flow_ok_does_not_follow_the_end_of_its_channel() {
    let mut scenario = Scenario::with_channels();
    scenario.receive(&flow(1, true));
    scenario.receive(&super::scenario::channel_close(1, 404, "NOT_FOUND"));
    assert_eq!(scenario.sent_ids(), [(1, 20, 41)]);
}

#[test]
fn only_one_heartbeat_is_kept() {
    let mut scenario = Scenario::open();
    for _ in 0..100 {
        scenario.receive(&hex("08 0000 00000000 CE"));
        scenario.wait(6).unwrap();
    }
    assert_eq!(scenario.output(), hex("08 0000 00000000 CE"));
    scenario.wait(6).unwrap();
    assert_eq!(scenario.output(), hex("08 0000 00000000 CE"));
}

#[test]
fn too_many_unread_responses_end_the_connection() {
    let mut scenario = Scenario::with_channels();
    let cancels = cancel(&"c".repeat(200)).repeat(100);
    let rounds = (0..1000).take_while(|_| scenario.try_receive(&cancels).is_ok()).count();
    assert!((10..100).contains(&rounds), "{rounds} times 20 kB");
}

#[test]
fn responses_that_are_read_are_not_limited() {
    let mut scenario = Scenario::with_channels();
    let cancels = cancel(&"c".repeat(200)).repeat(100);
    for _ in 0..200 {
        scenario.receive(&cancels);
        assert_eq!(scenario.sent().len(), 100);
    }
}

#[test]
fn texts_of_the_broker_are_escaped_and_cut() {
    let mut scenario = Scenario::with_channels();
    scenario.receive(&super::scenario::channel_close(
        1,
        404,
        "NOT_FOUND - no queue 'é\u{1b}[2J\n'",
    ));
    scenario.receive(&close(320, "a\0b\u{202e}c\\"));
    let [
        EventSummary::ChannelClosed { text: first, .. },
        EventSummary::Closed { text: second, .. },
    ] = &scenario.events()[..]
    else {
        panic!("two ends");
    };
    assert_eq!(first, r"NOT_FOUND - no queue 'é\u{1b}[2J\n'");
    assert_eq!(second, r"a\u{0}b\u{202e}c\");
    let mechanisms = "x".repeat(10_000);
    let refused = Scenario::greeting(super::scenario::settings()).refuses(&start(&mechanisms));
    assert!(refused.to_string().len() < 1200, "{refused}");
}
