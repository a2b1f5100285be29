//! The channels of a connection and their consumers: numbers, epochs, removal.

use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::reactor;
use crate::shard::border::shared::ChannelShared;
use crate::shard::connection::channel::consumer::ChannelConsumer;
use crate::shard::connection::channel::state::ChannelState;
use crate::shard::connection::state::Conn;

impl Conn {
    /// Returns a channel number that is free here and at the broker. Avoids the number used last if
    /// there is another one.
    pub(crate) fn free_channel(&self) -> Result<u16, Error> {
        let (proto, channels) = (self.proto.borrow(), self.channels.borrow());
        let max = proto.as_ref().map_or(0, |proto| proto.channel_max());
        let is_free = |number: &u16| {
            !channels.contains_key(number)
                && proto.as_ref().is_some_and(|proto| !proto.has_channel(*number))
        };
        let last = self.last_channel.get().min(max);
        let number =
            (last.saturating_add(1)..=max).chain(1..=last).find(is_free).ok_or_else(|| {
                let text = format!("all {max} channels that this connection may have are open");
                Error::new(ErrorKind::ChannelClosed, text)
            })?;
        self.last_channel.set(number);
        Ok(number)
    }

    pub(crate) fn add_channel(&self, shared: Arc<ChannelShared>) {
        let state = ChannelState::new(Arc::clone(&shared), self.config.nack_retry);
        self.channels.borrow_mut().insert(shared.number, state);
    }

    /// The number of a channel, while it is its own.
    pub(crate) fn number_of(&self, channel: &Arc<ChannelShared>) -> Result<u16, Error> {
        let number = channel.number;
        let channels = self.channels.borrow();
        match channels.get(&number) {
            Some(state) if Arc::ptr_eq(&state.shared, channel) => Ok(number),
            _ => Err(channel_closed(number)),
        }
    }

    pub(crate) fn with_channel<T>(
        &self,
        number: u16,
        act: impl FnOnce(&mut ChannelState) -> T,
    ) -> Result<T, Error> {
        let mut channels = self.channels.borrow_mut();
        let state = channels.get_mut(&number).ok_or_else(|| channel_closed(number))?;
        Ok(act(state))
    }

    /// Returns the channel itself if it exists, otherwise any other. Declarations belong to the
    /// connection, so each channel will do.
    pub(crate) fn existing_channel(&self, wanted: u16) -> Option<u16> {
        let channels = self.channels.borrow();
        channels.contains_key(&wanted).then_some(wanted).or_else(|| channels.keys().next().copied())
    }

    /// The epoch of a channel. It ends when the channel is closed at the broker, at the latest with
    /// the socket.
    pub(crate) fn epoch(&self, number: u16) -> Result<u32, Error> {
        self.with_channel(number, |state| state.epoch())
    }

    /// Whether an epoch of a channel has ended.
    pub(crate) fn is_epoch_over(&self, number: u16, epoch: u32) -> bool {
        self.is_down() || self.epoch(number).ok() != Some(epoch)
    }

    /// Starts to send publications of a channel that was opened in this epoch. Fails if the epoch
    /// has ended, because the next socket may still be in its handshake.
    pub(crate) fn start_publishing(&self, number: u16, epoch: u32) -> Result<(), Error> {
        if self.is_epoch_over(number, epoch) {
            let text = "the connection was lost while a channel was being opened";
            return Err(Error::new(ErrorKind::ConnectionClosed, text));
        }
        let frame_max = self.frame_max.get();
        self.with_channel(number, |state| state.open(frame_max, reactor::now()))?;
        self.changed.notify_waiters();
        self.shared.write_bell.ring();
        Ok(())
    }

    pub(crate) fn remove_channel(&self, number: u16, error: &Error) {
        let state = self.channels.borrow_mut().remove(&number);
        if let Some(mut state) = state {
            let mut outcomes = self.outcomes.borrow_mut();
            state.close(error, &mut outcomes);
            drop(outcomes);
            let ended = error.kind() != ErrorKind::Stopped;
            for mut consumer in state.deliveries.consumers.drain(..) {
                consumer.sink.closed(ended.then(|| error.clone()));
            }
        }
        self.changed.notify_waiters();
        self.complete_outcomes();
    }

    pub(crate) fn with_consumer<T>(
        &self,
        channel: u16,
        tag: &str,
        act: impl FnOnce(&mut ChannelConsumer) -> T,
    ) -> Option<T> {
        let mut channels = self.channels.borrow_mut();
        let consumers = &mut channels.get_mut(&channel)?.deliveries.consumers;
        consumers.iter_mut().find(|consumer| consumer.request.consumer_tag == tag).map(act)
    }

    pub(crate) fn remove_consumer(&self, channel: u16, tag: &str) -> Option<ChannelConsumer> {
        let mut channels = self.channels.borrow_mut();
        let consumers = &mut channels.get_mut(&channel)?.deliveries.consumers;
        let index = consumers.iter().position(|consumer| consumer.request.consumer_tag == tag)?;
        Some(consumers.remove(index))
    }

    /// Forgets an auto-delete queue without consumers, because the broker has deleted it with its
    /// last consumer.
    pub(crate) fn forget_unused_queue(&self, queue: &str) {
        let channels = self.channels.borrow();
        let mut consumers = channels.values().flat_map(|state| &state.deliveries.consumers);
        if consumers.all(|consumer| consumer.request.queue != queue) {
            self.topology.borrow_mut().forget_auto_delete(queue);
        }
    }

    /// True while a consumer has no room. The connection is then not read.
    pub(crate) fn is_full(&self) -> bool {
        let channels = self.channels.borrow();
        !self.closing.get() && channels.values().any(|state| state.deliveries.is_full())
    }

    /// Waits until a channel that the broker closed is open again.
    pub(crate) async fn wait_for_channel(&self, channel: u16) -> Result<(), Error> {
        let settled = |conn: &Self| {
            conn.is_down() || conn.with_channel(channel, |state| state.is_open()).unwrap_or(true)
        };
        self.wait_until(settled).await;
        if self.is_down() { Err(self.reason()) } else { self.with_channel(channel, |_| ()) }
    }
}

fn channel_closed(number: u16) -> Error {
    Error::new(ErrorKind::ChannelClosed, format!("channel {number} was closed"))
}
