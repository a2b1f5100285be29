//! Groups of connections that audit their topology together.
//!
//! When one connection finds that something it declared is missing, every connection of its group
//! checks its own declarations. The audit itself is in `shard`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::reactor;

/// A group of connections that audit their declarations together. When one of them finds that
/// something it declared is gone, all of them check at once. Clones are the same group.
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
    /// Number of the latest requested audit.
    requested: watch::Sender<u64>,
    /// The open connections.
    members: Mutex<Vec<Weak<AtomicU64>>>,
    /// Notified when a member has finished an audit.
    finished: Notify,
}

impl Default for Group {
    fn default() -> Self {
        let (requested, finished) = (watch::Sender::new(0), Notify::new());
        Self { requested, members: Mutex::default(), finished }
    }
}

/// An open connection of a group; holds the number of the last audit that it has finished.
pub(crate) struct Member(Arc<AtomicU64>);

impl TopologyGroup {
    /// Asks every connection of the group to check at once whether what it declared still exists.
    pub fn audit(&self) {
        self.0.requested.send_modify(|count| *count += 1);
    }

    /// Requests an audit and waits until every member has finished it, for `limit` at most.
    pub(crate) async fn audit_and_wait(&self, limit: Duration) {
        self.audit();
        let number = *self.0.requested.borrow();
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

    /// Returns a receiver of the number of the latest requested audit.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.0.requested.subscribe()
    }

    /// Adds a connection to the group until the returned value is dropped.
    pub(crate) fn join(&self) -> Member {
        let done = Arc::new(AtomicU64::new(*self.0.requested.borrow()));
        let mut members = self.0.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|known| known.strong_count() > 0);
        members.push(Arc::downgrade(&done));
        Member(done)
    }

    fn members(&self) -> Vec<Arc<AtomicU64>> {
        let members = self.0.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.iter().filter_map(Weak::upgrade).collect()
    }

    /// Records that a member has finished audit `number`.
    pub(crate) fn finish(&self, member: &Member, number: u64) {
        member.0.store(number, Ordering::Release);
        self.0.finished.notify_waiters();
    }
}
