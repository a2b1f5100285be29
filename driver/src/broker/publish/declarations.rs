//! Declares exchanges and queues once for each connection, and again after they were found missing.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use leveret_engine::Channel;

use crate::broker::declare;
use crate::broker::lease::{ChannelLease, ConnectionLease};
use crate::broker::open::open_until;
use crate::broker::publish::prerequisite::Prerequisite;
use crate::error::Error;
use crate::runtime::timer::Timer;

/// The declarations of one connection.
pub(super) struct Declarations {
    lease: ConnectionLease,
    /// Carries no publications: a refused declaration closes it.
    channel: ChannelLease,
    declared: Mutex<Declared>,
    /// The number of refused messages on routes with a prerequisite whose senders do not wait.
    refused: AtomicU64,
    timer: Arc<Timer>,
}

/// What was declared, by name.
#[derive(Default)]
struct Declared {
    exchanges: HashSet<String>,
    queues: HashSet<String>,
}

impl Declarations {
    pub(super) fn new(lease: ConnectionLease, channel: ChannelLease, timer: &Arc<Timer>) -> Self {
        let (declared, refused) = (Mutex::default(), AtomicU64::new(0));
        Self { lease, channel, declared, refused, timer: Arc::clone(timer) }
    }

    /// The channel of the declarations.
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Whether the channel is closed for good.
    pub(super) fn is_closed(&self) -> bool {
        self.channel.is_closed()
    }

    /// Declares a prerequisite unless it is declared.
    pub(super) async fn declare(&self, prerequisite: &Prerequisite) -> Result<(), Error> {
        if self.contains(prerequisite) {
            return Ok(());
        }
        match prerequisite {
            Prerequisite::Exchange(exchange) => declare::exchange(&self.channel, exchange).await?,
            Prerequisite::Queue(subscription) => {
                declare::subscription(&self.channel, subscription).await?
            }
        }
        self.lock().insert(prerequisite);
        Ok(())
    }

    /// [`declare`](Self::declare), within a deadline.
    pub(super) async fn declare_until(
        &self,
        prerequisite: &Prerequisite,
        deadline: Instant,
    ) -> Result<(), Error> {
        let declare = || self.declare(prerequisite);
        let declared = open_until(&self.timer, deadline, declare, || self.lease.why_down()).await;
        declared.map_err(Error::unsent)
    }

    /// Whether a prerequisite was declared and not [forgotten](Self::forget). A deleted exchange
    /// deletes its bindings, so a queue needs its exchange.
    pub(super) fn contains(&self, prerequisite: &Prerequisite) -> bool {
        let declared = self.lock();
        declared.exchanges.contains(&prerequisite.exchange().name)
            && match prerequisite {
                Prerequisite::Exchange(_) => true,
                Prerequisite::Queue(subscription) => {
                    declared.queues.contains(&subscription.queue.name)
                }
            }
    }

    /// Forgets a missing prerequisite: the next message declares it again.
    pub(super) fn forget(&self, prerequisite: &Prerequisite) {
        self.lock().remove(prerequisite);
    }

    /// Counts a refused message whose sender does not wait.
    pub(super) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of refused messages whose senders did not wait.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Declared> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Declared {
    fn insert(&mut self, prerequisite: &Prerequisite) {
        self.exchanges.insert(prerequisite.exchange().name.clone());
        if let Prerequisite::Queue(subscription) = prerequisite {
            self.queues.insert(subscription.queue.name.clone());
        }
    }

    fn remove(&mut self, prerequisite: &Prerequisite) {
        self.exchanges.remove(&prerequisite.exchange().name);
        if let Prerequisite::Queue(subscription) = prerequisite {
            self.queues.remove(&subscription.queue.name);
        }
    }
}
