//! Delivers messages from a queue to a consumer, and publications directly to a consumer if the
//! queue is empty. A direct delivery stores nothing unless it must be acknowledged.

use std::time::Duration;

use crate::loopback::broker::message::{Content, Entry, LazyMessage};
use crate::loopback::broker::queue::Queue;
use crate::loopback::broker::state::Broker;
use crate::loopback::config::{ConnectionId, QueueId};
use crate::loopback::connection::state::Connection;
use crate::wire::hot::Deliver;

/// The connections, by their id.
type Connections = [Option<Box<Connection>>];

/// Returns the next consumer, round-robin, that can accept a delivery.
pub(crate) fn ready_consumer(queue: &mut Queue, connections: &Connections) -> Option<usize> {
    queue.next_consumer(|consumer| {
        connections[consumer.connection].as_deref().is_some_and(|client| client.can_take(consumer))
    })
}

/// Delivers a queued message to a consumer; returns the connection that has more to send now.
pub(crate) fn deliver_entry(
    queue: &mut Queue,
    index: usize,
    connections: &mut Connections,
    entry: Entry,
) -> ConnectionId {
    let content = entry.message.content();
    let (connection, tag) = write(queue, index, connections, &content, entry.redelivered);
    if !queue.consumers[index].no_ack {
        track_unacked(queue, index, connections, tag, entry.clone());
    }
    connection
}

/// Writes the delivery; returns its connection and tag.
fn write(
    queue: &Queue,
    index: usize,
    connections: &mut Connections,
    content: &Content<'_>,
    redelivered: bool,
) -> (ConnectionId, u64) {
    let consumer = &queue.consumers[index];
    let connection = connections[consumer.connection].as_deref_mut();
    let connection = connection.expect("a ready consumer has a connection");
    let channel = connection.channel_mut(consumer.channel);
    let delivery_tag = channel.expect("a ready consumer has a channel").next_delivery_tag();
    let deliver = Deliver {
        consumer_tag: &consumer.tag,
        delivery_tag,
        redelivered,
        exchange: content.exchange,
        routing_key: content.routing_key,
    };
    let frame_max = connection.frame_max;
    deliver.encode_frame(consumer.channel, &mut connection.pending);
    content.write(consumer.channel, frame_max, &mut connection.pending);
    (consumer.connection, delivery_tag)
}

/// Keeps a delivery until it is acknowledged.
fn track_unacked(
    queue: &mut Queue,
    index: usize,
    connections: &mut Connections,
    tag: u64,
    entry: Entry,
) {
    let consumer = &mut queue.consumers[index];
    consumer.unacked += 1;
    let connection = connections[consumer.connection].as_deref_mut();
    let connection = connection.expect("a ready consumer has a connection");
    let channel = connection.channel_mut(consumer.channel);
    let channel = channel.expect("a ready consumer has a channel");
    channel.track_unacked(tag, queue.id, consumer.id, entry);
}

impl Broker {
    /// Delivers a publication directly to a consumer, or appends it to the queue.
    pub(crate) fn deliver_or_enqueue(
        &mut self,
        id: QueueId,
        message: &mut LazyMessage<'_>,
        expiration: Option<Duration>,
    ) {
        let Self { queues, connections, scratch, now, .. } = self;
        let Some(queue) = queues.get_mut(id).and_then(Option::as_deref_mut) else { return };
        if queue.is_empty()
            && let Some(index) = ready_consumer(queue, connections)
        {
            let (connection, tag) = write(queue, index, connections, &message.content, false);
            if !queue.consumers[index].no_ack {
                let position = queue.next_position();
                let expires = queue.deadline(expiration, *now);
                let message = message.stored(scratch);
                let entry = Entry { message, position, redelivered: false, expires };
                track_unacked(queue, index, connections, tag, entry);
            }
            self.stats.delivered += 1;
            return self.mark_dirty(connection);
        }
        let position = queue.next_position();
        let expires = queue.deadline(expiration, *now);
        let message = message.stored(scratch);
        queue.push(Entry { message, position, redelivered: false, expires });
        let has_consumers = !queue.consumers.is_empty();
        self.record_deadline(expires);
        if has_consumers {
            self.mark_ready(id);
        }
    }

    /// Delivers messages of a queue while it has messages and a consumer that can accept one.
    pub(crate) fn dispatch(&mut self, id: QueueId) {
        let Self { queues, connections, now, .. } = self;
        let Some(queue) = queues.get_mut(id).and_then(Option::as_deref_mut) else { return };
        let mut touched: Vec<ConnectionId> = Vec::new();
        while !queue.is_empty() && !queue.consumers.is_empty() {
            let Some(index) = ready_consumer(queue, connections) else {
                break;
            };
            let Some(entry) = queue.pop(*now) else { break };
            let id = deliver_entry(queue, index, connections, entry);
            self.stats.delivered += 1;
            if !touched.contains(&id) {
                touched.push(id);
            }
        }
        for id in touched {
            self.mark_dirty(id);
        }
    }
}
