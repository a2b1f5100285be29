//! The queues of servers, of listeners, and of replies.
//!
//! A server of both formats has the queues of each, those of the `rabbit` driver first. If the
//! target names an exchange, both formats use it, as the `rabbit` driver declares it: a topic
//! exchange also routes by equal keys, which is all that the `pika` format needs.

use crate::config::options::dialects::{SendingDialect, ServingDialect};
use crate::dialect::incoming::RequestFormat;
use crate::dialect::wire::Wire;
use crate::error::Error;
use crate::message::ids::Hex32;
use crate::message::priority::Priority;
use crate::message::target::Target;
use crate::topology::{Exchange, Subscription};

/// The default prefetch of a server: unacknowledged requests per consumer. It keeps many workers
/// busy across a slow link. oslo sets no limit.
const DEFAULT_PREFETCH: u16 = 2048;

/// The unique parts in the names of a server's queues.
pub(crate) struct ServerIds {
    pub(crate) fanout: String,
    pub(crate) local: Hex32,
    pub(crate) transient: [Hex32; 2],
}

/// The queues that a server consumes from.
pub(crate) struct ServerQueues {
    pub(crate) queues: Vec<ServerQueue>,
    /// Unacknowledged requests per consumer.
    pub(crate) prefetch: u16,
    /// The fanout queue to delete when the server stops; `None` where another server may use it.
    pub(crate) fanout_queue: Option<String>,
}

/// A queue that a server consumes from.
#[derive(Clone)]
pub(crate) struct ServerQueue {
    pub(crate) subscription: Subscription,
    pub(crate) source: RequestSource,
    /// The server executes what it holds before it stops: no other server consumes from it.
    pub(crate) is_drained: bool,
    /// The server deletes it when it stops, unless another server consumes from it. Otherwise it
    /// would take requests until it expires.
    pub(crate) is_removed_when_unused: bool,
}

/// What the queue of a request tells about the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestSource {
    pub(crate) format: RequestFormat,
    /// The queue may be deleted when this server stops, so the server executes what was delivered
    /// from it.
    pub(crate) may_go_with_server: bool,
    /// The consumer acknowledges nothing: RabbitMQ forgets a request as it delivers it.
    pub(crate) no_ack: bool,
}

impl ServerQueues {
    /// Returns the source of the requests of one of these queues.
    pub(crate) fn source_of(&self, subscription: &Subscription) -> RequestSource {
        let name = &subscription.queue.name;
        let found = self.queues.iter().find(|served| served.subscription.queue.name == *name);
        found.map(|served| served.source).expect("the subscription is one of these queues")
    }
}

impl Wire {
    /// Whether servers need an id for their fanout queue. Callers ask before they draw one: with
    /// stable names it takes a number from a file.
    pub(crate) fn needs_fanout_id(&self) -> bool {
        self.serves.has_kombu() && !self.has_fanout_stream
    }

    /// Returns the queues of a server of `target`.
    ///
    /// # Errors
    /// `InvalidTarget`.
    pub(crate) fn server_queues(
        &self,
        target: &Target,
        ids: &ServerIds,
    ) -> Result<ServerQueues, Error> {
        let configured = self.serves.prefetch(self.prefetch, self.options.rpc_prefetch);
        let prefetch = if configured == 0 { DEFAULT_PREFETCH } else { configured };
        let mut served = ServerQueues { queues: Vec::new(), prefetch, fanout_queue: None };
        if self.serves.has_kombu() {
            self.add_kombu_queues(&mut served, target, ids)?;
        }
        if self.serves.has_pika() {
            self.add_pika_queues(&mut served, target, ids)?;
        }
        Ok(served)
    }

    fn add_kombu_queues(
        &self,
        served: &mut ServerQueues,
        target: &Target,
        ids: &ServerIds,
    ) -> Result<(), Error> {
        let all = self.kombu.server(target, &ids.fanout)?;
        let local = self.kombu.local(target, ids.local.as_str())?;
        let [.., fanout] = &all;
        let is_fanout_deleted = !fanout.queue.is_stream() && !self.has_stable_names;
        served.fanout_queue = is_fanout_deleted.then(|| fanout.queue.name.clone());
        let queues = all.into_iter().chain(local).map(|subscription| {
            let queue = &subscription.queue;
            let may_go_with_server =
                queue.exclusive || served.fanout_queue.as_ref() == Some(&queue.name);
            let format = RequestFormat::Kombu;
            ServerQueue {
                subscription,
                source: RequestSource { format, may_go_with_server, no_ack: false },
                is_drained: may_go_with_server,
                is_removed_when_unused: false,
            }
        });
        served.queues = queues.collect();
        Ok(())
    }

    fn add_pika_queues(
        &self,
        served: &mut ServerQueues,
        target: &Target,
        ids: &ServerIds,
    ) -> Result<(), Error> {
        let has_name = target.exchange().is_some_and(|name| !name.is_empty());
        let shared = (has_name && self.serves.has_kombu())
            .then(|| served.queues.first().and_then(|first| first.subscription.binding.clone()))
            .flatten();
        let ids = ids.transient.each_ref().map(Hex32::as_str);
        for mut subscription in self.pika.server(target, ids)? {
            if let (Some((kombu, _)), Some((pika, _))) = (&shared, &mut subscription.binding) {
                pika.clone_from(kombu);
            }
            // Queues of the `pika` format expire when their last server has stopped.
            let (format, no_ack) = (RequestFormat::Pika, subscription.queue.no_ack);
            served.queues.push(ServerQueue {
                subscription,
                source: RequestSource { format, may_go_with_server: true, no_ack },
                is_drained: false,
                is_removed_when_unused: true,
            });
        }
        Ok(())
    }

    /// Returns the queue of a target's notifications of one priority, once for each of its
    /// bindings.
    ///
    /// Both formats have the same name for it, so it is one queue, declared as by the `rabbit`
    /// driver where that format is served. A notification is consumed once, whichever exchange it
    /// was published to.
    ///
    /// # Errors
    /// `InvalidTarget`.
    pub(crate) fn listener_queues(
        &self,
        target: &Target,
        priority: Priority,
        pool: Option<&str>,
    ) -> Result<Vec<Subscription>, Error> {
        let (kombu, pika) = match self.serves {
            ServingDialect::Kombu => {
                return Ok(vec![self.kombu.notifications(target, priority, pool)?]);
            }
            ServingDialect::Pika => {
                return Ok(vec![self.pika.notifications(target, priority, pool)?]);
            }
            ServingDialect::Both => (
                self.kombu.notifications(target, priority, pool)?,
                self.pika.notifications(target, priority, pool)?,
            ),
        };
        let name = |one: &Subscription| one.binding.as_ref().map(|(from, _)| from.name.clone());
        // An exchange that the target names is the same for both.
        let is_same = name(&kombu) == name(&pika);
        let other = Subscription { queue: kombu.queue.clone(), binding: pika.binding };
        Ok(std::iter::once(kombu).chain((!is_same).then_some(other)).collect())
    }

    /// Returns the prefetch of listeners; 0 where none is configured.
    pub(crate) fn listener_prefetch(&self) -> u16 {
        self.serves.prefetch(self.prefetch, self.options.notification_prefetch)
    }

    /// Returns the queue of replies, once for each of its bindings. Servers of the `rabbit` driver
    /// reply through the default exchange, those of `pika` through their exchange of replies.
    pub(crate) fn reply_queue(&self, program: &str, id: &str) -> Vec<Subscription> {
        match self.sends {
            SendingDialect::Kombu => vec![self.kombu.replies(id)],
            SendingDialect::Pika => vec![self.pika.replies(program, id)],
            SendingDialect::Auto => {
                let unbound = self.kombu.replies(id);
                let (queue, key) = (unbound.queue.clone(), unbound.queue.name.clone());
                let binding = Some((self.reply_exchange.clone(), key));
                vec![unbound, Subscription { queue, binding }]
            }
        }
    }

    /// Returns the exchanges of replies of the servers of `target`, which the queue of replies has
    /// to be bound to.
    pub(crate) fn extra_reply_exchanges(&self, target: &Target) -> Vec<Exchange> {
        if self.sends == SendingDialect::Kombu || target.exchange().is_none() {
            return Vec::new();
        }
        self.pika.reply_exchanges(target)
    }
}
