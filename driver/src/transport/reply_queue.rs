//! The queue that replies come back through: opened by the first call, and again by the next one
//! after its consumer was lost for good.
//!
//! Its name stays for the transport's life, as servers try for a while to reach it. Not here: whose
//! a reply is (`replies`).

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::transport::Transport;
use crate::broker::connections::Connections;
use crate::broker::errors;
use crate::broker::lease::Purpose;
use crate::broker::subscriber::Subscriber;
use crate::config::SendingDialect;
use crate::error::Error;
use crate::message::target::Target;
use crate::topology::{Exchange, Subscription};
use crate::transport::pending_calls::{PendingCalls, ReplySink};

/// The reply queue and its consumer.
pub(super) struct ReplyQueue {
    name: Arc<str>,
    /// `None` once it is retired.
    subscriber: Mutex<Option<Arc<Subscriber>>>,
    /// Exchanges that are bound to the queue: servers of the `pika` dialect reply through theirs.
    bound: Mutex<HashSet<String>>,
    /// The consumer has ended for good.
    is_lost: Arc<AtomicBool>,
}

/// What it takes to open the reply queue.
struct Opening {
    connections: Arc<Connections>,
    book: Arc<PendingCalls>,
    subscriptions: Vec<Subscription>,
    reads_pika: bool,
}

impl ReplyQueue {
    /// The consumer of replies, unless it is retired.
    pub(super) fn subscriber(&self) -> Option<Arc<Subscriber>> {
        self.lock().clone()
    }

    /// Whether replies can come through it.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }

    /// Takes the consumer away: it ends when it is dropped.
    pub(super) fn retire(&self) -> Option<Arc<Subscriber>> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Subscriber>>> {
        self.subscriber.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bound(&self) -> MutexGuard<'_, HashSet<String>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opening {
    async fn run(self) -> Result<ReplyQueue, Error> {
        let Self { connections, book, subscriptions, reads_pika } = self;
        let is_lost = Arc::new(AtomicBool::new(false));
        let sink = |_: &Subscription| -> Box<dyn leveret_engine::DeliverySink> {
            let is_lost = Arc::clone(&is_lost);
            Box::new(ReplySink::new(&book, reads_pika, move |error| {
                if let Some(error) = error {
                    tracing::error!(
                        name: "leveret.replies.consumer_lost",
                        %error, "no reply can be received; the next call tries again"
                    );
                }
                is_lost.store(true, Ordering::Release);
            }))
        };
        let purpose = Purpose::Replies;
        let listening = Subscriber::open(&connections, purpose, 0, &subscriptions, sink).await?;
        let bindings = subscriptions.iter().filter_map(|one| one.binding.as_ref());
        let bound = bindings.map(|(exchange, _)| exchange.name.clone()).collect();
        Ok(ReplyQueue {
            name: subscriptions[0].queue.name.as_str().into(),
            subscriber: Mutex::new(Some(Arc::new(listening))),
            bound: Mutex::new(bound),
            is_lost,
        })
    }
}

impl Transport {
    /// The queue replies come back through, consumed from before `deadline`.
    pub(crate) async fn reply_queue(&self, deadline: Instant) -> Result<Arc<str>, Error> {
        if let Some(name) = self.known_reply_queue() {
            return Ok(name);
        }
        self.opened(deadline, || self.open_reply_queue()).await
    }

    pub(super) fn known_reply_queue(&self) -> Option<Arc<str>> {
        let queue = self.shared.replies.get()?;
        (!queue.is_lost()).then(|| Arc::clone(&queue.name))
    }

    /// The queue replies come back through, consumed from once this resolves.
    pub(crate) async fn open_reply_queue(&self) -> Result<Arc<str>, Error> {
        let shared = &self.shared;
        loop {
            if shared.replies.is_closed() {
                return Err(errors::stopped());
            }
            if let Some(lost) = shared.replies.get().filter(|queue| queue.is_lost()) {
                shared.replies.forget(&lost);
                drop(lost.retire());
            }
            let id = shared.reply_id.get_or_open(|| self.queue_id()).await?;
            let open = || {
                let opening = Opening {
                    connections: Arc::clone(&shared.connections),
                    book: Arc::clone(&shared.book),
                    subscriptions: self.reply_subscriptions(&id),
                    reads_pika: self.sending() != SendingDialect::Kombu,
                };
                opening.run()
            };
            let queue = shared.replies.get_or_open(open).await?;
            if !queue.is_lost() {
                return Ok(Arc::clone(&queue.name));
            }
        }
    }

    /// The queue of replies with its bindings. One queue hears servers of both dialects: those of
    /// `rabbit` through the default exchange, those of `pika` through theirs.
    fn reply_subscriptions(&self, id: &str) -> Vec<Subscription> {
        let shared = &self.shared;
        let mut all = match self.sending() {
            SendingDialect::Kombu => vec![shared.topology.replies(id)],
            SendingDialect::Pika => {
                vec![shared.pika.replies(&crate::broker::connections::program(), id)]
            }
            SendingDialect::Auto => {
                let plain = shared.topology.replies(id);
                let (queue, key) = (plain.queue.clone(), plain.queue.name.clone());
                let binding = Some((shared.pika.reply_exchange(), key));
                vec![plain, Subscription { queue, binding }]
            }
        };
        let queue = all[0].queue.clone();
        let heard = self.heard().clone().into_iter().map(|exchange| {
            let binding = Some((exchange, queue.name.clone()));
            Subscription { queue: queue.clone(), binding }
        });
        all.extend(heard);
        all
    }

    /// Makes sure that replies of the servers of `target` are heard, which reply through the
    /// exchange of their own configuration.
    pub(crate) async fn hear_servers_of(&self, target: &Target) -> Result<(), Error> {
        if self.sending() == SendingDialect::Kombu || target.exchange().is_none() {
            return Ok(());
        }
        let Some(queue) = self.shared.replies.get() else { return Ok(()) };
        let Some(subscriber) = queue.subscriber() else { return Ok(()) };
        for exchange in self.shared.pika.reply_exchanges(target) {
            if queue.bound().contains(&exchange.name) {
                continue;
            }
            // Twice does no harm, where two callers do it at a time.
            subscriber.bind(&queue.name, &exchange).await?;
            if queue.bound().insert(exchange.name.clone()) {
                // Bound again when the queue is opened again.
                self.heard().push(exchange);
            }
        }
        Ok(())
    }

    /// Exchanges of servers that calls of this transport were made to.
    fn heard(&self) -> MutexGuard<'_, Vec<Exchange>> {
        self.shared.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
