//! All state behind the one lock: virtual hosts, queues, connections, and the batch.
//!
//! A reader thread takes the lock once per batch of frames. During the batch, the broker appends
//! responses and deliveries to `pending` of each connection; [`Broker::end_batch`] then dispatches
//! the queues that became ready, sends confirms, and hands `pending` over to the writers.
//! Invariant: after `end_batch` nothing is pending and no queue holds a message that a consumer
//! could accept. Ids of queues and connections are never reused, so a stale one finds nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use amq_protocol::protocol::{AMQPClass, basic, channel, connection};

use crate::loopback::broker::exchange::{Exchange, ExchangeKind};
use crate::loopback::broker::queue::Queue;
use crate::loopback::broker::refusal::{Refusal, short};
use crate::loopback::config::{ConnectionId, LoopbackConfig, LoopbackStats, QueueId, Script};
use crate::loopback::connection::outgoing::Outgoing;
use crate::loopback::connection::state::{Capabilities, Channel, Connection, Phase, Unacked};

/// A virtual host: its exchanges and queues by name.
#[derive(Debug)]
pub(crate) struct VirtualHost {
    pub(crate) name: String,
    pub(crate) exchanges: HashMap<Arc<str>, Exchange>,
    pub(crate) queues: HashMap<Arc<str>, QueueId>,
}

impl VirtualHost {
    fn new(name: String) -> Self {
        let exchanges = [
            ("amq.direct", ExchangeKind::Direct),
            ("amq.fanout", ExchangeKind::Fanout),
            ("amq.topic", ExchangeKind::Topic),
        ];
        let exchanges = exchanges.map(|(name, kind)| (name.into(), Exchange::predeclared(kind)));
        Self { name, exchanges: exchanges.into(), queues: HashMap::new() }
    }
}

/// The broker.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) config: LoopbackConfig,
    pub(crate) script: Script,
    /// The reason why publishers are blocked, if they are.
    pub(crate) blocked: Option<String>,
    pub(crate) vhosts: Vec<VirtualHost>,
    pub(crate) queues: Vec<Option<Box<Queue>>>,
    pub(crate) connections: Vec<Option<Box<Connection>>>,
    pub(crate) stats: LoopbackStats,
    /// The time of the current batch.
    pub(crate) now: Instant,
    /// The earliest recorded deadline.
    pub(crate) next_sweep: Option<Instant>,
    /// When the sweeper wakes by itself.
    pub(crate) sweeping_at: Option<Instant>,
    pub(crate) scratch: Vec<u8>,
    pub(crate) targets: Vec<QueueId>,
    pub(crate) taken: Vec<Unacked>,
    next_id: u64,
    dirty: Vec<ConnectionId>,
    ready: Vec<QueueId>,
    confirming: Vec<(ConnectionId, u16)>,
}

impl Broker {
    pub(crate) fn new(config: LoopbackConfig, now: Instant) -> Self {
        let vhosts = std::iter::once("/".to_owned()).chain(config.vhosts.iter().cloned());
        Self {
            vhosts: vhosts.map(VirtualHost::new).collect(),
            script: config.script.clone(),
            config,
            blocked: None,
            queues: Vec::new(),
            connections: Vec::new(),
            stats: LoopbackStats::default(),
            now,
            next_sweep: None,
            sweeping_at: None,
            scratch: Vec::new(),
            targets: Vec::new(),
            taken: Vec::new(),
            next_id: 0,
            dirty: Vec::new(),
            ready: Vec::new(),
            confirming: Vec::new(),
        }
    }

    /// Returns a number that was never returned before.
    pub(crate) fn next_unique_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Adds the connection of a client.
    pub(crate) fn connect(&mut self, out: Arc<Outgoing>) -> ConnectionId {
        let id = self.connections.len();
        let connection = Connection::new(id, out, self.config.frame_max);
        self.connections.push(Some(Box::new(connection)));
        self.stats.connections += 1;
        id
    }

    /// Returns the connection that a batch belongs to.
    ///
    /// # Panics
    /// If it is gone; only its own reader removes it.
    pub(crate) fn connection_mut(&mut self, id: ConnectionId) -> &mut Connection {
        let slot = self.connections.get_mut(id).and_then(Option::as_deref_mut);
        slot.expect("a connection lives as long as its reader")
    }

    /// Iterates over the open connections.
    pub(crate) fn connections(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.connections.iter_mut().filter_map(Option::as_deref_mut)
    }

    pub(crate) fn queue_mut(&mut self, id: QueueId) -> Option<&mut Queue> {
        self.queues.get_mut(id)?.as_deref_mut()
    }

    /// Marks a connection to be flushed when the batch ends.
    pub(crate) fn mark_dirty(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections[id].as_deref_mut()
            && !std::mem::replace(&mut connection.is_dirty, true)
        {
            self.dirty.push(id);
        }
    }

    /// Marks a queue to be dispatched when the batch ends.
    pub(crate) fn mark_ready(&mut self, id: QueueId) {
        if let Some(queue) = self.queue_mut(id)
            && !std::mem::replace(&mut queue.is_ready, true)
        {
            self.ready.push(id);
        }
    }

    /// Marks a channel whose confirms are sent when the batch ends.
    pub(crate) fn mark_confirming(&mut self, id: ConnectionId, channel: u16) {
        self.confirming.push((id, channel));
    }

    /// Sends a method to a client.
    pub(crate) fn send(&mut self, id: ConnectionId, channel: u16, method: &AMQPClass) {
        self.connection_mut(id).send(channel, method);
        self.mark_dirty(id);
    }

    /// Ends a batch; adds the writers that have something to send to `flushes`.
    pub(crate) fn end_batch(&mut self, flushes: &mut Vec<Arc<Outgoing>>) {
        while let Some(queue) = self.ready.pop() {
            if let Some(queue) = self.queue_mut(queue) {
                queue.is_ready = false;
            }
            self.dispatch(queue);
        }
        for (id, number) in std::mem::take(&mut self.confirming) {
            self.flush_confirms(id, number);
        }
        for id in std::mem::take(&mut self.dirty) {
            if let Some(connection) = self.connections[id].as_deref_mut() {
                connection.is_dirty = false;
                connection.out.enqueue(&mut connection.pending);
                flushes.push(Arc::clone(&connection.out));
            }
        }
    }

    fn flush_confirms(&mut self, id: ConnectionId, number: u16) {
        let Some(connection) = self.connections.get_mut(id).and_then(Option::as_deref_mut) else {
            return;
        };
        let Connection { channels, pending, .. } = connection;
        let channel = channels.get_mut(usize::from(number)).and_then(Option::as_deref_mut);
        if let Some(channel) = channel {
            channel.flush_confirms(number, pending);
            self.mark_dirty(id);
        }
    }

    /// Closes the channel or the connection, depending on the refusal.
    pub(crate) fn refuse(
        &mut self,
        id: ConnectionId,
        number: u16,
        method: (u16, u16),
        refusal: &Refusal,
    ) {
        if number == 0 || !refusal.is_soft() {
            return self.close_connection(id, method, refusal);
        }
        self.flush_confirms(id, number);
        self.release_channel(id, number);
        let close = channel::Close {
            reply_code: refusal.code,
            reply_text: short(&refusal.text),
            class_id: method.0,
            method_id: method.1,
        };
        self.send(id, number, &AMQPClass::Channel(channel::AMQPMethod::Close(close)));
        let channel = Box::new(Channel::closing());
        self.connection_mut(id).channels[usize::from(number)] = Some(channel);
    }

    /// Sends `connection.close` and accepts only its reply from then on.
    pub(crate) fn close_connection(
        &mut self,
        id: ConnectionId,
        method: (u16, u16),
        refusal: &Refusal,
    ) {
        if matches!(self.connection_mut(id).phase, Phase::Closing | Phase::Ended) {
            return;
        }
        self.release_channels(id);
        let close = connection::Close {
            reply_code: refusal.code,
            reply_text: short(&refusal.text),
            class_id: method.0,
            method_id: method.1,
        };
        self.send(id, 0, &AMQPClass::Connection(connection::AMQPMethod::Close(close)));
        self.connection_mut(id).phase = Phase::Closing;
    }

    /// Ends a channel: removes its consumers and returns its unacknowledged messages to their
    /// queues.
    pub(crate) fn release_channel(&mut self, id: ConnectionId, number: u16) {
        let connection = self.connection_mut(id);
        let slot = connection.channels.get_mut(usize::from(number)).and_then(Option::take);
        let Some(channel) = slot else { return };
        // Requeue before removing the consumers: removing the last one may delete an auto-delete
        // queue.
        for unacked in channel.unacked.into_iter().rev() {
            self.requeue(unacked);
        }
        for (queue, consumer) in channel.consumers.into_values() {
            self.remove_consumer(queue, consumer);
        }
    }

    pub(crate) fn release_channels(&mut self, id: ConnectionId) {
        let count = self.connection_mut(id).channels.len();
        for number in 0..count {
            let number = u16::try_from(number).expect("channel numbers have 16 bits");
            self.flush_confirms(id, number);
            self.release_channel(id, number);
        }
    }

    /// Ends a client's channels and deletes its exclusive queues. RabbitMQ does so before it
    /// answers a close, so that the names are free when the client receives the reply.
    pub(crate) fn release_connection(&mut self, id: ConnectionId) {
        self.release_channels(id);
        let own = self.queues.iter().flatten().filter(|queue| queue.owner == Some(id));
        let own: Vec<QueueId> = own.map(|queue| queue.id).collect();
        for queue in own {
            self.delete_queue(queue);
        }
    }

    /// Removes a client.
    pub(crate) fn disconnect(&mut self, id: ConnectionId) {
        self.release_connection(id);
        self.connections[id] = None;
        self.stats.connections -= 1;
    }

    /// Returns a message to its queue, to be delivered again.
    pub(crate) fn requeue(&mut self, unacked: Unacked) {
        if let Some(queue) = self.queue_mut(unacked.queue) {
            if let Some(consumer) = queue.consumer_mut(unacked.consumer) {
                consumer.unacked -= 1;
            }
            queue.requeue(unacked.entry);
            self.mark_ready(unacked.queue);
        }
    }

    /// Removes a consumer, and an auto-delete queue with its last one.
    pub(crate) fn remove_consumer(&mut self, queue: QueueId, consumer: u64) {
        let now = self.now;
        let Some(found) = self.queue_mut(queue) else { return };
        found.consumers.retain(|other| other.id != consumer);
        found.touch(now);
        if found.settings.auto_delete && found.consumers.is_empty() {
            self.delete_queue(queue);
        } else {
            let deadline = found.expires();
            self.record_deadline(deadline);
        }
    }

    /// Deletes a queue, its bindings, and auto-delete exchanges left without bindings; returns the
    /// number of messages lost. Consumers are notified if their client supports it.
    pub(crate) fn delete_queue(&mut self, id: QueueId) -> usize {
        let Some(queue) = self.queues.get_mut(id).and_then(Option::take) else { return 0 };
        let vhost = &mut self.vhosts[queue.vhost];
        // Another queue may have its name by now.
        if vhost.queues.get(&queue.name) == Some(&id) {
            vhost.queues.remove(&queue.name);
        }
        vhost.exchanges.retain(|_, exchange| {
            let was_bound = exchange.is_bound() && exchange.unbind_all(id);
            !(was_bound && exchange.settings.auto_delete && !exchange.is_bound())
        });
        for consumer in &queue.consumers {
            let Some(connection) = self.connections[consumer.connection].as_deref_mut() else {
                continue;
            };
            let Capabilities { consumer_cancel_notify, .. } = connection.capabilities;
            if let Some(channel) = connection.channel_mut(consumer.channel) {
                channel.consumers.remove(&consumer.tag);
            }
            if consumer_cancel_notify {
                let cancel = basic::Cancel { consumer_tag: short(&consumer.tag), nowait: true };
                let cancel = AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel));
                self.send(consumer.connection, consumer.channel, &cancel);
            }
        }
        queue.len()
    }

    /// Returns true if the sweeper would wake too late by itself.
    pub(crate) fn wants_sweeper(&self) -> bool {
        match (self.next_sweep, self.sweeping_at) {
            (Some(next), Some(planned)) => next < planned,
            (next, planned) => next.is_some() && planned.is_none(),
        }
    }

    /// Records a deadline.
    pub(crate) fn record_deadline(&mut self, deadline: Option<Instant>) {
        if let Some(deadline) = deadline {
            self.next_sweep = Some(self.next_sweep.map_or(deadline, |next| next.min(deadline)));
        }
    }

    /// Drops expired messages and queues, and records the next deadline.
    pub(crate) fn sweep(&mut self) {
        let now = self.now;
        self.next_sweep = None;
        let mut next = None;
        let mut expired = Vec::new();
        for queue in self.queues.iter_mut().flatten() {
            queue.drop_expired(now);
            if queue.expires().is_some_and(|at| at <= now) {
                expired.push(queue.id);
            } else {
                next = [next, queue.next_deadline()].into_iter().flatten().min();
            }
        }
        for queue in expired {
            self.delete_queue(queue);
        }
        self.record_deadline(next);
    }

    /// Dispatches the queues of a connection that was full.
    pub(crate) fn resume(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(id).and_then(Option::as_deref) else { return };
        let channels = connection.channels.iter().flatten();
        let queues: Vec<QueueId> = channels
            .flat_map(|channel| channel.consumers.values().map(|(queue, _)| *queue))
            .collect();
        for queue in queues {
            self.mark_ready(queue);
        }
    }
}
