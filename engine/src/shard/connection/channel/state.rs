//! The state of a channel on its shard: whether it is open, and its epoch.
//!
//! What it publishes is in `publications`, what it receives in `deliveries`. An epoch ends when the
//! channel is closed at the broker, at the latest with the socket; a reopened channel counts tags
//! from 1 again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::outcome::Outcome;
use crate::shard::border::shared::ChannelShared;
use crate::shard::border::slab::Token;
use crate::shard::connection::channel::deliveries::ChannelDeliveries;
use crate::shard::connection::channel::in_flight::ChannelFailure;
use crate::shard::connection::channel::publications::ChannelPublications;

/// A channel on its shard.
pub(crate) struct ChannelState {
    pub(crate) shared: Arc<ChannelShared>,
    pub(crate) publications: ChannelPublications,
    pub(crate) deliveries: ChannelDeliveries,
    epoch: u32,
    /// Open at the broker with its options, so its outbox may be sent.
    is_open: bool,
}

impl ChannelState {
    pub(crate) fn new(shared: Arc<ChannelShared>, nack_retry: Duration) -> Self {
        Self {
            publications: ChannelPublications::new(Arc::clone(&shared), nack_retry),
            deliveries: ChannelDeliveries::new(Arc::clone(&shared)),
            shared,
            epoch: 0,
            is_open: false,
        }
    }

    /// Starts to send publications on the channel, which is open at the broker.
    pub(crate) fn open(&mut self, frame_max: u32, now: Instant) {
        self.shared.outbox.open(self.shared.number, frame_max);
        self.publications.record_open(now);
        self.is_open = true;
    }

    /// Sends no publications until the channel was reopened.
    pub(crate) fn pause(&mut self) {
        self.is_open = false;
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// The epoch. It changes when the channel is closed at the broker.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// True while publications wait to be sent or confirmed, or acknowledgements to be sent.
    pub(crate) fn is_busy(&self) -> bool {
        self.publications.has_unsettled() || (self.is_open && self.has_acks())
    }

    /// Whether the writer may send publications of the channel now.
    #[inline]
    pub(crate) fn has_publications(&self) -> bool {
        self.is_open && self.publications.has_sendable()
    }

    /// True when acknowledgements are to be sent now.
    #[inline]
    pub(crate) fn has_urgent_acks(&self) -> bool {
        self.deliveries.has_urgent_acks(self.is_open)
    }

    /// True when there are acknowledgements, deferred ones included.
    #[inline]
    pub(crate) fn has_acks(&self) -> bool {
        self.deliveries.has_acks(self.is_open)
    }

    /// Appends the acknowledgements to `out`.
    #[inline]
    pub(crate) fn write_acks(&mut self, out: &mut Vec<u8>) {
        self.deliveries.write_acks(self.is_open, out);
    }

    /// The broker closed the channel.
    pub(crate) fn handle_channel_failure(
        &mut self,
        failure: ChannelFailure,
        outcomes: &mut Vec<(Token, Outcome)>,
    ) {
        self.begin_epoch();
        for consumer in &self.deliveries.consumers {
            consumer.shared.set_waiting(&failure.error);
        }
        self.publications.handle_channel_failure(failure, outcomes);
    }

    /// The connection was lost, or the channel was closed to be reopened.
    pub(crate) fn handle_connection_lost(
        &mut self,
        error: &Error,
        outcomes: &mut Vec<(Token, Outcome)>,
    ) {
        self.begin_epoch();
        self.publications.handle_connection_lost(error, outcomes);
    }

    /// The channel is closed for good.
    pub(crate) fn close(&mut self, error: &Error, outcomes: &mut Vec<(Token, Outcome)>) {
        self.begin_epoch();
        self.publications.close(error, outcomes);
    }

    fn begin_epoch(&mut self) {
        self.epoch += 1;
        self.is_open = false;
        self.deliveries.begin_epoch(self.epoch);
    }
}
