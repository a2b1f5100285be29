//! Actions that run later on a shard, for rare and short work.
//!
//! The shard's clock runs the actions that are due, so timers need no threads. Invariants: an
//! action runs once, never early, and actions run in the order of their times; after `cancel` has
//! returned true, the action does not start; actions run without a lock held. The deadlines of
//! tickets, of which there may be millions, are in `tickets` and `wheel`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::clock::{Clock, Expires, deadline_in};
use super::panics::{Foreign, Panics};

type Action = Box<dyn FnOnce() + Send>;

/// Identifies an action until it has started. Keys are ordered as their actions run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerKey {
    due: Instant,
    number: u64,
}

impl TimerKey {
    /// The earliest time at which the action runs.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.due
    }
}

/// Runs actions later on a shard. Created by [`Engine::timer`](crate::Engine::timer). Dropping it
/// drops the actions that have not started.
///
/// ```
/// use std::time::Duration;
/// use leveret_engine::{Engine, EngineConfig};
///
/// # fn main() -> Result<(), leveret_engine::Error> {
/// let engine = Engine::start(EngineConfig::default())?;
/// let timer = engine.timer();
/// let (sender, receiver) = std::sync::mpsc::channel();
/// timer.after(Duration::from_millis(10), move || sender.send("now").expect("it is awaited"));
/// assert_eq!(receiver.recv(), Ok("now"));
/// # Ok(()) }
/// ```
pub struct Timer {
    queue: Arc<TimerQueue>,
    clock: Arc<Clock>,
}

struct TimerQueue {
    state: Mutex<State>,
    panics: Arc<Panics>,
}

#[derive(Default)]
struct State {
    actions: BTreeMap<TimerKey, Action>,
    next: u64,
    has_stopped: bool,
}

impl Timer {
    pub(crate) fn new(clock: &Arc<Clock>) -> Self {
        let (state, panics) = (Mutex::default(), Arc::clone(clock.panics()));
        let queue = Arc::new(TimerQueue { state, panics });
        let weak = Arc::downgrade(&queue);
        clock.watch(weak);
        Self { queue, clock: Arc::clone(clock) }
    }

    /// Runs `action` after `delay`: never early, and within 10 ms unless the shard is held up.
    ///
    /// The action runs on the shard, and its time delays every connection there. It may store, wake
    /// and publish without waiting, and must not block. The shard contains a panic in it and counts
    /// it in [`ShardStats::panics`](crate::ShardStats::panics). Once the engine has stopped,
    /// pending and later actions are dropped without running.
    pub fn after(&self, delay: Duration, action: impl FnOnce() + Send + 'static) -> TimerKey {
        let due = deadline_in(delay);
        let mut state = self.queue.lock();
        state.next += 1;
        let key = TimerKey { due, number: state.next };
        if state.has_stopped {
            // Dropped without the lock, because the drop of an action is foreign code.
            drop(state);
            drop(action);
            return key;
        }
        let is_first = state.actions.first_key_value().is_none_or(|(first, _)| key < *first);
        state.actions.insert(key, Box::new(action));
        drop(state);
        if is_first {
            self.clock.start_ticking();
        }
        key
    }

    /// Removes an action. Returns false if it has started, or was dropped with the engine.
    pub fn cancel(&self, key: TimerKey) -> bool {
        let action = self.queue.lock().actions.remove(&key);
        action.is_some()
    }

    /// Number of actions that have not started.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.queue.lock().actions.len()
    }
}

impl TimerQueue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No foreign code runs under this lock, so the state behind a poisoned lock is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the first action if it is due. Otherwise returns when it is due.
    fn next(&self, now: Instant) -> Result<Action, Option<Instant>> {
        let mut state = self.lock();
        match state.actions.first_entry() {
            Some(first) if first.key().due <= now => Ok(first.remove()),
            first => Err(first.map(|first| first.key().due)),
        }
    }

    fn drop_all(&self, has_stopped: bool) {
        let mut state = self.lock();
        state.has_stopped |= has_stopped;
        let actions = std::mem::take(&mut state.actions);
        drop(state);
        for action in actions.into_values() {
            self.panics.contain(Foreign::TimerAction, || drop(action));
        }
    }
}

impl Expires for TimerQueue {
    fn expire(&self, now: Instant) -> Option<Instant> {
        loop {
            match self.next(now) {
                Ok(action) => drop(self.panics.contain(Foreign::TimerAction, action)),
                Err(due) => return due,
            }
        }
    }

    fn abort(&self) {
        self.drop_all(true);
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.queue.drop_all(false);
    }
}

impl std::fmt::Debug for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timer").field("pending", &self.pending()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{TryRecvError, channel};

    use super::*;

    fn timer() -> (Arc<Clock>, Timer) {
        let clock = Arc::new(Clock::new(Instant::now()));
        let timer = Timer::new(&clock);
        (clock, timer)
    }

    #[test]
    fn actions_run_in_their_order_and_when_they_are_due() {
        let (_clock, timer) = timer();
        let (sender, ran) = channel();
        // The times 9 ms and 10 ms fall into the same tick of the clock.
        let mut keys = Vec::new();
        for delay_ms in [30, 10, 9, 20] {
            let sender = sender.clone();
            let tell = move || sender.send(delay_ms).unwrap();
            keys.push(timer.after(Duration::from_millis(delay_ms), tell));
        }
        keys.sort_unstable();
        let just_before = keys[2].due() - Duration::from_nanos(1);
        assert_eq!(timer.queue.expire(just_before), Some(keys[2].due()));
        assert_eq!(ran.try_iter().collect::<Vec<_>>(), [9, 10]);
        assert!(!timer.cancel(keys[0]) && timer.cancel(keys[2]) && !timer.cancel(keys[2]));
        assert_eq!(timer.queue.expire(keys[3].due()), None);
        assert_eq!(ran.try_iter().collect::<Vec<_>>(), [30]);
        assert_eq!(timer.pending(), 0);
    }

    #[test]
    fn an_action_that_panics_holds_up_no_other() {
        let (clock, timer) = timer();
        let (sender, ran) = channel();
        timer.after(Duration::ZERO, || panic!("an action panics"));
        timer.after(Duration::ZERO, move || sender.send(()).unwrap());
        let now = Instant::now();
        assert_eq!(timer.queue.expire(now), None);
        assert_eq!((ran.try_recv(), clock.panics().count()), (Ok(()), 1));
    }

    #[test]
    fn what_cannot_run_any_more_is_dropped() {
        let (clock, timer) = timer();
        let (sender, dropped) = channel::<()>();
        let [waiting, late] = [sender.clone(), sender];
        timer.after(Duration::ZERO, move || drop(waiting));
        clock.abort();
        assert_eq!(timer.pending(), 0);
        assert_eq!(dropped.try_recv(), Err(TryRecvError::Empty));
        timer.after(Duration::ZERO, move || drop(late));
        assert_eq!(dropped.try_recv(), Err(TryRecvError::Disconnected));
    }
}
