//! Names, flags and arguments of exchanges and queues, as the `rabbit` driver declares them.
//!
//! Peers must agree on every flag, or the broker refuses the second declaration (406). Queue names
//! and the fanout exchange do not contain the exchange of the target: two services with one topic
//! share them, as in oslo. Not here: who declares when (`broker`).

use std::time::Duration;

use crate::config::EntityOptions;
use crate::error::Error;
use crate::ids::Hex32;
use crate::message::priority::Priority;
use crate::target::Target;
use crate::target::entity::{Argument, Exchange, Queue, Route, Subscription};

/// How every reply queue's name begins; a server sends replies nowhere else.
pub(crate) const REPLY_PREFIX: &str = "reply_";

/// Longest name AMQP carries (a short string).
const NAME_BYTES_MAX: usize = 255;

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
    pub(crate) fn request(&self, target: &Target) -> Result<Route, Error> {
        let topic = target.sendable()?;
        let route = if target.is_fanout() {
            Route { exchange: Some(self.fanout_exchange(topic)), routing_key: String::new() }
        } else {
            let routing_key = match target.server().filter(|server| !server.is_empty()) {
                Some(server) => format!("{topic}.{server}"),
                None => topic.to_owned(),
            };
            Route { exchange: Some(self.exchange(target)), routing_key }
        };
        let exchange = route.exchange.iter().map(|exchange| exchange.name.as_str());
        check_names(target, exchange.chain([route.routing_key.as_str()]))?;
        Ok(route)
    }

    /// What a server listens to: its topic, its own name, and everybody's fanouts.
    pub(crate) fn server(
        &self,
        target: &Target,
        fanout_id: &Hex32,
    ) -> Result<[Subscription; 3], Error> {
        let (topic, server) = target.servable()?;
        let permanent = |name: String| Subscription {
            binding: Some((self.exchange(target), name.clone())),
            queue: self.permanent_queue(name),
        };
        let fanout = Subscription {
            queue: self.transient_queue(format!("{topic}_fanout_{}", fanout_id.as_str())),
            binding: Some((self.fanout_exchange(topic), topic.to_owned())),
        };
        let all = [permanent(topic.to_owned()), permanent(format!("{topic}.{server}")), fanout];
        let exchange = std::iter::once(target.exchange().unwrap_or_default());
        check_names(target, exchange.chain(all.iter().map(|one| one.queue.name.as_str())))?;
        Ok(all)
    }

    /// The queue of a topic's notifications of one priority, as its notifiers and its listeners
    /// declare it: so that a notification is kept while nobody listens.
    pub(crate) fn notifications(
        &self,
        target: &Target,
        priority: Priority,
    ) -> Result<Subscription, Error> {
        let name = format!("{}.{priority}", target.sendable()?);
        self.listened(target, name.clone(), name)
    }

    /// What one of a pool's listeners listens to: the pool's own queue, which gets a copy of the
    /// topic's notifications of this priority.
    pub(crate) fn pooled_notifications(
        &self,
        target: &Target,
        priority: Priority,
        pool: &str,
    ) -> Result<Subscription, Error> {
        let routing_key = format!("{}.{priority}", target.sendable()?);
        self.listened(target, pool.to_owned(), routing_key)
    }

    fn listened(
        &self,
        target: &Target,
        queue: String,
        routing_key: String,
    ) -> Result<Subscription, Error> {
        let exchange = self.exchange(target);
        check_names(target, [exchange.name.as_str(), &queue, &routing_key].into_iter())?;
        let binding = Some((exchange, routing_key));
        Ok(Subscription { queue: self.permanent_queue(queue), binding })
    }

    /// The queue that replies come back through; it is reached through the default exchange.
    pub(crate) fn replies(&self, id: &Hex32) -> Subscription {
        let queue = self.transient_queue(format!("{REPLY_PREFIX}{}", id.as_str()));
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
        let mut arguments = Vec::new();
        if entities.quorum {
            arguments.push(("x-queue-type", Argument::Text("quorum")));
            let limits = [
                ("x-delivery-limit", entities.quorum_delivery_limit),
                ("x-max-in-memory-length", entities.quorum_max_memory_length),
                ("x-max-in-memory-bytes", entities.quorum_max_memory_bytes),
            ];
            let set = limits.into_iter().filter(|(_, limit)| *limit > 0);
            arguments.extend(set.map(|(name, limit)| (name, Argument::Number(limit.into()))));
        }
        let durable = entities.durable || entities.quorum;
        Queue { name, durable, auto_delete: entities.auto_delete, arguments }
    }

    fn transient_queue(&self, name: String) -> Queue {
        let mut arguments = Vec::new();
        if self.entities.transient_quorum {
            arguments.push(("x-queue-type", Argument::Text("quorum")));
        }
        if self.entities.transient_ttl > Duration::ZERO {
            let ttl_ms = i64::try_from(self.entities.transient_ttl.as_millis());
            arguments.push(("x-expires", Argument::Number(ttl_ms.unwrap_or(i64::MAX))));
        }
        Queue { name, durable: self.entities.transient_quorum, auto_delete: false, arguments }
    }
}

fn check_names<'a>(target: &Target, mut names: impl Iterator<Item = &'a str>) -> Result<(), Error> {
    match names.find(|name| name.len() > NAME_BYTES_MAX) {
        None => Ok(()),
        Some(name) => Err(target.invalid(format_args!(
            "AMQP names have at most {NAME_BYTES_MAX} bytes, this target needs one of {}",
            name.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::IdSource;

    fn id() -> Hex32 {
        Hex32::from_digits(b"00000000000000000000000000000001").unwrap()
    }

    fn with(change: impl FnOnce(&mut EntityOptions)) -> Topology {
        let mut entities = EntityOptions::default();
        change(&mut entities);
        Topology::new("openstack", entities)
    }

    #[test]
    fn requests_are_routed_as_by_oslo() {
        let topology = with(|_| {});
        let target = Target::new("t").with_server("s");
        let route = topology.request(&target).unwrap();
        assert_eq!(route.routing_key, "t.s");
        let exchange = route.exchange.unwrap();
        assert_eq!((exchange.name.as_str(), exchange.kind), ("openstack", "topic"));
        assert!(!exchange.durable && !exchange.auto_delete);
        let route = topology.request(&target.with_fanout(true)).unwrap();
        assert_eq!(route.routing_key, "", "fanout wins over the server's name");
        let exchange = route.exchange.unwrap();
        assert_eq!((exchange.name.as_str(), exchange.kind), ("t_fanout", "fanout"));
        assert!(!exchange.durable && exchange.auto_delete);
        let route = topology.request(&Target::new("t").with_exchange("nova")).unwrap();
        assert_eq!(route.exchange.unwrap().name, "nova");
    }

    #[test]
    fn a_server_listens_to_three_queues() {
        let target = Target::new("t").with_server("s");
        let [topic, server, fanout] = with(|_| {}).server(&target, &id()).unwrap();
        let facts = |one: &Subscription| {
            let (exchange, key) = one.binding.clone().unwrap();
            (one.queue.name.clone(), exchange.name, key, one.queue.arguments.clone())
        };
        assert_eq!(facts(&topic), ("t".into(), "openstack".into(), "t".into(), vec![]));
        assert_eq!(facts(&server), ("t.s".into(), "openstack".into(), "t.s".into(), vec![]));
        let name = format!("t_fanout_{}", id().as_str());
        let expires = vec![("x-expires", Argument::Number(1_800_000))];
        assert_eq!(facts(&fanout), (name, "t_fanout".into(), "t".into(), expires));
    }

    #[test]
    fn options_change_flags_and_arguments() {
        let target = Target::new("t").with_server("s");
        let [topic, _, fanout] = with(|entities| {
            (entities.quorum, entities.quorum_delivery_limit) = (true, 7);
        })
        .server(&target, &id())
        .unwrap();
        assert!(topic.queue.durable && topic.binding.unwrap().0.durable);
        let quorum = ("x-queue-type", Argument::Text("quorum"));
        let limit = ("x-delivery-limit", Argument::Number(7));
        assert_eq!(topic.queue.arguments, [quorum, limit]);
        assert!(!fanout.queue.durable, "permanent options leave transient queues alone");
        let topology = with(|entities| {
            (entities.transient_quorum, entities.transient_ttl) = (true, Duration::ZERO);
        });
        let replies = topology.replies(&id());
        assert_eq!(replies.queue.arguments, [quorum], "no ttl, no x-expires");
        assert!(replies.queue.durable && replies.binding.is_none());
        let [topic, _, fanout] = with(|entities| {
            (entities.durable, entities.auto_delete) = (true, true);
        })
        .server(&target, &id())
        .unwrap();
        assert!(topic.queue.durable && topic.queue.auto_delete);
        assert!(!fanout.queue.durable && !fanout.queue.auto_delete);
    }

    #[test]
    fn notifications_wait_in_a_queue_of_topic_and_priority() {
        let topology = with(|entities| entities.durable = true);
        let target = Target::new("notifications");
        let stored = topology.notifications(&target, Priority::Info).unwrap();
        let (exchange, key) = stored.binding.unwrap();
        assert_eq!((exchange.name.as_str(), exchange.kind), ("openstack", "topic"));
        assert_eq!(stored.queue.name, "notifications.info");
        assert_eq!(key, "notifications.info");
        assert!(exchange.durable && stored.queue.durable && stored.queue.arguments.is_empty());
        let nova = target.with_exchange("nova");
        let pooled = topology.pooled_notifications(&nova, Priority::Error, "pool").unwrap();
        let (exchange, key) = pooled.binding.unwrap();
        assert_eq!((exchange.name.as_str(), key.as_str()), ("nova", "notifications.error"));
        assert_eq!(pooled.queue.name, "pool", "the pool's name, verbatim");
    }

    #[test]
    fn names_that_amqp_cannot_carry_are_refused() {
        let topology = with(|_| {});
        let long = Target::new("t".repeat(200)).with_server("s".repeat(55));
        assert!(topology.request(&long).is_err());
        let long = Target::new("t".repeat(220)).with_server("s");
        assert!(topology.server(&long, &IdSource::new().unwrap().unique_id()).is_err());
    }
}
