//! Leases of connections and channels.
//!
//! A shared connection stays open when a lease of it ends. A connection of its own closes with its
//! lease.

use std::ops::Deref;

use leveret_engine::{Channel, ChannelOptions, Connection, ConnectionState, ConnectionStatus};

use crate::broker::errors::from_engine;
use crate::broker::open_once::{OpenOnce, Opened};
use crate::error::Error;
use crate::observe::health::ConnectionHealth;
use crate::observe::metrics::ConnectionMetrics;

/// The name of a connection: its purpose, and its number among those of the same purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) purpose: &'static str,
    pub(crate) number: usize,
}

/// A connection leased for a purpose.
#[derive(Clone)]
pub(crate) struct ConnectionLease {
    connection: Connection,
    name: Name,
    is_shared: bool,
}

/// A channel on a leased connection. Dropping it closes it where the connection is shared;
/// otherwise it closes with its connection.
pub(crate) struct ChannelLease {
    channel: Channel,
    is_shared: bool,
}

impl ConnectionLease {
    pub(super) fn new(connection: Connection, name: Name, is_shared: bool) -> Self {
        Self { connection, name, is_shared }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns the state of the connection.
    pub(crate) fn health(&self) -> ConnectionHealth {
        let Name { purpose, number } = self.name;
        let ConnectionStatus { state, since, host, last_error, .. } = self.connection.status();
        let reconnects = self.connection.reconnects();
        ConnectionHealth { purpose, number, state, since, host, last_error, reconnects }
    }

    /// Returns the counters of the connection, and what these channels of it hold.
    pub(crate) fn metrics<'a>(
        &self,
        channels: impl IntoIterator<Item = &'a Channel>,
    ) -> ConnectionMetrics {
        ConnectionMetrics {
            health: self.health(),
            confirms_outstanding: self.connection.confirms_outstanding(),
            outbox_bytes: channels.into_iter().map(Channel::outbox_bytes).sum(),
            resends: self.connection.resends(),
            blocked: self.connection.blocked_time(),
        }
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Opens a channel on the connection.
    pub(crate) async fn open_channel(
        &self,
        options: ChannelOptions,
    ) -> Result<ChannelLease, Error> {
        let channel = self.connection.open_channel(options).await.map_err(from_engine)?;
        Ok(ChannelLease { channel, is_shared: self.is_shared })
    }

    /// Returns the channel in `cell`; opens it if it is not open or is closed for good.
    pub(crate) async fn channel_in<'a>(
        &self,
        cell: &'a OpenOnce<ChannelLease>,
        options: ChannelOptions,
    ) -> Result<Opened<'a, ChannelLease>, Error> {
        cell.forget_if(|channel| channel.is_closed());
        let open = || {
            let lease = self.clone();
            async move { lease.open_channel(options).await }
        };
        cell.get_or_open(open).await
    }

    /// Whether the connection is closed and will not reconnect.
    pub(crate) fn is_closed(&self) -> bool {
        self.connection.state() == ConnectionState::Closed
    }

    /// Returns why the connection is down while it reconnects, if the reason is known.
    pub(crate) fn why_down(&self) -> Option<leveret_engine::Error> {
        self.health().why_down()
    }

    /// Flushes and closes the connection unless it is shared. Returns whether it closed it.
    pub(crate) async fn close_own(&self) -> Result<bool, Error> {
        if self.is_shared {
            return Ok(false);
        }
        self.connection.close().await.map(|()| true).map_err(from_engine)
    }
}

impl Deref for ChannelLease {
    type Target = Channel;

    fn deref(&self) -> &Channel {
        &self.channel
    }
}

impl Drop for ChannelLease {
    fn drop(&mut self) {
        if self.is_shared {
            self.channel.close_in_background();
        }
    }
}
