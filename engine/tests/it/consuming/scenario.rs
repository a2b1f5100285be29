//! Shared by the tests of consumers: channels with a prefetch limit, and consumers.

use leveret_engine::{Channel, ChannelOptions, Connection, Consume, Consumer, block_on};

pub(crate) fn channel_with_prefetch(connection: &Connection, prefetch: u16) -> Channel {
    block_on(connection.open_channel(ChannelOptions::default().with_prefetch(prefetch))).unwrap()
}

pub(crate) fn consume(channel: &Channel, queue: &str) -> Consumer {
    block_on(channel.consume(Consume::from_queue(queue))).unwrap()
}
