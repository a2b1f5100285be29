//! The handle of a connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::config::ChannelOptions;
use crate::error::{Error, ErrorKind};
use crate::handles::channel::Channel;
use crate::handles::lease::Lease;
use crate::shard::border::shared::{ConnectionShared, Operation, Response};
use crate::shard::border::status::{ConnectionState, ConnectionStatus};

/// An open connection. Cloning is cheap; when the last handle of it and of its channels, publishers
/// and consumers is dropped, the engine sends what is in its outboxes and closes it.
///
/// The engine restores a lost connection (see [`crate::Recovery`]): channels keep their numbers,
/// declarations are repeated, and consumers start again.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<ConnectionShared>,
    lease: Arc<Lease>,
}

impl Connection {
    pub(crate) fn new(shared: Arc<ConnectionShared>, lease: Arc<Lease>) -> Self {
        Self { shared, lease }
    }

    /// Returns the state of the connection.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.shared.status.state()
    }

    /// Returns its state, since when it has that state, the broker's host, and what happened to it
    /// last.
    ///
    /// ```no_run
    /// # fn example(connection: &leveret_engine::Connection) {
    /// let status = connection.status();
    /// println!("{:?} for {:?} at {}", status.state, status.since.elapsed(), status.host);
    /// # }
    /// ```
    #[must_use]
    pub fn status(&self) -> ConnectionStatus {
        self.shared.status.read()
    }

    /// Returns how many times the connection was lost and recovery started.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.shared.reconnects.load(Ordering::Relaxed)
    }

    /// Returns how many publications the engine sent again: after a lost connection, a channel
    /// exception or a nack. The broker may receive them twice.
    #[must_use]
    pub fn resends(&self) -> u64 {
        self.shared.resends.load(Ordering::Relaxed)
    }

    /// Returns how long the broker has blocked publishers on this connection
    /// (`connection.blocked`), in total and including a block in progress.
    #[must_use]
    pub fn blocked_time(&self) -> Duration {
        self.shared.status.blocked_time()
    }

    /// Returns the number of publications whose outcome a caller or a sink still waits for.
    /// Publications of a [fire-and-forget](crate::Publisher::fire_and_forget) publisher do not
    /// count.
    #[must_use]
    pub fn confirms_outstanding(&self) -> usize {
        self.shared.outcomes.outstanding()
    }

    /// Returns how many publications of fire-and-forget publishers the broker returned or refused.
    #[must_use]
    pub fn fire_and_forget_failures(&self) -> u64 {
        self.shared.fire_and_forget_failures.load(Ordering::Relaxed)
    }

    /// Returns how many publications of fire-and-forget publishers may have been lost with a
    /// connection. Publications that are [retained](crate::Publisher::retained) do not count.
    ///
    /// ```no_run
    /// # fn example(connection: &leveret_engine::Connection) {
    /// println!("{} may be lost", connection.fire_and_forget_losses());
    /// # }
    /// ```
    #[must_use]
    pub fn fire_and_forget_losses(&self) -> u64 {
        self.shared.fire_and_forget_losses.load(Ordering::Relaxed)
    }

    /// Opens a channel. The engine reuses the numbers of closed channels;
    /// [`channel_max`](crate::ConnectionConfig::channel_max) and the broker limit how many can be
    /// open.
    ///
    /// # Errors
    /// `TimedOut` after the connection's `operation_timeout`, `ConnectionClosed`, `ChannelClosed`
    /// if every number is in use, `Stopped`.
    ///
    /// # Cancel safety
    /// If the future is dropped, the engine closes the channel once it is open.
    pub async fn open_channel(&self, options: ChannelOptions) -> Result<Channel, Error> {
        match self.shared.ask(Operation::OpenChannel(options)).await? {
            Response::Channel(channel) => Ok(Channel::new(channel, Arc::clone(&self.lease))),
            Response::Done | Response::Method(_) => Err(Error::stopped()),
        }
    }

    /// Sends what is in the outbox of every channel and closes the connection. Other handles then
    /// fail with `Stopped`. Does nothing if it is closed.
    ///
    /// # Errors
    /// `TimedOut` if the broker does not answer, `ConnectionClosed` if the connection was lost
    /// before everything published was sent and confirmed. The connection is closed all the same.
    pub async fn close(&self) -> Result<(), Error> {
        let is_closed = || self.state() == ConnectionState::Closed;
        if is_closed() {
            return Ok(());
        }
        match self.shared.ask(Operation::CloseConnection).await {
            // Another call has closed it meanwhile.
            Err(error) if error.kind() == ErrorKind::Stopped && is_closed() => Ok(()),
            closed => closed.map(drop),
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("state", &self.state()).finish_non_exhaustive()
    }
}
