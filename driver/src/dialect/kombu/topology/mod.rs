//! Names, flags and arguments of exchanges and queues, as the `rabbit` driver declares them.
//!
//! Peers must agree on every flag, or the broker refuses the second declaration (406). Queue names
//! and the fanout exchange do not contain the exchange of the target: two services with one topic
//! share them, as in oslo. Not here: who declares when (`broker`).

use std::time::Duration;

use crate::config::options::entities::{EntityOptions, QueueProfile};
use crate::dialect::names::check_names;
use crate::error::Error;
use crate::message::priority::Priority;
use crate::message::target::Target;
use crate::topology::{
    Address, Argument, Exchange, Queue, STREAM_LAST, STREAM_OFFSET, Subscription,
};

/// How every reply queue's name begins; a server sends replies nowhere else.
pub(crate) const REPLY_PREFIX: &str = "reply_";

/// What to declare for a target under a transport's options.
#[derive(Debug, Clone)]
pub(crate) struct Topology {
    control_exchange: String,
    entities: EntityOptions,
}

impl Topology {
    pub(crate) fn new(control_exchange: impl Into<String>, entities: EntityOptions) -> Self {
        Self { control_exchange: control_exchange.into(), entities }
    }

    /// Where a request to `target` goes. Fanout wins over a server's name.
    pub(crate) fn request(&self, target: &Target) -> Result<Address, Error> {
        let topic = target.require_topic()?;
        let route = if target.is_fanout() {
            Address { exchange: Some(self.fanout_exchange(topic)), routing_key: String::new() }
        } else {
            match target.server().filter(|server| !server.is_empty()) {
                Some(server) => Address {
                    exchange: Some(self.exchange(target)),
                    routing_key: format!("{topic}.{server}"),
                },
                None if self.is_local() => Address {
                    exchange: Some(self.local_exchange(target, topic)),
                    routing_key: String::new(),
                },
                None => {
                    Address { exchange: Some(self.exchange(target)), routing_key: topic.to_owned() }
                }
            }
        };
        let exchange = route.exchange.iter().map(|exchange| exchange.name.as_str());
        check_names(target, exchange.chain([route.routing_key.as_str()]))?;
        Ok(route)
    }

    /// What a server listens to: its topic, its own name, and everybody's fanouts. `fanout_id`
    /// tells its fanout queue from those of other servers; where they share one it is not asked.
    pub(crate) fn server(
        &self,
        target: &Target,
        fanout_id: &str,
    ) -> Result<[Subscription; 3], Error> {
        let (topic, server) = target.require_topic_and_server()?;
        let permanent = |name: String| Subscription {
            binding: Some((self.exchange(target), name.clone())),
            queue: self.permanent_queue(name),
        };
        let fanout = Subscription {
            queue: match self.entities.stream_fanout {
                true => self.stream(format!("{topic}_fanout")),
                false => self.transient_queue(format!("{topic}_fanout_{fanout_id}")),
            },
            binding: Some((self.fanout_exchange(topic), topic.to_owned())),
        };
        let all = [permanent(topic.to_owned()), permanent(format!("{topic}.{server}")), fanout];
        let exchange = std::iter::once(target.exchange().unwrap_or_default());
        check_names(target, exchange.chain(all.iter().map(|one| one.queue.name.as_str())))?;
        Ok(all)
    }

    /// The queue of a topic's notifications of one priority, as its notifiers and its listeners
    /// declare it: so that a notification is kept while nobody listens.
    /// What listeners of a pool declare is the pool's own queue, which gets a copy.
    pub(crate) fn notifications(
        &self,
        target: &Target,
        priority: Priority,
        pool: Option<&str>,
    ) -> Result<Subscription, Error> {
        let routing_key = format!("{}.{priority}", target.require_topic()?);
        let queue = pool.unwrap_or(&routing_key);
        let exchange = self.exchange(target);
        check_names(target, [exchange.name.as_str(), queue, &routing_key].into_iter())?;
        let queue = self.permanent_queue(queue.to_owned());
        Ok(Subscription { queue, binding: Some((exchange, routing_key)) })
    }

    /// What a server listens to besides, under [`QueueProfile::LocalRandom`]: requests to its topic
    /// from clients on its node. The broker wants an empty binding key, so each topic has an
    /// exchange.
    pub(crate) fn local(&self, target: &Target, id: &str) -> Result<Option<Subscription>, Error> {
        let (topic, _) = target.require_topic_and_server()?;
        if !self.is_local() {
            return Ok(None);
        }
        let named = Queue::named(format!("{topic}_local_{id}"));
        let queue = Queue { exclusive: true, may_be_exclusive: true, ..named };
        let exchange = self.local_exchange(target, topic);
        check_names(target, [queue.name.as_str(), exchange.name.as_str()].into_iter())?;
        Ok(Some(Subscription { queue, binding: Some((exchange, String::new())) }))
    }

    fn is_local(&self) -> bool {
        self.entities.profile == QueueProfile::LocalRandom
    }

    fn local_exchange(&self, target: &Target, topic: &str) -> Exchange {
        let exchange = self.exchange(target);
        let name = format!("{}_{topic}_local", exchange.name);
        Exchange { name, kind: "x-local-random", ..exchange }
    }

    /// The queue that replies come back through; it is reached through the default exchange.
    pub(crate) fn replies(&self, unique: &str) -> Subscription {
        let queue = self.transient_queue(format!("{REPLY_PREFIX}{unique}"));
        Subscription { queue, binding: None }
    }

    fn exchange(&self, target: &Target) -> Exchange {
        let name = target.exchange().filter(|name| !name.is_empty());
        Exchange {
            name: name.unwrap_or(&self.control_exchange).to_owned(),
            kind: "topic",
            durable: self.entities.durable || self.entities.quorum,
            auto_delete: self.entities.auto_delete,
        }
    }

    fn fanout_exchange(&self, topic: &str) -> Exchange {
        Exchange {
            name: format!("{topic}_fanout"),
            kind: "fanout",
            durable: self.entities.transient_quorum,
            auto_delete: true,
        }
    }

    fn permanent_queue(&self, name: String) -> Queue {
        let entities = &self.entities;
        let arguments = self.queue_type(entities.quorum);
        let durable = entities.durable || entities.quorum;
        let consume_arguments = self.consume_arguments();
        let auto_delete = entities.auto_delete;
        Queue { durable, auto_delete, arguments, consume_arguments, ..Queue::named(name) }
    }

    /// What makes a queue a quorum queue, or a mirrored one.
    fn queue_type(&self, quorum: bool) -> Vec<(&'static str, Argument)> {
        let entities = &self.entities;
        let mut arguments = Vec::new();
        if entities.ha {
            arguments.push(("x-ha-policy", Argument::Text("all")));
        }
        if quorum {
            arguments.push(("x-queue-type", Argument::Text("quorum")));
            let limits = [
                ("x-delivery-limit", entities.quorum_delivery_limit),
                ("x-max-in-memory-length", entities.quorum_max_memory_length),
                ("x-max-in-memory-bytes", entities.quorum_max_memory_bytes),
            ];
            let set = limits.into_iter().filter(|(_, limit)| *limit > 0);
            arguments.extend(set.map(|(name, limit)| (name, Argument::Number(limit.into()))));
        }
        arguments
    }

    fn consume_arguments(&self) -> Vec<(&'static str, Argument)> {
        let on = self.entities.cancel_on_failover;
        on.then_some(("x-cancel-on-ha-failover", Argument::Flag(true))).into_iter().collect()
    }

    /// The one queue of a topic's fanouts. It is read, not emptied, so all servers share it.
    fn stream(&self, name: String) -> Queue {
        let mut arguments = vec![("x-queue-type", Argument::Text("stream"))];
        let age = self.entities.transient_ttl.as_secs();
        if age > 0 {
            arguments.push(("x-max-age", Argument::Seconds(age)));
        }
        let consume_arguments = vec![(STREAM_OFFSET, Argument::Text(STREAM_LAST))];
        Queue { durable: true, arguments, consume_arguments, ..Queue::named(name) }
    }

    fn transient_queue(&self, name: String) -> Queue {
        let mut arguments = self.queue_type(self.entities.transient_quorum);
        if self.entities.transient_ttl > Duration::ZERO {
            let ttl_ms = i64::try_from(self.entities.transient_ttl.as_millis());
            arguments.push(("x-expires", Argument::Number(ttl_ms.unwrap_or(i64::MAX))));
        }
        let (durable, consume_arguments) =
            (self.entities.transient_quorum, self.consume_arguments());
        let may_be_exclusive = !durable && self.entities.profile != QueueProfile::Classic;
        Queue { durable, may_be_exclusive, arguments, consume_arguments, ..Queue::named(name) }
    }
}

#[cfg(test)]
mod tests;
