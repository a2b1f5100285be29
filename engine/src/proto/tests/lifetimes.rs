//! The connection as a whole: heartbeats, blocked, and how it ends.

use amq_protocol::protocol::connection;

use crate::proto::error::ProtoError;
use crate::proto::handshake::Settings;
use crate::proto::tests::scenario::{
    EventSummary, Scenario, close, close_ok, deliver, delivery, hex, on, open_ok, settings, start,
    tune,
};

const HEARTBEAT: &str = "08 0000 00000000 CE";

#[test]
fn a_heartbeat_is_due_after_half_an_interval_without_sending() {
    let mut scenario = Scenario::open();
    scenario.wait(4).unwrap();
    assert!(scenario.output().is_empty());
    scenario.wait(1).unwrap();
    assert_eq!(scenario.output(), hex(HEARTBEAT));
    scenario.wait(4).unwrap();
    scenario.connection.sent(scenario.now);
    scenario.wait(4).unwrap();
    assert!(scenario.output().is_empty(), "any byte sent is a heartbeat");
    let next = scenario.connection.next_timeout().unwrap();
    assert_eq!(next - scenario.now, std::time::Duration::from_secs(1));
}

#[test]
fn two_intervals_of_silence_mean_death_and_any_byte_resets_them() {
    let mut scenario = Scenario::open();
    for _ in 0..5 {
        scenario.wait(19).unwrap();
        scenario.receive(&hex(HEARTBEAT)[..1]);
        scenario.wait(19).unwrap();
        scenario.receive(&hex(HEARTBEAT)[1..]);
    }
    assert!(scenario.events().is_empty(), "heartbeats are nobody's business");
    let twenty = std::time::Duration::from_secs(20);
    assert_eq!(scenario.wait(20), Err(ProtoError::HeartbeatMissed(twenty)));
}

#[test]
fn a_peer_that_is_not_read_is_not_declared_dead_and_still_gets_heartbeats() {
    let mut scenario = Scenario::open();
    scenario.connection.set_reading(false, scenario.now);
    scenario.wait(100).unwrap();
    assert_eq!(scenario.output(), hex(HEARTBEAT));
    scenario.connection.set_reading(true, scenario.now);
    scenario.wait(19).unwrap();
    assert!(scenario.wait(1).is_err());
}

#[test]
fn without_heartbeats_there_is_no_timeout() {
    let heartbeat = std::time::Duration::ZERO;
    let mut scenario = Scenario::greeting(Settings { heartbeat, ..settings() });
    scenario.receive(&[start("PLAIN"), tune(0, 0, 60), open_ok()].concat());
    scenario.output();
    assert_eq!(scenario.connection.next_timeout(), None);
    scenario.wait(1_000_000).unwrap();
    assert!(scenario.output().is_empty());
}

#[test]
fn blocked_is_reported_with_its_reason() {
    let mut scenario = Scenario::open();
    let blocked = connection::Blocked { reason: "low on memory".into() };
    scenario.receive(&on(0, connection::AMQPMethod::Blocked(blocked)));
    scenario.receive(&on(0, connection::AMQPMethod::Unblocked(connection::Unblocked {})));
    assert_eq!(
        scenario.events(),
        [EventSummary::Blocked("low on memory".into()), EventSummary::Unblocked]
    );
    assert!(scenario.output().is_empty());
}

#[test]
fn frames_after_the_close_of_the_broker_are_ignored() {
    let mut scenario = Scenario::with_channels();
    let text = "CONNECTION_FORCED - maintenance";
    scenario.receive(&[delivery(1, 1, b"x"), close(320, text), deliver(1, 2)].concat());
    let [EventSummary::Delivery { .. }, EventSummary::Closed { code: 320, text: kept }] =
        &scenario.events()[..]
    else {
        panic!("a delivery and a close");
    };
    assert_eq!(kept, text);
    assert_eq!(scenario.output(), hex("01 0000 00000004 000A0033 CE"));
}

#[test]
fn our_close_waits_for_close_ok() {
    let mut scenario = Scenario::with_channels();
    scenario.connection.close(200, "bye");
    assert_eq!(scenario.output(), hex("01 0000 0000000E 000A0032 00C8 03627965 0000 0000 CE"));
    scenario.receive(&delivery(1, 1, b"late"));
    let blocked = connection::Blocked { reason: "too late".into() };
    scenario.receive(&on(0, connection::AMQPMethod::Blocked(blocked)));
    assert!(
        matches!(scenario.events()[..], [EventSummary::Delivery { .. }]),
        "deliveries still come"
    );
    scenario.receive(&close_ok());
    assert!(matches!(scenario.events()[..], [EventSummary::Closed { code: 200, .. }]));
    assert!(scenario.output().is_empty());
}

#[test]
fn both_sides_may_close_the_connection_at_once() {
    let mut scenario = Scenario::open();
    scenario.connection.close(200, "bye");
    scenario.sent();
    scenario.receive(&close(541, "INTERNAL_ERROR"));
    assert_eq!(scenario.output(), hex("01 0000 00000004 000A0033 CE"));
    let text = "INTERNAL_ERROR".into();
    assert_eq!(scenario.events(), [EventSummary::Closed { code: 541, text }]);
}

#[test]
fn an_unexpected_close_ok_is_an_error() {
    let unexpected = ProtoError::Unexpected { what: "connection method", channel: 0 };
    assert_eq!(Scenario::open().refuses(&close_ok()), unexpected);
    let on_channel_zero = ProtoError::Unexpected { what: "method", channel: 0 };
    assert_eq!(Scenario::open().refuses(&deliver(0, 1)), on_channel_zero);
}

#[test]
fn a_long_text_is_cut_at_a_character() {
    let mut scenario = Scenario::open();
    scenario.connection.close(200, &"é".repeat(200));
    let (_, sent) = scenario.sent().remove(0);
    let text = format!("{sent:?}");
    assert!(text.contains(&"é".repeat(127)) && !text.contains(&"é".repeat(128)));
}
