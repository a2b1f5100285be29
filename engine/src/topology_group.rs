//! Connections that declare for each other: where one misses something, all of them look.
//!
//! Not here: what an audit does (`shard`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::reactor;

/// Connections that tell each other when something they declared is gone: all of them then look at
/// once whether theirs is. Clones are one group.
///
/// ```
/// use leveret_engine::{ConnectionConfig, TopologyGroup};
///
/// let group = TopologyGroup::default();
/// let mut publishing = ConnectionConfig::to("localhost", 5672);
/// publishing.topology_group = group.clone();
/// let mut consuming = ConnectionConfig::to("localhost", 5672);
/// consuming.topology_group = group;
/// ```
#[derive(Clone, Debug, Default)]
pub struct TopologyGroup(Arc<Group>);

#[derive(Debug)]
struct Group {
    /// How often an audit was asked for.
    asked: watch::Sender<u64>,
    /// The connections that are open.
    members: Mutex<Vec<Weak<AtomicU64>>>,
    /// A member has finished an audit.
    finished: Notify,
}

impl Default for Group {
    fn default() -> Self {
        let (asked, finished) = (watch::Sender::new(0), Notify::new());
        Self { asked, members: Mutex::default(), finished }
    }
}

/// An open connection of a group: the last audit it has finished.
pub(crate) struct Member(Arc<AtomicU64>);

impl TopologyGroup {
    /// Has every connection of the group look at once whether what it declared is still there.
    pub fn audit(&self) {
        self.0.asked.send_modify(|count| *count += 1);
    }

    /// The same, until all of them have looked, or `limit` has passed.
    pub(crate) async fn audited(&self, limit: Duration) {
        self.audit();
        let number = *self.0.asked.borrow();
        let _ = reactor::within(limit, async {
            loop {
                let finished = self.0.finished.notified();
                if self.members().iter().all(|done| done.load(Ordering::Acquire) >= number) {
                    return;
                }
                finished.await;
            }
        })
        .await;
    }

    /// Sees how often an audit was asked for.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.0.asked.subscribe()
    }

    /// Takes a connection in for as long as it is open.
    pub(crate) fn join(&self) -> Member {
        let done = Arc::new(AtomicU64::new(*self.0.asked.borrow()));
        let mut members = self.0.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|known| known.strong_count() > 0);
        members.push(Arc::downgrade(&done));
        Member(done)
    }

    fn members(&self) -> Vec<Arc<AtomicU64>> {
        let members = self.0.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.iter().filter_map(Weak::upgrade).collect()
    }

    /// A member has finished an audit.
    pub(crate) fn finish(&self, member: &Member, number: u64) {
        member.0.store(number, Ordering::Release);
        self.0.finished.notify_waiters();
    }
}
