//! Health: whether connections are there, at a glance.
//!
//! Plain readings of what the engine knows already: no question is sent to a broker, so a broker
//! that died a moment ago may still look well, for as long as the heartbeat allows.

use std::time::Instant;

use leveret_engine::{ConnectionState, ConsumerState};

/// Where one connection of a transport, server or listener stands.
///
/// ```
/// use leveret::{ConnectionState, Transport};
///
/// # fn main() -> Result<(), leveret::Error> {
/// let transport = Transport::connect_blocking("fake://")?;
/// let health = transport.health();
/// assert!(health.is_ready());
/// assert_eq!(health.connections[0].purpose, "publish");
/// assert_eq!(health.connections[0].state, ConnectionState::Open);
/// assert!(health.connections[0].last_error.is_none());
/// transport.close_blocking()?;
/// assert!(!transport.health().is_ready());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectionHealth {
    /// What it is for, as in its name at the broker: `publish` (requests), `notify`, `replies` (to
    /// our calls), `answers` (to calls of others), `server` or `listener`. Where the
    /// [factory](crate::ConnectionFactory) lets several share one: `all` (`single`), `write` and
    /// `read` (`read_write`), `publish` (`pool` and `per_shard`: requests, notifications, answers).
    pub purpose: &'static str,
    /// Which it is of several of one transport that publish, from 0.
    pub number: usize,
    /// Where it stands; with the broker's reason where publishers are blocked.
    pub state: ConnectionState,
    /// Since when it stands there.
    pub since: Instant,
    /// The broker it is connected to, or was last: `host:port`, without user and password.
    pub host: String,
    /// Why it was lost last, or why the last attempt to connect failed. It stays when the
    /// connection is open again.
    pub last_error: Option<leveret_engine::Error>,
    /// Times it was lost.
    pub reconnects: u64,
}

impl ConnectionHealth {
    /// It does its work: open, and if it publishes, not blocked.
    pub fn is_ready(&self) -> bool {
        match self.state {
            ConnectionState::Open => true,
            ConnectionState::Blocked(_) => {
                matches!(self.purpose, "replies" | "server" | "listener" | "read")
            }
            _ => false,
        }
    }

    /// Why it is down, if it is to come back and the reason is known.
    pub(crate) fn why_down(&self) -> Option<leveret_engine::Error> {
        self.last_error.clone().filter(|_| self.state == ConnectionState::Connecting)
    }

    /// Whether both are readings of one connection, if they are of one transport.
    pub(crate) fn is_same_connection(&self, other: &Self) -> bool {
        (self.purpose, self.number) == (other.purpose, other.number)
    }
}

/// How one consumer of a server, listener or transport is doing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConsumerHealth {
    /// The queue it consumes from.
    pub queue: String,
    /// Whether the broker delivers to it; otherwise why not: the queue is gone, locked or refused,
    /// or the connection is down. It is tried again by itself, at least every 5 s.
    pub state: ConsumerState,
    /// Since when.
    pub since: Instant,
}

impl ConsumerHealth {
    /// The broker delivers to it.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, ConsumerState::Consuming)
    }
}

/// The way replies come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplyPath {
    /// No call was made yet.
    Unused,
    /// The first call is opening it, or the next one will open it again.
    Opening,
    /// The reply queue is there and consumed.
    Open,
    /// The reply queue cannot be consumed now; [`TransportHealth::replies`] has the reason. It is
    /// tried again by itself.
    Waiting,
}

/// How a transport is doing; see [`Transport::health`](crate::Transport::health).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TransportHealth {
    /// The connections there are, each once: `publish` always (or what it shares), the others from
    /// their first use on. Those of servers and listeners are listed where they are shared; each
    /// tells of its own.
    pub connections: Vec<ConnectionHealth>,
    /// Whether replies can come back.
    pub reply_path: ReplyPath,
    /// The consumer of replies, once a call was made.
    pub replies: Option<ConsumerHealth>,
}

impl TransportHealth {
    /// Every connection there is does its work, and the way of replies, once used, is open.
    pub fn is_ready(&self) -> bool {
        matches!(self.reply_path, ReplyPath::Unused | ReplyPath::Open)
            && self.connections.iter().all(ConnectionHealth::is_ready)
    }
}

/// How a server or listener is doing; see [`RpcServer::health`](crate::RpcServer::health) and
/// [`NotificationListener::health`](crate::NotificationListener::health).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ListeningHealth {
    /// The connection it listens on.
    pub connection: ConnectionHealth,
    /// Its consumers, one for each queue.
    pub consumers: Vec<ConsumerHealth>,
    /// It has stopped: it takes nothing new.
    pub is_stopped: bool,
}

impl ListeningHealth {
    /// Its connection is open, the broker delivers to each of its consumers, and it takes what
    /// comes.
    pub fn is_ready(&self) -> bool {
        !self.is_stopped
            && self.connection.is_ready()
            && self.consumers.iter().all(ConsumerHealth::is_ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(purpose: &'static str, state: ConnectionState) -> ConnectionHealth {
        let (since, host) = (crate::runtime::timer::now(), "h:5672".to_owned());
        let number = 0;
        ConnectionHealth { purpose, number, state, since, host, last_error: None, reconnects: 0 }
    }

    #[test]
    fn a_block_stops_publishers_alone() {
        let blocked = || ConnectionState::Blocked("memory".into());
        for purpose in ["publish", "notify", "answers", "write", "all"] {
            assert!(!connection(purpose, blocked()).is_ready(), "{purpose}");
        }
        for purpose in ["replies", "server", "listener", "read"] {
            assert!(connection(purpose, blocked()).is_ready(), "{purpose}");
            assert!(!connection(purpose, ConnectionState::Connecting).is_ready(), "{purpose}");
        }
    }

    #[test]
    fn readiness_needs_every_part() {
        let open = || connection("publish", ConnectionState::Open);
        let health = |reply_path, connections| {
            let replies = None;
            TransportHealth { connections, reply_path, replies }
        };
        assert!(health(ReplyPath::Unused, vec![open()]).is_ready());
        assert!(!health(ReplyPath::Opening, vec![open()]).is_ready());
        assert!(!health(ReplyPath::Waiting, vec![open()]).is_ready());
        let lost = connection("replies", ConnectionState::Connecting);
        assert!(!health(ReplyPath::Open, vec![open(), lost]).is_ready());
        let listening = |is_stopped, state| {
            let (queue, since) = ("q".to_owned(), crate::runtime::timer::now());
            let consumers = vec![ConsumerHealth { queue, state, since }];
            ListeningHealth { connection: open(), consumers, is_stopped }
        };
        let consuming = || ConsumerState::Consuming;
        assert!(listening(false, consuming()).is_ready());
        assert!(!listening(true, consuming()).is_ready());
        let reason = leveret_engine::Error::from(leveret_engine::TicketError::TimedOut);
        assert!(!listening(false, ConsumerState::Waiting(reason)).is_ready());
    }
}
