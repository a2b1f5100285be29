//! The queues of servers, of listeners, and of replies.
//!
//! A server of both formats has the queues of each, those of the `rabbit` driver first. Where both
//! use one exchange, because the target names it, the `rabbit` driver's declaration counts: a topic
//! exchange also routes by keys that are equal, which is all that the `pika` driver needs.

use crate::config::options::dialects::{SendingDialect, ServingDialect};
use crate::dialect::incoming::RequestFormat;
use crate::dialect::wire::Wire;
use crate::error::Error;
use crate::message::ids::Hex32;
use crate::message::priority::Priority;
use crate::message::target::Target;
use crate::topology::{Exchange, Queue, Subscription};

/// The default prefetch of a server's consumer: enough to keep any number of workers busy across a
/// slow link. oslo sets none, and holds whatever comes.
const DEFAULT_PREFETCH: u16 = 2048;

/// What tells the queues of one server from those of others.
pub(crate) struct ServerIds {
    pub(crate) fanout: String,
    pub(crate) local: Hex32,
    pub(crate) transient: [Hex32; 2],
}

/// The queues that a server consumes from.
pub(crate) struct ServerQueues {
    pub(crate) queues: Vec<ServedQueue>,
    /// Unacknowledged requests per consumer.
    pub(crate) prefetch: u16,
    /// The fanout queue that is deleted when the server ends; `None` where another server may use
    /// it.
    pub(crate) fanout_queue: Option<String>,
}

/// A queue that a server consumes from.
#[derive(Clone)]
pub(crate) struct ServedQueue {
    pub(crate) subscription: Subscription,
    pub(crate) source: RequestSource,
    /// What it holds when the server stops is executed first: no other server consumes from it.
    pub(crate) is_drained: bool,
    /// It is removed when the server stops, unless another server consumes from it: it would go on
    /// taking requests for a while.
    pub(crate) is_removed_when_unused: bool,
}

/// What the queue of a request tells about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestSource {
    pub(crate) format: RequestFormat,
    /// The queue goes with the server: no other server could execute the request.
    pub(crate) is_ours: bool,
    /// RabbitMQ forgets what it delivers.
    pub(crate) no_ack: bool,
}

impl ServerQueues {
    /// What one of its queues tells about requests.
    pub(crate) fn source_of(&self, subscription: &Subscription) -> RequestSource {
        let name = &subscription.queue.name;
        let found = self.queues.iter().find(|known| known.subscription.queue.name == *name);
        found.map(|known| known.source).expect("only its own queues are asked for")
    }
}

impl Wire {
    /// Whether servers need an id for their fanout queue. Drawing one takes a number from a file
    /// where names are stable, so it is asked first.
    pub(crate) fn needs_fanout_id(&self) -> bool {
        self.serves.has_kombu() && !self.has_fanout_stream
    }

    /// The queues of a server of `target`.
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
        let goes =
            |queue: &Queue| queue.exclusive || served.fanout_queue.as_ref() == Some(&queue.name);
        let is_local = |queue: &Queue| local.as_ref().is_some_and(|one| one.queue == *queue);
        let queues = all.iter().chain(&local).map(|subscription| {
            let (queue, format) = (&subscription.queue, RequestFormat::Kombu);
            let is_drained = is_local(queue) || served.fanout_queue.as_ref() == Some(&queue.name);
            ServedQueue {
                subscription: subscription.clone(),
                source: RequestSource { format, is_ours: goes(queue), no_ack: false },
                is_drained,
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
            if let (Some((theirs, _)), Some((ours, _))) = (&shared, &mut subscription.binding) {
                ours.clone_from(theirs);
            }
            // What was taken is executed: the queue may be gone when the server stops.
            let (format, no_ack) = (RequestFormat::Pika, subscription.queue.no_ack);
            served.queues.push(ServedQueue {
                subscription,
                source: RequestSource { format, is_ours: true, no_ack },
                is_drained: false,
                is_removed_when_unused: true,
            });
        }
        Ok(())
    }

    /// The queue of a target's notifications of one priority, once for each of its bindings.
    ///
    /// Both formats have the same name for it, so it is one queue, declared as the `rabbit` driver
    /// declares it where that format is served: whichever exchange a notification goes through, it
    /// is consumed once.
    ///
    /// # Errors
    /// `InvalidTarget`.
    pub(crate) fn listener_queues(
        &self,
        target: &Target,
        priority: Priority,
        pool: Option<&str>,
    ) -> Result<Vec<Subscription>, Error> {
        let (ours, theirs) = match self.serves {
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
        // A target that names its exchange names the same one for both.
        let is_one = name(&ours) == name(&theirs);
        let other = Subscription { queue: ours.queue.clone(), binding: theirs.binding };
        Ok(std::iter::once(ours).chain((!is_one).then_some(other)).collect())
    }

    /// The prefetch of listeners; 0 where none is configured.
    pub(crate) fn listener_prefetch(&self) -> u16 {
        self.serves.prefetch(self.prefetch, self.options.notification_prefetch)
    }

    /// The queue of replies, once for each of its bindings. Servers of the `rabbit` driver reply to
    /// it through the default exchange, those of `pika` through theirs.
    pub(crate) fn reply_queue(&self, program: &str, id: &str) -> Vec<Subscription> {
        match self.sends {
            SendingDialect::Kombu => vec![self.kombu.replies(id)],
            SendingDialect::Pika => vec![self.pika.replies(program, id)],
            SendingDialect::Auto => {
                let plain = self.kombu.replies(id);
                let (queue, key) = (plain.queue.clone(), plain.queue.name.clone());
                let binding = Some((self.reply_exchange.clone(), key));
                vec![plain, Subscription { queue, binding }]
            }
        }
    }

    /// The exchanges that the servers of `target` reply through and that the queue of replies has
    /// to be bound to; empty where there is nothing to bind.
    pub(crate) fn extra_reply_exchanges(&self, target: &Target) -> Vec<Exchange> {
        if self.sends == SendingDialect::Kombu || target.exchange().is_none() {
            return Vec::new();
        }
        self.pika.reply_exchanges(target)
    }
}
