//! Things to do later, on a shard of the engine: a transport has no thread of its own for them.
//!
//! For what happens rarely and briefly: a reply tried again, a sign of life of a long call.
//! Deadlines of calls are not here but with the shard. Invariant: an action runs once, never early;
//! a cancelled one never begins after `cancel` has returned true; where the engine has stopped, who
//! waits for time to pass is told so. Not here: how actions are kept (`leveret_engine::Timer`).

use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use leveret_engine::{Engine, TicketError, TimerKey};
use tokio::sync::oneshot;

/// What identifies an action until it has begun.
pub(crate) type Key = TimerKey;

/// Runs actions when their time has come.
pub(crate) struct Timer {
    actions: leveret_engine::Timer,
}

/// The engine has stopped, so no time passes any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped;

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
struct Alarm<'a> {
    timer: &'a Timer,
    key: Key,
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.timer.cancel(self.key);
    }
}

impl Timer {
    /// A timer on this engine, which it does not keep running.
    pub(crate) fn new(engine: &Engine) -> Self {
        Self { actions: engine.timer() }
    }

    /// Runs `action` once `delay` has passed, on the shard: it must neither block nor take long nor
    /// run code of the user. Where the engine stops before, it is dropped.
    pub(crate) fn after(&self, delay: Duration, action: impl FnOnce() + Send + 'static) -> Key {
        self.actions.after(delay, action)
    }

    /// Forgets an action; false if it has begun.
    pub(crate) fn cancel(&self, key: Key) -> bool {
        self.actions.cancel(key)
    }

    /// [`after`](Self::after), unless what is returned is dropped before.
    fn alarm(&self, delay: Duration, action: impl FnOnce() + Send + 'static) -> Alarm<'_> {
        Alarm { timer: self, key: self.after(delay, action) }
    }

    /// Waits for this long; an engine that stops ends the wait.
    pub(crate) async fn sleep(&self, delay: Duration) -> Result<(), Stopped> {
        match self.timeout(delay, pending::<()>()).await {
            Err(TicketError::Aborted) => Err(Stopped),
            Ok(()) | Err(TicketError::TimedOut) => Ok(()),
        }
    }

    /// Awaits `work` for as long as `limit`; then gives it up, and at once when the engine stops.
    pub(crate) async fn timeout<F: Future>(
        &self,
        limit: Duration,
        work: F,
    ) -> Result<F::Output, TicketError> {
        let (ring, mut expired) = oneshot::channel();
        let _alarm = self.alarm(limit, move || {
            let _ = ring.send(());
        });
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Ok(result)),
            Poll::Pending => Pin::new(&mut expired).poll(cx).map(|rung| {
                // An engine that stops drops the alarm.
                Err(rung.map_or(TicketError::Aborted, |()| TicketError::TimedOut))
            }),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use leveret_engine::{EngineConfig, block_on};

    use super::*;

    fn timer() -> (Engine, Timer) {
        let engine = Engine::start(EngineConfig::default()).unwrap();
        let timer = Timer::new(&engine);
        (engine, timer)
    }

    #[test]
    fn actions_run_in_the_order_of_their_time_and_never_early() {
        let (_engine, timer) = timer();
        let (sender, order) = channel();
        // Holds the shard, so that none runs before all are there.
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
        for (key, name) in expected {
            let (ran, time) = order.recv().unwrap();
            assert_eq!(ran, name);
            assert!(time >= key.due(), "never early");
        }
        assert!(order.recv().is_err(), "each once");
        assert_eq!(timer.actions.pending(), 0);
    }

    #[test]
    fn a_cancelled_action_never_runs() {
        let (_engine, timer) = timer();
        let (sender, ran) = channel();
        let key = timer.after(Duration::from_secs(3600), move || sender.send(()).unwrap());
        assert!(timer.cancel(key));
        assert!(!timer.cancel(key));
        assert!(ran.recv().is_err(), "the action and its sender are gone");
    }

    #[test]
    fn an_action_that_panics_holds_up_no_other() {
        let (_engine, timer) = timer();
        let (sender, ran) = channel();
        timer.after(Duration::ZERO, || panic!("an action panics"));
        timer.after(Duration::from_millis(10), move || sender.send(()).unwrap());
        ran.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    #[test]
    fn work_is_awaited_within_its_limit() {
        let (_engine, timer) = timer();
        let done = timer.timeout(Duration::MAX, async { 5 });
        assert_eq!(block_on(done), Ok(5));
        let never = timer.timeout(Duration::from_millis(5), pending::<()>());
        assert_eq!(block_on(never), Err(TicketError::TimedOut));
        assert_eq!(block_on(timer.sleep(Duration::from_millis(5))), Ok(()));
        assert_eq!(timer.actions.pending(), 0, "alarms go with what they guard");
    }

    #[test]
    fn an_engine_that_stops_ends_every_wait() {
        let (engine, timer) = timer();
        let (waits, waiting) = channel();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                block_on(timer.timeout(Duration::MAX, async {
                    waits.send(()).unwrap();
                    pending::<()>().await;
                }))
            });
            waiting.recv().unwrap();
            engine.stop();
            assert_eq!(waiter.join().unwrap(), Err(TicketError::Aborted));
        });
        assert_eq!(block_on(timer.sleep(Duration::MAX)), Err(Stopped), "later ones as well");
        assert_eq!(block_on(timer.timeout(Duration::ZERO, async { 5 })), Ok(5));
    }
}
