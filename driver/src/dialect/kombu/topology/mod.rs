//! Names, flags and arguments of exchanges and queues, as the `rabbit` driver declares them.
//!
//! All peers must declare the same flags, or RabbitMQ refuses the second declaration (406). The
//! names of queues and of the fanout exchange do not contain the exchange of the target: two
//! services with the same topic share them, as in oslo. Not here: declaring them (`broker`).

use std::time::Duration;

use crate::config::options::entities::{EntityOptions, QueueProfile};
use crate::dialect::names::check_names;
use crate::error::Error;
use crate::message::priority::Priority;
use crate::message::target::Target;
use crate::topology::{
    Address, Argument, Exchange, Queue, STREAM_LAST, STREAM_OFFSET, Subscription,
};

/// The prefix of every reply queue's name; a server sends replies to no other queue.
pub(crate) const REPLY_PREFIX: &str = "reply_";

/// The exchanges and queues of targets, under the options of a transport.
#[derive(Debug, Clone)]
pub(crate) struct Topology {
    control_exchange: String,
    entities: EntityOptions,
}

impl Topology {
    pub(crate) fn new(control_exchange: impl Into<String>, entities: EntityOptions) -> Self {
        Self { control_exchange: control_exchange.into(), entities }
    }

    /// Returns the address of requests to `target`. Fanout takes precedence over a server's name.
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

    /// Returns the queues of a server: of its topic, of its name, and of fanouts. `fanout_id` makes
    /// the name of its fanout queue unique; it is unused where servers share a stream.
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

    /// Returns the queue of a topic's notifications of one priority. Notifiers declare it, too, so
    /// that it keeps notifications while no listener is there. Listeners of a pool have the pool's
    /// own queue, which gets a copy.
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

    /// Returns the additional queue of a server under [`QueueProfile::LocalRandom`], for requests
    /// to its topic from clients on its node. Exchanges of type `x-local-random` require an empty
    /// binding key, so each topic has an exchange.
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

    /// Returns the queue of replies, which are published through the default exchange.
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

    /// Returns the arguments of a quorum queue, or of a mirrored one.
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

    /// Returns the stream of a topic's fanouts. Consumers do not remove messages, so all servers
    /// share it.
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
