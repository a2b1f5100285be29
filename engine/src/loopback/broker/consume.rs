//! The consuming methods of class `basic`: qos, consume, cancel, get, recover, and settling
//! deliveries.

use amq_protocol::protocol::{AMQPClass, basic};

use crate::loopback::broker::queue::Consumer;
use crate::loopback::broker::refusal::{Refusal, short};
use crate::loopback::broker::state::Broker;
use crate::loopback::config::ConnectionId;
use crate::loopback::connection::state::Connection;

impl Broker {
    pub(crate) fn handle_basic(
        &mut self,
        id: ConnectionId,
        number: u16,
        method: basic::AMQPMethod,
    ) -> Result<(), Refusal> {
        use basic::AMQPMethod as Method;
        match method {
            Method::Qos(qos) => self.qos(id, number, &qos),
            Method::Consume(consume) => self.consume(id, number, &consume),
            Method::Cancel(cancel) => self.cancel(id, number, &cancel),
            Method::Get(get) => self.get(id, number, &get),
            Method::Recover(recover) => self.recover(id, number, recover.requeue, true),
            Method::RecoverAsync(recover) => self.recover(id, number, recover.requeue, false),
            // The reply to a cancel that the broker sent.
            Method::CancelOk(_) => Ok(()),
            _ => Err(Refusal::new(503, "a client does not send this method")),
        }
    }

    fn send_basic(&mut self, id: ConnectionId, number: u16, method: basic::AMQPMethod) {
        self.send(id, number, &AMQPClass::Basic(method));
    }

    fn qos(&mut self, id: ConnectionId, number: u16, qos: &basic::Qos) -> Result<(), Refusal> {
        if let Some(channel) = self.connection_mut(id).channel_mut(number) {
            if qos.global {
                channel.prefetch_global = qos.prefetch_count;
            } else {
                channel.prefetch = qos.prefetch_count;
            }
        }
        if !self.script.withhold_qos {
            self.send_basic(id, number, basic::AMQPMethod::QosOk(basic::QosOk {}));
        }
        Ok(())
    }

    fn consume(
        &mut self,
        id: ConnectionId,
        number: u16,
        consume: &basic::Consume,
    ) -> Result<(), Refusal> {
        let queue = self.find_queue(id, number, consume.queue.as_str())?;
        let consumer_id = self.next_unique_id();
        let tag: Box<str> = match consume.consumer_tag.as_str() {
            "" => format!("amq.ctag-{consumer_id:022}").into(),
            tag => tag.into(),
        };
        let Self { queues, connections, vhosts, now, .. } = self;
        let found = queues[queue].as_deref_mut().expect("its name was found");
        let taken = found.consumers.iter().any(|consumer| consumer.exclusive);
        if taken || (consume.exclusive && !found.consumers.is_empty()) {
            let vhost = &vhosts[found.vhost].name;
            let text = format!("queue '{}' in vhost '{vhost}' in exclusive use", found.name);
            return Err(Refusal::new(403, text));
        }
        let connection = connections[id].as_deref_mut().expect("it sends this very method");
        let channel = connection.channel_mut(number).expect("it sends this very method");
        if channel.consumers.contains_key(&tag) {
            return Err(Refusal::new(530, format!("attempt to reuse consumer tag '{tag}'")));
        }
        channel.consumers.insert(tag.clone(), (queue, consumer_id));
        found.consumers.push(Consumer {
            id: consumer_id,
            connection: id,
            channel: number,
            tag: tag.clone(),
            no_ack: consume.no_ack,
            exclusive: consume.exclusive,
            prefetch: channel.prefetch,
            unacked: 0,
        });
        found.touch(*now);
        if !consume.nowait {
            let ok = basic::ConsumeOk { consumer_tag: short(&tag) };
            self.send_basic(id, number, basic::AMQPMethod::ConsumeOk(ok));
        }
        self.mark_ready(queue);
        Ok(())
    }

    fn cancel(
        &mut self,
        id: ConnectionId,
        number: u16,
        cancel: &basic::Cancel,
    ) -> Result<(), Refusal> {
        let tag = cancel.consumer_tag.as_str();
        let channel = self.connection_mut(id).channel_mut(number);
        let found = channel.and_then(|channel| channel.consumers.remove(tag));
        if let Some((queue, consumer)) = found {
            self.remove_consumer(queue, consumer);
        }
        // Cancelling an unknown consumer succeeds.
        if !cancel.nowait {
            let ok = basic::CancelOk { consumer_tag: cancel.consumer_tag.clone() };
            self.send_basic(id, number, basic::AMQPMethod::CancelOk(ok));
        }
        Ok(())
    }

    fn get(&mut self, id: ConnectionId, number: u16, get: &basic::Get) -> Result<(), Refusal> {
        let queue = self.find_queue(id, number, get.queue.as_str())?;
        let now = self.now;
        let found = self.queues[queue].as_deref_mut().expect("its name was found");
        found.touch(now);
        let Some(entry) = found.pop(now) else {
            self.send_basic(id, number, basic::AMQPMethod::GetEmpty(basic::GetEmpty {}));
            return Ok(());
        };
        let message_count = u32::try_from(found.len()).unwrap_or(u32::MAX);
        let connection = self.connection_mut(id);
        let frame_max = connection.frame_max;
        let channel = connection.channel_mut(number).expect("it sends this very method");
        let delivery_tag = channel.next_delivery_tag();
        let content = entry.message.content();
        let ok = basic::GetOk {
            delivery_tag,
            redelivered: entry.redelivered,
            exchange: short(content.exchange),
            routing_key: short(content.routing_key),
            message_count,
        };
        if !get.no_ack {
            channel.track_unacked(delivery_tag, queue, 0, entry.clone());
        }
        self.send_basic(id, number, basic::AMQPMethod::GetOk(ok));
        let Connection { pending, .. } = self.connection_mut(id);
        content.write(number, frame_max, pending);
        self.stats.delivered += 1;
        Ok(())
    }

    fn recover(
        &mut self,
        id: ConnectionId,
        number: u16,
        requeue: bool,
        answer: bool,
    ) -> Result<(), Refusal> {
        if !requeue {
            return Err(Refusal::not_implemented("requeue=false"));
        }
        self.settle(id, number, 0, true, true)?;
        if answer {
            self.send_basic(id, number, basic::AMQPMethod::RecoverOk(basic::RecoverOk {}));
        }
        Ok(())
    }

    /// Settles deliveries: removes them, or returns them to their queues.
    pub(crate) fn settle(
        &mut self,
        id: ConnectionId,
        number: u16,
        tag: u64,
        multiple: bool,
        requeue: bool,
    ) -> Result<(), Refusal> {
        let mut taken = std::mem::take(&mut self.taken);
        let channel = self.connection_mut(id).channel_mut(number);
        let is_known =
            channel.is_some_and(|channel| channel.take_unacked(tag, multiple, &mut taken));
        // Backwards, so that each message returns before the one that came after it.
        for unacked in taken.drain(..).rev() {
            if requeue {
                self.requeue(unacked);
                continue;
            }
            self.stats.acked += 1;
            let Some(queue) = self.queue_mut(unacked.queue) else { continue };
            if let Some(consumer) = queue.consumer_mut(unacked.consumer) {
                consumer.unacked -= 1;
            }
            if !queue.is_empty() {
                self.mark_ready(unacked.queue);
            }
        }
        self.taken = taken;
        let channel = self.connection_mut(id).channel(number);
        if let Some(channel) = channel.filter(|channel| channel.prefetch_global > 0) {
            // The consumers of the channel share its prefetch limit, so any of its queues may
            // continue.
            let queues: Vec<_> = channel.consumers.values().map(|(queue, _)| *queue).collect();
            queues.into_iter().for_each(|queue| self.mark_ready(queue));
        }
        if is_known {
            return Ok(());
        }
        Err(Refusal::new(406, format!("unknown delivery tag {tag}")))
    }
}
