//! The handle of a connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::config::ChannelOptions;
use crate::error::Error;
use crate::handles::channel::Channel;
use crate::handles::lease::Lease;
use crate::shard::border::shared::{ConnectionShared, Operation, Response};
use crate::shard::border::status::{ConnectionState, ConnectionStatus};

/// An open connection. Cloning is cheap; when the last handle of it and of its channels, publishers
/// and consumers is dropped, it flushes and closes.
///
/// A lost connection comes back by itself (see [`crate::Recovery`]): channels keep their numbers,
/// what was declared is declared again, consumers consume again.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<ConnectionShared>,
    lease: Arc<Lease>,
}

impl Connection {
    pub(crate) fn new(shared: Arc<ConnectionShared>, lease: Arc<Lease>) -> Self {
        Self { shared, lease }
    }

    /// Where the connection stands.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.shared.state()
    }

    /// Where it stands, since when, at which broker, and what happened to it last.
    ///
    /// ```no_run
    /// # fn example(connection: &leveret_engine::Connection) {
    /// let status = connection.status();
    /// println!("{:?} for {:?} at {}", status.state, status.since.elapsed(), status.host);
    /// # }
    /// ```
    #[must_use]
    pub fn status(&self) -> ConnectionStatus {
        self.shared.status()
    }

    /// How often it was lost and recovery began.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.shared.reconnects.load(Ordering::Relaxed)
    }

    /// Publications that were on their way when it was lost and were put back, to leave again. A
    /// broker may see them twice.
    #[must_use]
    pub fn resends(&self) -> u64 {
        self.shared.resends.load(Ordering::Relaxed)
    }

    /// How long the broker has blocked publishers on it, altogether, a block under way included.
    #[must_use]
    pub fn blocked_time(&self) -> Duration {
        self.shared.blocked_time()
    }

    /// Publications whose outcome somebody waits for or wants to hear of. Those of an
    /// [unwatched](crate::Publisher::unwatched) publisher do not count.
    #[must_use]
    pub fn confirms_outstanding(&self) -> usize {
        self.shared.outcomes.outstanding()
    }

    /// Publications that the broker returned or refused and that nobody waited for.
    #[must_use]
    pub fn unwatched_failures(&self) -> u64 {
        self.shared.unwatched_failures.load(Ordering::Relaxed)
    }

    /// Publications that nobody waited for and that may have been lost with a connection: those of
    /// publishers that do not [retain](crate::Publisher::retained) them.
    ///
    /// ```no_run
    /// # fn example(connection: &leveret_engine::Connection) {
    /// println!("{} may be lost", connection.unwatched_losses());
    /// # }
    /// ```
    #[must_use]
    pub fn unwatched_losses(&self) -> u64 {
        self.shared.unwatched_losses.load(Ordering::Relaxed)
    }

    /// Opens a channel. Numbers are used again once their channels are closed; as many can be open
    /// as [`channel_max`](crate::ConnectionConfig::channel_max) and the broker allow.
    ///
    /// # Errors
    /// `TimedOut` after the connection's `operation_timeout`, `ConnectionClosed`, `ChannelClosed`
    /// when every number is in use, `Stopped`.
    ///
    /// # Cancel safety
    /// A channel whose opening is given up is closed again.
    pub async fn open_channel(&self, options: ChannelOptions) -> Result<Channel, Error> {
        match self.shared.ask(Operation::OpenChannel(options)).await? {
            Response::Channel(channel) => Ok(Channel::new(channel, Arc::clone(&self.lease))),
            Response::Done | Response::Method(_) => Err(Error::stopped()),
        }
    }

    /// Flushes every channel and closes. Other handles then fail with `Stopped`.
    ///
    /// # Errors
    /// `TimedOut` when the broker does not answer, `ConnectionClosed` when the connection was lost
    /// before everything published had left and was confirmed; it is gone all the same.
    pub async fn close(&self) -> Result<(), Error> {
        if self.shared.state() == ConnectionState::Closed {
            return Ok(());
        }
        self.shared.ask(Operation::CloseConnection).await.map(drop)
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("state", &self.state()).finish_non_exhaustive()
    }
}
