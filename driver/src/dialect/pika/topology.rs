//! Names, flags and arguments of exchanges and queues, as the old `pika` driver declares them.
//!
//! Each address of a server has two queues: one whose requests are acknowledged, and one for
//! clients that send each request once, without acknowledgements. All queues expire soon after
//! their last consumer. Not here: declaring them (`broker`).

use std::time::Duration;

use crate::config::options::pika::PikaOptions;
use crate::dialect::names::check_names;
use crate::error::Error;
use crate::message::priority::Priority;
use crate::message::target::Target;
use crate::topology::{Address, Argument, Exchange, Queue, Subscription};

/// The prefix of the old driver's reply queues.
pub(crate) const REPLY_PREFIX: &str = "reply.";

/// The prefix of queues whose requests are acknowledged.
const WITH_ACK: &str = "with_ack";
/// The prefix of queues whose requests are not acknowledged.
const NO_ACK: &str = "no_ack";

/// The exchanges and queues of targets, under the options of a transport.
#[derive(Debug, Clone)]
pub(crate) struct Topology {
    control_exchange: String,
    options: PikaOptions,
}

impl Topology {
    pub(crate) fn new(control_exchange: impl Into<String>, options: PikaOptions) -> Self {
        Self { control_exchange: control_exchange.into(), options }
    }

    /// Returns the address of requests to `target`. Requests that are sent `once` have other queues
    /// than those that may be sent again. Fanout takes precedence over a server's name.
    pub(crate) fn request(&self, target: &Target, once: bool) -> Result<Address, Error> {
        let topic = target.require_topic()?;
        let prefix = if once { NO_ACK } else { WITH_ACK };
        let routing_key = match target.server().filter(|server| !server.is_empty()) {
            _ if target.is_fanout() => format!("{prefix}.{topic}.all_workers"),
            Some(server) => format!("{prefix}.{topic}.{server}"),
            None => format!("{prefix}.{topic}"),
        };
        let exchange = self.rpc_exchange(target);
        check_names(target, [exchange.name.as_str(), &routing_key].into_iter())?;
        Ok(Address { exchange: Some(exchange), routing_key })
    }

    /// Returns the queues of a server: of its topic, of its name, and of fanouts, each twice. The
    /// `ids` make the names of its two fanout queues unique.
    pub(crate) fn server(
        &self,
        target: &Target,
        ids: [&str; 2],
    ) -> Result<Vec<Subscription>, Error> {
        let (topic, server) = target.require_topic_and_server()?;
        let exchange = self.rpc_exchange(target);
        let mut all = Vec::new();
        for (prefix, id) in [NO_ACK, WITH_ACK].into_iter().zip(ids) {
            let fanout = (
                format!("{prefix}.{topic}.{server}.worker.{id}"),
                format!("{prefix}.{topic}.all_workers"),
            );
            let (topic, server) =
                (format!("{prefix}.{topic}"), format!("{prefix}.{topic}.{server}"));
            for (name, key) in [(topic.clone(), topic), (server.clone(), server), fanout] {
                let no_ack = prefix == NO_ACK;
                let queue = Queue { no_ack, ..self.transient_queue(name) };
                let binding = Some((exchange.clone(), key));
                all.push(Subscription { queue, binding });
            }
        }
        let names = all.iter().map(|one| one.queue.name.as_str());
        check_names(target, names.chain([exchange.name.as_str()]))?;
        Ok(all)
    }

    /// Returns the queue of a topic's notifications of one priority, which notifiers declare, too.
    /// Listeners of a pool have the pool's own queue, which gets a copy.
    pub(crate) fn notifications(
        &self,
        target: &Target,
        priority: Priority,
        pool: Option<&str>,
    ) -> Result<Subscription, Error> {
        let routing_key = format!("{}.{priority}", target.require_topic()?);
        let name = pool.unwrap_or(&routing_key);
        let exchange = self.notification_exchange(target);
        check_names(target, [exchange.name.as_str(), name, &routing_key].into_iter())?;
        let durable = self.options.notification_persistence;
        let queue =
            Queue { durable, arguments: Vec::new(), ..self.transient_queue(name.to_owned()) };
        Ok(Subscription { queue, binding: Some((exchange, routing_key)) })
    }

    /// Returns the queue of replies, with the name of `program`.
    pub(crate) fn replies(&self, program: &str, unique: &str) -> Subscription {
        let name = format!("{REPLY_PREFIX}{program}.{program}.{unique}");
        let binding = Some((self.reply_exchange(), name.clone()));
        Subscription { queue: self.transient_queue(name), binding }
    }

    /// Returns the exchanges of replies of the servers of `target`: that of this transport's
    /// control exchange, and that of the target's exchange if it names one.
    pub(crate) fn reply_exchanges(&self, target: &Target) -> Vec<Exchange> {
        let own = self.reply_exchange();
        let named = target.exchange().filter(|name| !name.is_empty());
        let theirs = named.map(|name| direct(format!("{name}_rpc_reply")));
        let others = theirs.filter(|exchange| exchange.name != own.name);
        std::iter::once(own).chain(others).collect()
    }

    /// Returns the exchange of replies of this transport's servers.
    pub(crate) fn reply_exchange(&self) -> Exchange {
        direct(self.options.reply_exchange(&self.control_exchange))
    }

    fn rpc_exchange(&self, target: &Target) -> Exchange {
        let name = target.exchange().filter(|name| !name.is_empty()).map(str::to_owned);
        direct(name.unwrap_or_else(|| self.options.rpc_exchange(&self.control_exchange)))
    }

    fn notification_exchange(&self, target: &Target) -> Exchange {
        let name = target.exchange().filter(|name| !name.is_empty()).map(str::to_owned);
        let name =
            name.unwrap_or_else(|| self.options.notification_exchange(&self.control_exchange));
        Exchange { durable: self.options.notification_persistence, ..direct(name) }
    }

    fn transient_queue(&self, name: String) -> Queue {
        let mut arguments = Vec::new();
        if self.options.queue_expiration > Duration::ZERO {
            let expires_ms = i64::try_from(self.options.queue_expiration.as_millis());
            arguments.push(("x-expires", Argument::Number(expires_ms.unwrap_or(i64::MAX))));
        }
        Queue { arguments, ..Queue::named(name) }
    }
}

/// Returns an exchange of this format, which RabbitMQ deletes with its last binding.
fn direct(name: String) -> Exchange {
    Exchange { name, kind: "direct", durable: false, auto_delete: true }
}
