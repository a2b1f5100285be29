//! What all members of the fleet share: the broker, the ledger, the names of servers, the settings.
//!
//! Invariant: who is called by name is there until the call has ended.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use leveret::engine::EngineConfig;
use leveret::{DriverConfig, Retry, Transport};

use crate::rolling::ledger::Ledger;
use crate::system::child_process;

/// Topic of the servers; one run at a time on a virtual host.
pub(super) const TOPIC: &str = "leveret_rolling";
/// Topic of the notifications.
pub(super) const EVENTS: &str = "leveret_rolling_events";
/// Between two looks at something that comes about elsewhere.
const LOOK: Duration = Duration::from_millis(10);

/// A process that is Python's member of the fleet.
pub(super) fn oslo(python: &Path) -> Command {
    child_process::python(python, include_str!("member.py"))
}

/// The surroundings of a member.
pub(super) struct World {
    pub(super) url: String,
    pub(super) engine: EngineConfig,
    pub(super) ledger: Arc<Ledger>,
    pub(super) names: Arc<Names>,
    /// Of a call.
    pub(super) timeout: Duration,
    /// Between two requests of a client.
    pub(super) pause: Duration,
    pub(super) dwell: Duration,
    pub(super) at_most_once: bool,
    pub(super) notify: bool,
    pub(super) python: Option<PathBuf>,
}

impl World {
    /// A transport of its own for each member.
    pub(super) async fn connect(&self, config: DriverConfig) -> Result<Transport, leveret::Error> {
        let builder = Transport::builder(&self.url).config(config);
        builder.engine_config(self.engine.clone()).connect().await
    }

    pub(super) fn retry(&self) -> Option<Retry> {
        self.at_most_once.then_some(Retry::Never)
    }
}

/// The names by which servers are called.
pub(super) struct Names(Vec<Name>);

struct Name {
    name: String,
    may_be_called: AtomicBool,
    under_way: AtomicUsize,
}

/// A name that is in use.
pub(super) struct Called {
    names: Arc<Names>,
    place: usize,
}

impl Names {
    pub(super) fn of(servers: usize) -> Arc<Self> {
        let name = |place| Name {
            name: format!("server-{place}"),
            may_be_called: AtomicBool::new(true),
            under_way: AtomicUsize::new(0),
        };
        Arc::new(Self((0..servers).map(name).collect()))
    }

    /// The name of the server at this place.
    pub(super) fn at(&self, place: usize) -> &str {
        &self.0[place].name
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| name.name.as_str())
    }

    /// Any name that may be called; none for a moment, perhaps, where a server stops.
    pub(super) fn call(self: &Arc<Self>) -> Option<Called> {
        let first = fastrand::usize(..self.0.len());
        (0..self.0.len()).find_map(|further| {
            let place = (first + further) % self.0.len();
            self.0[place].under_way.fetch_add(1, Ordering::SeqCst);
            let called = Called { names: Arc::clone(self), place };
            self.0[place].may_be_called.load(Ordering::SeqCst).then_some(called)
        })
    }

    /// Nobody calls this server by its name any more, and nobody waits for it.
    pub(super) async fn withdraw(&self, place: usize) {
        self.0[place].may_be_called.store(false, Ordering::SeqCst);
        until(|| self.0[place].under_way.load(Ordering::SeqCst) == 0).await;
    }

    /// It may be called again.
    pub(super) fn restore(&self, place: usize) {
        self.0[place].may_be_called.store(true, Ordering::SeqCst);
    }
}

impl Called {
    pub(super) fn name(&self) -> &str {
        self.names.at(self.place)
    }
}

impl Drop for Called {
    fn drop(&mut self) {
        self.names.0[self.place].under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits until something has come about.
pub(super) async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::time::sleep(LOOK).await;
    }
}

/// The same for a while; whether it came about.
pub(super) async fn until_within(limit: Duration, holds: impl FnMut() -> bool) -> bool {
    tokio::time::timeout(limit, until(holds)).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_withdrawn_is_not_called() {
        let names = Names::of(2);
        let called = names.call().expect("both may be called");
        let (place, other) = (called.place, 1 - called.place);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime starts").block_on(async {
            names.withdraw(other).await;
            let patience = Duration::from_millis(30);
            let withdrawn = tokio::time::timeout(patience, names.withdraw(place)).await;
            assert!(withdrawn.is_err(), "a call is under way");
            assert!(names.call().is_none());
            names.restore(other);
            assert_eq!(names.call().map(|called| called.place), Some(other));
            drop(called);
            names.withdraw(place).await;
        });
    }
}
