//! Things to do later: one thread per transport, started with the first of them.
//!
//! For what happens rarely and briefly: a reply tried again, a sign of life of a long call.
//! Deadlines of calls are not here but with the shard. Invariant: an action runs once, never early;
//! a cancelled one never begins after `cancel` has returned true.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

type Action = Box<dyn FnOnce() + Send>;

/// What identifies an action until it has begun.
pub(crate) type Key = (Instant, u64);

/// Actions and the thread that waits for their time.
#[derive(Default)]
pub(crate) struct Timer {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    agenda: Mutex<Agenda>,
    changed: Condvar,
}

#[derive(Default)]
struct Agenda {
    actions: BTreeMap<Key, Action>,
    next: u64,
    is_running: bool,
    is_closed: bool,
}

/// What time it is. The one place where the driver asks.
#[expect(clippy::disallowed_methods, reason = "deadlines begin when the user calls")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// How long it is until then; nothing if that has passed.
pub(crate) fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(now())
}

/// When something ends that may take as long as `timeout`. Whoever says "for ever" gets a time that
/// no process sees.
pub(crate) fn deadline_in(timeout: Duration) -> Instant {
    deadline_from(now(), timeout)
}

/// [`deadline_in`] for what began then.
pub(crate) fn deadline_from(begun: Instant, timeout: Duration) -> Instant {
    const FOR_EVER: Duration = Duration::from_secs(1 << 30);
    begun + timeout.min(FOR_EVER)
}

/// An action that is forgotten when this is dropped first.
pub(crate) struct Alarm<'a> {
    timer: &'a Timer,
    key: Key,
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.timer.cancel(self.key);
    }
}

impl Timer {
    /// Runs `action` once `delay` has passed, on the timer's thread. It must not block.
    pub(crate) fn after(&self, delay: Duration, action: impl FnOnce() + Send + 'static) -> Key {
        let mut agenda = self.shared.lock();
        agenda.next += 1;
        let key = (deadline_in(delay), agenda.next);
        agenda.actions.insert(key, Box::new(action));
        if !std::mem::replace(&mut agenda.is_running, true) {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("leveret-timer".into());
            if let Err(error) = thread.spawn(move || shared.run()) {
                tracing::error!(
                    name: "leveret.timer.no_thread", %error, "the timer's thread cannot be started"
                );
                agenda.is_running = false;
            }
        }
        drop(agenda);
        self.shared.changed.notify_one();
        key
    }

    /// Forgets an action; false if it has begun.
    pub(crate) fn cancel(&self, key: Key) -> bool {
        self.shared.lock().actions.remove(&key).is_some()
    }

    /// [`after`](Self::after), unless what is returned is dropped before.
    pub(crate) fn alarm(
        &self,
        delay: Duration,
        action: impl FnOnce() + Send + 'static,
    ) -> Alarm<'_> {
        Alarm { timer: self, key: self.after(delay, action) }
    }

    /// Waits for this long.
    pub(crate) async fn pause(&self, delay: Duration) {
        let _ = self.within(delay, std::future::pending::<()>()).await;
    }

    /// Awaits `work` for as long as `limit`; then gives it up and returns `None`.
    pub(crate) async fn within<F: Future>(&self, limit: Duration, work: F) -> Option<F::Output> {
        let expired = Arc::new(Notify::new());
        let ring = Arc::clone(&expired);
        let _alarm = self.alarm(limit, move || ring.notify_one());
        let (mut work, mut expired) = (pin!(work), pin!(expired.notified()));
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => expired.as_mut().poll(cx).map(|()| None),
        })
        .await
    }
}

impl Shared {
    fn run(&self) {
        let mut agenda = self.lock();
        while !agenda.is_closed {
            let time = now();
            let due = agenda.actions.first_key_value().map(|((due, _), _)| *due);
            agenda = match due {
                None => self.changed.wait(agenda).unwrap_or_else(PoisonError::into_inner),
                Some(due) if due > time => {
                    let waited = self.changed.wait_timeout(agenda, due - time);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Some(_) => {
                    let action = agenda.actions.pop_first().map(|(_, action)| action);
                    drop(agenda);
                    action.into_iter().for_each(|action| action());
                    self.lock()
                }
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Agenda> {
        // Actions run outside the lock, so a poisoned one is whole.
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let mut agenda = self.shared.lock();
        agenda.is_closed = true;
        let actions = std::mem::take(&mut agenda.actions);
        drop(agenda);
        self.shared.changed.notify_all();
        drop(actions);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn actions_run_in_the_order_of_their_time_and_never_early() {
        let timer = Timer::default();
        let (sender, order) = channel();
        // Holds the timer's thread, so that none runs before all are there.
        let (gate, opened) = channel::<()>();
        timer.after(Duration::ZERO, move || assert!(opened.recv().is_err()));
        let mut expected = Vec::new();
        for delay_ms in [30, 10, 20] {
            let sender = sender.clone();
            let tell = move || sender.send((delay_ms, now())).unwrap();
            expected.push((timer.after(Duration::from_millis(delay_ms), tell), delay_ms));
        }
        drop((gate, sender));
        // However long it took to say so, the keys tell when each is due.
        expected.sort_unstable();
        for ((due, _), name) in expected {
            let (ran, time) = order.recv().unwrap();
            assert_eq!(ran, name);
            assert!(time >= due, "never early");
        }
        assert!(order.recv().is_err(), "each once");
        assert!(timer.shared.lock().actions.is_empty());
    }

    #[test]
    fn a_cancelled_action_never_runs() {
        let timer = Timer::default();
        let (sender, ran) = channel();
        let key = timer.after(Duration::from_secs(3600), move || sender.send(()).unwrap());
        assert!(timer.cancel(key));
        assert!(!timer.cancel(key));
        assert!(ran.recv().is_err(), "the action and its sender are gone");
    }

    #[test]
    fn work_is_awaited_within_its_limit() {
        let timer = Timer::default();
        let done = timer.within(Duration::MAX, async { 5 });
        assert_eq!(leveret_engine::block_on(done), Some(5));
        let never = timer.within(Duration::from_millis(5), std::future::pending::<()>());
        assert_eq!(leveret_engine::block_on(never), None);
        assert!(timer.shared.lock().actions.is_empty(), "alarms go with what they guard");
    }
}
