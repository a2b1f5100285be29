//! A connection or a channel lent to one purpose.
//!
//! A leased connection that is shared stays open when its lease ends; one of its own closes.

use std::ops::Deref;

use leveret_engine::{Channel, ChannelOptions, Connection, ConnectionState, ConnectionStatus};

use crate::broker::errors::failed;
use crate::broker::open_once::{OpenOnce, Opened};
use crate::error::Error;
use crate::observe::health::ConnectionHealth;
use crate::observe::metrics::ConnectionMetrics;

/// Where a connection stands.
pub(crate) fn health_of(lease: &ConnectionLease) -> ConnectionHealth {
    let Name { purpose, number } = lease.name();
    let ConnectionStatus { state, since, host, last_error, .. } = lease.connection().status();
    let reconnects = lease.connection().reconnects();
    ConnectionHealth { purpose, number, state, since, host, last_error, reconnects }
}

/// What a connection with these channels has done and holds.
pub(crate) fn metrics_of<'a>(
    lease: &ConnectionLease,
    channels: impl IntoIterator<Item = &'a Channel>,
) -> ConnectionMetrics {
    let connection = lease.connection();
    ConnectionMetrics {
        health: health_of(lease),
        confirms_outstanding: connection.confirms_outstanding(),
        outbox_bytes: channels.into_iter().map(Channel::outbox_bytes).sum(),
        resends: connection.resends(),
        blocked: connection.blocked_time(),
    }
}

/// What a connection is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Requests.
    Publish,
    /// Requests that nobody waits for.
    Cast,
    Notify,
    /// Replies to calls of others.
    Answers,
    /// Replies to our calls.
    Replies,
    Server,
    Listener,
}

/// What a connection is called: what it is for, and which it is of those that are for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) purpose: &'static str,
    pub(crate) number: usize,
}

/// A connection lent to a purpose.
#[derive(Clone)]
pub(crate) struct ConnectionLease {
    connection: Connection,
    name: Name,
    is_shared: bool,
}

/// A channel on a lent connection. On a shared one it closes when it is dropped; otherwise it goes
/// with its connection.
pub(crate) struct ChannelLease {
    channel: Channel,
    is_shared: bool,
}

impl Purpose {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Cast => "casts",
            Self::Notify => "notify",
            Self::Answers => "answers",
            Self::Replies => "replies",
            Self::Server => "server",
            Self::Listener => "listener",
        }
    }

    /// It sends; the others consume.
    pub(super) const fn publishes(self) -> bool {
        matches!(self, Self::Publish | Self::Cast | Self::Notify | Self::Answers)
    }
}

impl ConnectionLease {
    pub(super) fn new(connection: Connection, name: Name, is_shared: bool) -> Self {
        Self { connection, name, is_shared }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn name(&self) -> Name {
        self.name
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    pub(crate) async fn open_channel(
        &self,
        options: ChannelOptions,
    ) -> Result<ChannelLease, Error> {
        let channel = self.connection.open_channel(options).await.map_err(failed)?;
        Ok(ChannelLease { channel, is_shared: self.is_shared })
    }

    /// The channel in `cell`, opened if it is not there or has ended for good.
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

    /// Whether the connection has ended for good.
    pub(crate) fn is_closed(&self) -> bool {
        self.connection.state() == ConnectionState::Closed
    }

    /// Why the connection is down, if it is to come back and the reason is known.
    pub(crate) fn why_down(&self) -> Option<leveret_engine::Error> {
        crate::broker::lease::health_of(self).why_down()
    }

    /// Flushes and ends the connection, unless it is shared; says whether it was.
    pub(crate) async fn close_own(&self) -> Result<bool, Error> {
        if self.is_shared {
            return Ok(false);
        }
        self.connection.close().await.map(|()| true).map_err(failed)
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
