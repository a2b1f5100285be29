//! The queue that replies come back through: opened by the first call, and again by the next one
//! after its consumer was lost for good.
//!
//! Its name stays for the transport's life, as servers try for a while to reach it. Not here: which
//! call a reply answers (`reply_sink`).

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leveret_engine::DeliverySink;

use crate::broker::connections::{self, Connections};
use crate::broker::errors;
use crate::broker::open_once::OpenOnce;
use crate::broker::purpose::Purpose;
use crate::broker::subscriber::Subscriber;
use crate::dialect::wire::Wire;
use crate::error::Error;
use crate::message::target::Target;
use crate::observe::health::ReplyPath;
use crate::topology::{Exchange, Subscription};
use crate::transport::pending_calls::PendingCalls;
use crate::transport::queue_names::QueueNames;
use crate::transport::reply_sink::ReplySink;

/// The reply queue of a transport.
pub(crate) struct ReplyQueue {
    connections: Arc<Connections>,
    wire: Arc<Wire>,
    pending: Arc<PendingCalls>,
    names: QueueNames,
    opened: OpenOnce<OpenQueue>,
    /// The part of its name that tells processes apart.
    id: OpenOnce<String>,
    /// Exchanges of servers that calls were made to, which their replies come through.
    extra_exchanges: Mutex<Vec<Exchange>>,
}

/// The queue while it is open, and its consumer.
struct OpenQueue {
    name: Arc<str>,
    /// `None` once it is retired.
    subscriber: Mutex<Option<Arc<Subscriber>>>,
    /// Exchanges that are bound to the queue: servers of the `pika` driver reply through theirs.
    bound: Mutex<HashSet<String>>,
    /// The consumer has closed for good.
    is_lost: Arc<AtomicBool>,
}

/// What it takes to open the queue.
struct Opening {
    connections: Arc<Connections>,
    wire: Arc<Wire>,
    pending: Arc<PendingCalls>,
    subscriptions: Vec<Subscription>,
}

impl ReplyQueue {
    pub(super) fn new(
        connections: &Arc<Connections>,
        wire: &Arc<Wire>,
        pending: &Arc<PendingCalls>,
        names: QueueNames,
    ) -> Arc<Self> {
        let (connections, wire) = (Arc::clone(connections), Arc::clone(wire));
        let pending = Arc::clone(pending);
        let (opened, id, extra_exchanges) = Default::default();
        Arc::new(Self { connections, wire, pending, names, opened, id, extra_exchanges })
    }

    /// Its name, if replies come through it now.
    pub(crate) fn name_if_open(&self) -> Option<Arc<str>> {
        let queue = self.opened.get()?;
        (!queue.is_lost()).then(|| Arc::clone(&queue.name))
    }

    /// Its name, consumed from once this resolves.
    pub(crate) async fn open(&self) -> Result<Arc<str>, Error> {
        loop {
            if self.opened.is_closed() {
                return Err(errors::transport_closed());
            }
            if let Some(lost) = self.opened.get().filter(|queue| queue.is_lost()) {
                self.opened.forget(&lost);
                drop(lost.retire());
            }
            let id = self.id.get_or_open(|| self.names.draw()).await?;
            let open = || {
                let opening = Opening {
                    connections: Arc::clone(&self.connections),
                    wire: Arc::clone(&self.wire),
                    pending: Arc::clone(&self.pending),
                    subscriptions: self.subscriptions(&id),
                };
                opening.run()
            };
            let queue = self.opened.get_or_open(open).await?;
            if !queue.is_lost() {
                return Ok(Arc::clone(&queue.name));
            }
        }
    }

    /// The queue with its bindings, those to the exchanges of servers that were called included.
    fn subscriptions(&self, id: &str) -> Vec<Subscription> {
        let mut all = self.wire.reply_queue(&connections::program(), id);
        let queue = all[0].queue.clone();
        let extra = self.extra_exchanges().clone().into_iter().map(|exchange| {
            let binding = Some((exchange, queue.name.clone()));
            Subscription { queue: queue.clone(), binding }
        });
        all.extend(extra);
        all
    }

    /// Binds the queue to the exchanges that servers of `target` reply through: those of their own
    /// configuration.
    pub(crate) async fn bind_exchanges_of(&self, target: &Target) -> Result<(), Error> {
        let exchanges = self.wire.extra_reply_exchanges(target);
        if exchanges.is_empty() {
            return Ok(());
        }
        let Some(queue) = self.opened.get() else { return Ok(()) };
        let Some(subscriber) = queue.subscriber() else { return Ok(()) };
        for exchange in exchanges {
            if queue.bound().contains(&exchange.name) {
                continue;
            }
            // Two callers at a time bind twice, which changes nothing.
            subscriber.bind(&queue.name, &exchange).await?;
            if queue.bound().insert(exchange.name.clone()) {
                // It is bound again when the queue is opened again.
                self.extra_exchanges().push(exchange);
            }
        }
        Ok(())
    }

    /// The consumer of replies, if there is one.
    pub(super) fn subscriber(&self) -> Option<Arc<Subscriber>> {
        self.opened.get()?.subscriber()
    }

    /// Whether replies can come.
    pub(super) fn state(&self) -> ReplyPath {
        let queue = self.opened.get();
        let subscriber = queue.as_ref().and_then(|queue| queue.subscriber());
        match (&queue, &subscriber) {
            (None, _) if !self.opened.is_opening() => ReplyPath::Unused,
            (Some(_), None) if self.opened.is_closed() => ReplyPath::Unused,
            (Some(queue), Some(one)) if !queue.is_lost() && !one.is_closed() => {
                match one.consumers().pop() {
                    Some(consumer) if consumer.is_ready() => ReplyPath::Open,
                    _ => ReplyPath::Waiting,
                }
            }
            _ => ReplyPath::Opening,
        }
    }

    /// Opens nothing more.
    pub(super) fn stop(&self) {
        self.opened.close();
    }

    /// Ends the consumer.
    pub(super) async fn close(&self) -> Result<(), Error> {
        match self.opened.get().and_then(|queue| queue.retire()) {
            Some(subscriber) => subscriber.close().await,
            None => Ok(()),
        }
    }

    fn extra_exchanges(&self) -> MutexGuard<'_, Vec<Exchange>> {
        self.extra_exchanges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenQueue {
    fn subscriber(&self) -> Option<Arc<Subscriber>> {
        self.lock().clone()
    }

    fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }

    /// Takes the consumer away: it ends when it is dropped.
    fn retire(&self) -> Option<Arc<Subscriber>> {
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
    async fn run(self) -> Result<OpenQueue, Error> {
        let Self { connections, wire, pending, subscriptions } = self;
        let is_lost = Arc::new(AtomicBool::new(false));
        let sink = |_: &Subscription| -> Box<dyn DeliverySink> {
            let is_lost = Arc::clone(&is_lost);
            Box::new(ReplySink::new(&pending, &wire, move |error| {
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
        let subscriber = Subscriber::open(&connections, purpose, 0, &subscriptions, sink).await?;
        let bindings = subscriptions.iter().filter_map(|one| one.binding.as_ref());
        let bound = bindings.map(|(exchange, _)| exchange.name.clone()).collect();
        Ok(OpenQueue {
            name: subscriptions[0].queue.name.as_str().into(),
            subscriber: Mutex::new(Some(Arc::new(subscriber))),
            bound: Mutex::new(bound),
            is_lost,
        })
    }
}
