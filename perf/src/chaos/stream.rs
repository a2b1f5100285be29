//! The streams of messages that clients send, and the consumers of servers that receive them.
//!
//! Invariant: an id holds its client and its stream, so a server can report an execution by the id
//! alone. Not here: how messages are sent (`client`), and what is promised of them (`verdict`).

use serde::{Deserialize, Serialize};

/// A stream of messages of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Stream {
    /// A confirmed, mandatory cast, at least once.
    Cast,
    /// A confirmed cast, at most once.
    CastOnce,
    /// A buffered cast.
    CastBuffered,
    /// A call whose request is sent at least once.
    Call,
    /// A call whose request is sent at most once.
    CallOnce,
    /// A cast to all servers.
    Fanout,
    /// A notification.
    Notification,
    /// A cast through a durable classic queue.
    ClassicCast,
    /// A call through a durable classic queue.
    ClassicCall,
    /// A notification through a durable classic queue.
    ClassicNotification,
}

/// A consumer of a server process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Consumer {
    /// The server of at-least-once requests.
    Requests,
    /// The server of at-most-once requests.
    Once,
    /// The fanout queue of the server of at-least-once requests.
    Fanout,
    /// The notification listener.
    Events,
    /// The server on a durable classic queue.
    Classic,
    /// The notification listener on a durable classic queue.
    ClassicEvents,
}

impl Stream {
    pub(super) const ALL: [Self; 10] = [
        Self::Cast,
        Self::CastOnce,
        Self::CastBuffered,
        Self::Call,
        Self::CallOnce,
        Self::Fanout,
        Self::Notification,
        Self::ClassicCast,
        Self::ClassicCall,
        Self::ClassicNotification,
    ];

    /// The consumer that receives its messages.
    pub(super) const fn consumer(self) -> Consumer {
        match self {
            Self::Cast | Self::CastBuffered | Self::Call => Consumer::Requests,
            Self::CastOnce | Self::CallOnce => Consumer::Once,
            Self::Fanout => Consumer::Fanout,
            Self::Notification => Consumer::Events,
            Self::ClassicCast | Self::ClassicCall => Consumer::Classic,
            Self::ClassicNotification => Consumer::ClassicEvents,
        }
    }

    /// Whether the client waits for a reply.
    pub(super) const fn is_call(self) -> bool {
        matches!(self, Self::Call | Self::CallOnce | Self::ClassicCall)
    }

    /// Whether its messages are published once at most, to servers that refuse redelivered ones.
    pub(super) const fn is_at_most_once(self) -> bool {
        matches!(self, Self::CastOnce | Self::CallOnce)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Cast => "cast",
            Self::CastOnce => "cast-once",
            Self::CastBuffered => "cast-buffered",
            Self::Call => "call",
            Self::CallOnce => "call-once",
            Self::Fanout => "fanout",
            Self::Notification => "notification",
            Self::ClassicCast => "classic-cast",
            Self::ClassicCall => "classic-call",
            Self::ClassicNotification => "classic-notification",
        }
    }
}

impl Consumer {
    pub(super) const ALL: [Self; 6] = [
        Self::Requests,
        Self::Once,
        Self::Fanout,
        Self::Events,
        Self::Classic,
        Self::ClassicEvents,
    ];

    /// Whether its queue is a quorum queue.
    pub(super) const fn is_quorum(self) -> bool {
        !matches!(self, Self::Classic | Self::ClassicEvents)
    }

    /// Its topic in a run with this tag.
    pub(super) fn topic(self, tag: &str) -> String {
        let name = match self {
            Self::Requests | Self::Fanout => "requests",
            Self::Once => "once",
            Self::Events => "events",
            Self::Classic => "classic",
            Self::ClassicEvents => "classic_events",
        };
        format!("{tag}_{name}")
    }

    /// A regular expression of the names of its queues, without those of one server alone.
    pub(super) fn queues(self, tag: &str) -> String {
        let topic = self.topic(tag);
        match self {
            Self::Requests | Self::Once | Self::Classic => format!("^{topic}$"),
            Self::Fanout => format!("^{topic}_fanout"),
            Self::Events | Self::ClassicEvents => format!("^{topic}\\.info$"),
        }
    }
}

/// A process of the fleet; a process that replaces it has another number.
pub(super) type WorkerNumber = u32;

/// The id of one request or notification. As a number it is below 2^53, so all JSON readers keep
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) worker: WorkerNumber,
    pub(super) stream: Stream,
    pub(super) number: u32,
}

impl Id {
    /// As one number.
    pub(super) fn to_number(self) -> u64 {
        let stream = Stream::ALL.iter().position(|one| *one == self.stream).unwrap_or(0);
        (u64::from(self.worker) << 36) | ((stream as u64) << 32) | u64::from(self.number)
    }

    pub(super) fn of_number(number: u64) -> Option<Self> {
        let stream = *Stream::ALL.get((number >> 32) as usize & 15)?;
        let worker = u32::try_from(number >> 36).ok()?;
        Some(Self { worker, stream, number: number as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_number_and_back() {
        for stream in Stream::ALL {
            let id = Id { worker: 9999, stream, number: u32::MAX };
            assert!(id.to_number() < 1 << 53);
            assert_eq!(Id::of_number(id.to_number()), Some(id));
        }
        assert_eq!(Id::of_number(15 << 32), None);
    }

    #[test]
    fn every_stream_is_taken_by_someone_and_every_consumer_has_a_stream() {
        for consumer in Consumer::ALL {
            assert!(Stream::ALL.iter().any(|stream| stream.consumer() == consumer));
        }
    }
}
