//! Notifications in the bytes of Python's `rabbit` driver.

use serde::Serialize;
use serde_json::{Value, json};

use super::{alice, id};
use crate::dialect::body::scratch::Scratch;
use crate::dialect::kombu::notification;
use crate::message::context::Context;
use crate::message::notification::OutgoingNotification;
use crate::message::priority::Priority;

fn notification_text(
    (message_id, timestamp, unique): (&str, &str, &str),
    context: &Context,
    is_enveloped: bool,
) -> String {
    #[derive(Serialize)]
    struct Payload {
        k: &'static str,
        u: &'static str,
    }
    let notification = OutgoingNotification {
        message_id,
        publisher_id: "pub.host1",
        event_type: "ev.audit",
        priority: Priority::Audit,
        payload: &Payload { k: "audit", u: "é" },
        timestamp,
        unique_id: id(unique),
        context,
    };
    let mut out = Vec::new();
    notification::encode(&mut out, &notification, is_enveloped).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn notifications_are_written_and_read_as_by_python() {
    for (golden, ids, is_enveloped) in [
        (
            golden!("notification_v2"),
            (
                "eacac8b8-8e04-435d-98e5-992c85660d6c",
                "2026-11-22 22:32:27.290698",
                "159074b7c9824b089d2daa6ff2f9bbfd",
            ),
            true,
        ),
        (
            golden!("notification_v1"),
            (
                "f933099d-68ff-4867-b3a1-96c882ad34c9",
                "2026-11-22 22:32:27.374828",
                "71a9ee99aba54e6fa062bd8458a19be1",
            ),
            false,
        ),
    ] {
        assert_eq!(notification_text(ids, &Context::new(), is_enveloped), golden);
        let mut scratch = Scratch::default();
        let read = notification::decode(golden.as_bytes(), &mut scratch).unwrap();
        assert_eq!(read.message_id.as_deref(), Some(ids.0));
        assert_eq!(read.publisher_id.as_deref(), Some("pub.host1"));
        assert_eq!(read.event_type.as_deref(), Some("ev.audit"));
        assert_eq!(read.priority.as_deref(), Some("AUDIT"));
        assert_eq!(read.timestamp.as_deref(), Some(ids.1));
        assert_eq!(read.unique_id.as_deref(), Some(ids.2));
        let payload: Value = read.payload.unwrap().read().unwrap();
        assert_eq!(payload, json!({"k": "audit", "u": "é"}));
        assert!(read.context.is_empty());
    }
}

#[test]
fn a_notification_has_its_context() {
    let ids = ("m", "t", "159074b7c9824b089d2daa6ff2f9bbfd");
    for is_enveloped in [true, false] {
        let text = notification_text(ids, &alice(), is_enveloped);
        let mut scratch = Scratch::default();
        let read = notification::decode(text.as_bytes(), &mut scratch).unwrap();
        assert_eq!(read.context, alice());
    }
}
