//! Health: the state of connections and consumers.
//!
//! A reading costs no message: it reports what the engine knows. A broker that died a moment ago
//! still looks healthy until a heartbeat is missed.

use std::time::Instant;

use leveret_engine::{ConnectionState, ConsumerState};

/// The state of one connection of a transport, server or listener.
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
    /// What the connection is for, as in its name at the broker: `publish` (requests), `casts`
    /// (buffered casts), `notify`, `replies` (received by clients), `answers` (replies sent by
    /// servers), `server` or `listener`. Shared connections, where the
    /// [factory](crate::ConnectionFactory) makes them: `all` (`single`), `write` and `read`
    /// (`read_write`), `publish` (`pool` and `per_shard`: requests, notifications and replies of
    /// servers).
    pub purpose: &'static str,
    /// Its number among the publishing connections of one transport, from 0.
    pub number: usize,
    /// Its state; with the broker's reason if the broker blocks publishers.
    pub state: ConnectionState,
    /// When it entered this state.
    pub since: Instant,
    /// The broker it is connected to, or was connected to last: `host:port`, without user and
    /// password.
    pub host: String,
    /// Why it was lost last, or why the last attempt to connect failed. A reconnect does not clear
    /// it.
    pub last_error: Option<leveret_engine::Error>,
    /// How often it was lost.
    pub reconnects: u64,
}

impl ConnectionHealth {
    /// Whether it works: it is open and, if it publishes, not blocked.
    pub fn is_ready(&self) -> bool {
        match self.state {
            ConnectionState::Open => true,
            ConnectionState::Blocked(_) => {
                matches!(self.purpose, "replies" | "server" | "listener" | "read")
            }
            _ => false,
        }
    }

    /// Returns why it is down, if the engine is reconnecting it and knows the reason.
    pub(crate) fn why_down(&self) -> Option<leveret_engine::Error> {
        self.last_error.clone().filter(|_| self.state == ConnectionState::Connecting)
    }

    /// Whether both readings, of one transport, are of the same connection.
    pub(crate) fn is_same_connection(&self, other: &Self) -> bool {
        (self.purpose, self.number) == (other.purpose, other.number)
    }
}

/// The state of one consumer of a server, listener or transport.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConsumerHealth {
    /// The queue it consumes from.
    pub queue: String,
    /// Whether the broker delivers to it; otherwise why not: the queue is gone, locked or refused,
    /// or the connection is down. The engine retries at least every 5 s.
    pub state: ConsumerState,
    /// When it entered this state.
    pub since: Instant,
}

impl ConsumerHealth {
    /// Whether the broker delivers to it.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, ConsumerState::Consuming)
    }
}

/// The state of the queue that receives the replies to calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplyPath {
    /// No call has been made.
    Unused,
    /// The first call is opening the reply queue, or the next call will open it again.
    Opening,
    /// The reply queue exists and is consumed.
    Open,
    /// The reply queue cannot be consumed now; [`TransportHealth::replies`] has the reason. The
    /// engine retries.
    Waiting,
}

/// The state of a transport; see [`Transport::health`](crate::Transport::health).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TransportHealth {
    /// Its connections, each once: `publish` (or the connection it shares) always, the others from
    /// their first use on. Connections of servers and listeners are listed only if they are
    /// shared; see [`ListeningHealth::connection`] for the others.
    pub connections: Vec<ConnectionHealth>,
    /// Whether replies can be received.
    pub reply_path: ReplyPath,
    /// The consumer of the reply queue, once a call was made.
    pub replies: Option<ConsumerHealth>,
}

impl TransportHealth {
    /// Whether every connection works and the reply queue, once used, is consumed.
    pub fn is_ready(&self) -> bool {
        matches!(self.reply_path, ReplyPath::Unused | ReplyPath::Open)
            && self.connections.iter().all(ConnectionHealth::is_ready)
    }
}

/// The state of a server or listener; see [`RpcServer::health`](crate::RpcServer::health) and
/// [`NotificationListener::health`](crate::NotificationListener::health).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ListeningHealth {
    /// The connection it consumes on.
    pub connection: ConnectionHealth,
    /// Its consumers, one for each queue.
    pub consumers: Vec<ConsumerHealth>,
    /// Whether it has stopped and receives no further messages.
    pub is_stopped: bool,
}

impl ListeningHealth {
    /// Whether its connection is open, the broker delivers to each of its consumers, and it has not
    /// stopped.
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
    fn a_blocked_connection_is_ready_unless_it_publishes() {
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
    fn readiness_needs_every_connection_and_consumer() {
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
