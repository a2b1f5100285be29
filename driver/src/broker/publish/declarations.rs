//! Declares exchanges and queues once for a connection, and again when they turn out to be gone.

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
    /// Has no publications: a refused declaration closes it.
    channel: ChannelLease,
    declared: Mutex<Declared>,
    /// Messages without a waiting sender that were refused on routes with a prerequisite.
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

    /// The channel that declares.
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Whether nothing can be declared any more.
    pub(super) fn is_closed(&self) -> bool {
        self.channel.is_closed()
    }

    /// Declares, unless that was done.
    pub(super) async fn declare(&self, needed: &Prerequisite) -> Result<(), Error> {
        if self.contains(needed) {
            return Ok(());
        }
        match needed {
            Prerequisite::Exchange(exchange) => declare::exchange(&self.channel, exchange).await?,
            Prerequisite::Queue(stored) => declare::subscription(&self.channel, stored).await?,
        }
        self.lock().insert(needed);
        Ok(())
    }

    /// [`declare`](Self::declare), within a deadline.
    pub(super) async fn declare_until(
        &self,
        needed: &Prerequisite,
        deadline: Instant,
    ) -> Result<(), Error> {
        let declare = || self.declare(needed);
        let declared = open_until(&self.timer, deadline, declare, || self.lease.why_down()).await;
        declared.map_err(Error::unsent)
    }

    /// Whether it was declared, and has not turned out to be gone since. An exchange that went took
    /// its bindings along, so a queue counts only with its exchange.
    pub(super) fn contains(&self, needed: &Prerequisite) -> bool {
        let declared = self.lock();
        declared.exchanges.contains(&needed.exchange().name)
            && match needed {
                Prerequisite::Exchange(_) => true,
                Prerequisite::Queue(stored) => declared.queues.contains(&stored.queue.name),
            }
    }

    /// Forgets what turned out to be gone: the next message declares it again.
    pub(super) fn forget(&self, needed: &Prerequisite) {
        self.lock().remove(needed);
    }

    /// Counts a message that was refused and whose sender does not wait.
    pub(super) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Messages that were refused and whose senders did not wait.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Declared> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Declared {
    fn insert(&mut self, needed: &Prerequisite) {
        self.exchanges.insert(needed.exchange().name.clone());
        if let Prerequisite::Queue(stored) = needed {
            self.queues.insert(stored.queue.name.clone());
        }
    }

    fn remove(&mut self, needed: &Prerequisite) {
        self.exchanges.remove(&needed.exchange().name);
        if let Prerequisite::Queue(stored) = needed {
            self.queues.remove(&stored.queue.name);
        }
    }
}
