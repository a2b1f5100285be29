//! A notification as users see it, and the metadata that a notifier adds to one.

use arrayvec::ArrayString;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use crate::message::context::Context;
use crate::message::ids::Hex32;
use crate::message::priority::Priority;

/// A notification: an event with its publisher and its payload.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Notification<T = Value> {
    /// The publisher, such as `compute.host1`.
    pub publisher_id: String,
    /// The type of the event, such as `compute.instance.create.end`.
    pub event_type: String,
    /// Its priority.
    pub priority: Priority,
    /// Its payload.
    pub payload: T,
    /// The context it was sent in, without entries that look secret.
    pub context: Context,
    /// Its id; a UUID if oslo or Leveret sent it. Part of oslo's `metadata`.
    pub message_id: String,
    /// When it was sent, as `2026-11-22 22:32:27.290698` in UTC. Part of oslo's `metadata`.
    pub timestamp: String,
}

/// As Python prints a naive UTC time: microseconds only if there are any.
pub(crate) fn timestamp(at: OffsetDateTime) -> ArrayString<26> {
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second, micros) = at.to_hms_micro();
    let mut text = ArrayString::new();
    // Digit by digit: `format!` would be a quarter of the cost of a notification.
    let mut push = |before: &str, number: u32, width: u32| {
        text.push_str(before);
        for place in (0..width).rev() {
            text.push(char::from(b'0' + (number / 10_u32.pow(place) % 10) as u8));
        }
    };
    push("", year.unsigned_abs(), 4);
    push("-", u8::from(month).into(), 2);
    push("-", day.into(), 2);
    push(" ", hour.into(), 2);
    push(":", minute.into(), 2);
    push(":", second.into(), 2);
    if micros > 0 {
        push(".", micros, 6);
    }
    text
}

/// An id in the form of a random UUID (version 4), made from one of ours. The digits that version
/// and variant replace move to a place where all ids of a transport have the same digits, so that
/// ids still differ.
pub(crate) fn uuid(id: Hex32) -> ArrayString<36> {
    let mut digits = *id.as_bytes();
    (digits[10], digits[11]) = (digits[12], digits[16]);
    (digits[12], digits[16]) = (b'4', b"89ab"[usize::from(digits[17] & 3)]);
    let digits = std::str::from_utf8(&digits).expect("hex digits are ASCII");
    let mut text = ArrayString::new();
    for (before, group) in [("", 0..8), ("-", 8..12), ("-", 12..16), ("-", 16..20), ("-", 20..32)] {
        text.push_str(before);
        text.push_str(&digits[group]);
    }
    text
}

impl<T: Serialize> Notification<T> {
    /// The notification as JSON, for drivers that do not publish.
    pub(crate) fn to_value(&self) -> Value {
        serde_json::json!({
            "message_id": self.message_id,
            "publisher_id": self.publisher_id,
            "event_type": self.event_type,
            "priority": self.priority.as_upper_str(),
            "payload": serde_json::to_value(&self.payload).unwrap_or_default(),
            "timestamp": self.timestamp,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ids::IdSource;

    #[test]
    fn times_are_printed_as_by_python() {
        let at = |nanos| OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap();
        let text = timestamp(at(1_795_386_747_290_698_999));
        assert_eq!(&*text, "2026-11-22 22:32:27.290698");
        assert_eq!(&*timestamp(at(1_795_386_747_000_000_999)), "2026-11-22 22:32:27");
        assert_eq!(&*timestamp(at(1_000)), "1970-01-01 00:00:00.000001");
    }

    #[test]
    fn ids_look_like_random_uuids_and_differ() {
        let source = IdSource::new().unwrap();
        let mut all = std::collections::HashSet::new();
        for _ in 0..1000 {
            let text = uuid(source.unique_id());
            let bytes = text.as_bytes();
            assert_eq!((text.len(), bytes[14]), (36, b'4'), "{text}");
            assert!(b"89ab".contains(&bytes[19]), "{text}");
            assert!([8, 13, 18, 23].iter().all(|&at| bytes[at] == b'-'), "{text}");
            assert!(all.insert(text));
        }
    }
}
