//! What all members of the fleet share: the broker, the ledger, the names of servers, the settings.
//!
//! Invariant: a server that is called by its name runs until the call has ended.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use leveret::engine::EngineConfig;
use leveret::{DriverConfig, Retry, Transport};

use crate::rolling::ledger::SharedLedger;
use crate::system::child_process;

/// Topic of the servers. A virtual host can have one run at a time.
pub(super) const TOPIC: &str = "leveret_rolling";
/// Topic of the notifications.
pub(super) const EVENTS: &str = "leveret_rolling_events";
/// Interval between two checks of a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A command that runs a Python member of the fleet.
pub(super) fn oslo(python: &Path) -> Command {
    child_process::python(python, include_str!("member.py"))
}

/// The surroundings of a member.
pub(super) struct Environment {
    pub(super) url: String,
    pub(super) engine: EngineConfig,
    pub(super) ledger: Arc<SharedLedger>,
    pub(super) names: Arc<ServerNames>,
    /// Timeout of a call.
    pub(super) timeout: Duration,
    /// Time between two requests of a client.
    pub(super) pause: Duration,
    pub(super) dwell: Duration,
    pub(super) at_most_once: bool,
    pub(super) notify: bool,
    pub(super) python: Option<PathBuf>,
}

impl Environment {
    /// Connects a transport; each member has its own.
    pub(super) async fn connect(&self, config: DriverConfig) -> Result<Transport, leveret::Error> {
        let builder = Transport::builder(&self.url).config(config);
        builder.engine_config(self.engine.clone()).connect().await
    }

    pub(super) fn retry(&self) -> Option<Retry> {
        self.at_most_once.then_some(Retry::Never)
    }
}

/// The names by which servers are called.
pub(super) struct ServerNames(Vec<Name>);

struct Name {
    name: String,
    may_be_called: AtomicBool,
    in_flight: AtomicUsize,
}

/// A name in use by one call.
pub(super) struct NameLease {
    names: Arc<ServerNames>,
    index: usize,
}

impl ServerNames {
    pub(super) fn of(servers: usize) -> Arc<Self> {
        let name = |index| Name {
            name: format!("server-{index}"),
            may_be_called: AtomicBool::new(true),
            in_flight: AtomicUsize::new(0),
        };
        Arc::new(Self((0..servers).map(name).collect()))
    }

    /// The name of the server with this index.
    pub(super) fn at(&self, index: usize) -> &str {
        &self.0[index].name
    }

    /// All names.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| name.name.as_str())
    }

    /// A random name that may be called; `None` if all servers are withdrawn.
    pub(super) fn call(self: &Arc<Self>) -> Option<NameLease> {
        let first = fastrand::usize(..self.0.len());
        (0..self.0.len()).find_map(|further| {
            let index = (first + further) % self.0.len();
            self.0[index].in_flight.fetch_add(1, Ordering::SeqCst);
            let called = NameLease { names: Arc::clone(self), index };
            self.0[index].may_be_called.load(Ordering::SeqCst).then_some(called)
        })
    }

    /// Withdraws a server: waits until no call by its name is under way, and excludes new ones.
    pub(super) async fn withdraw(&self, index: usize) {
        self.0[index].may_be_called.store(false, Ordering::SeqCst);
        wait_until(|| self.0[index].in_flight.load(Ordering::SeqCst) == 0).await;
    }

    /// Allows calls by this name again.
    pub(super) fn restore(&self, index: usize) {
        self.0[index].may_be_called.store(true, Ordering::SeqCst);
    }
}

impl NameLease {
    pub(super) fn name(&self) -> &str {
        self.names.at(self.index)
    }
}

impl Drop for NameLease {
    fn drop(&mut self) {
        self.names.0[self.index].in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits until a condition holds.
pub(super) async fn wait_until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Waits until a condition holds, or for `limit`; returns whether it holds.
pub(super) async fn wait_until_timeout(limit: Duration, holds: impl FnMut() -> bool) -> bool {
    tokio::time::timeout(limit, wait_until(holds)).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_withdrawn_is_not_called() {
        let names = ServerNames::of(2);
        let called = names.call().expect("both may be called");
        let (index, other) = (called.index, 1 - called.index);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime starts").block_on(async {
            names.withdraw(other).await;
            let patience = Duration::from_millis(30);
            let withdrawn = tokio::time::timeout(patience, names.withdraw(index)).await;
            assert!(withdrawn.is_err(), "a call is under way");
            assert!(names.call().is_none());
            names.restore(other);
            assert_eq!(names.call().map(|called| called.index), Some(other));
            drop(called);
            names.withdraw(index).await;
        });
    }
}
