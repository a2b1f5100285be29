//! Runs actions later, on a shard of the engine: a transport has no timer thread of its own.
//!
//! It serves rare and brief actions: a reply that is sent again, a heartbeat of a monitored call.
//! The deadlines of calls are the shard's. Invariants: an action runs once and never early; an
//! action never starts after `cancel` has returned true; when the engine stops, all waits end with
//! an error. `leveret_engine::Timer` stores the actions.

use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use leveret_engine::{Engine, TicketError, TimerKey};
use tokio::sync::oneshot;

/// Identifies an action until it starts.
pub(crate) type Key = TimerKey;

/// Runs actions after a delay.
pub(crate) struct Timer {
    actions: leveret_engine::Timer,
}

/// The engine has stopped, and its timers with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EngineStopped;

/// Returns the current time. No other code of the driver reads the clock.
#[expect(clippy::disallowed_methods, reason = "deadlines begin when the user calls")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Returns the time left until a deadline; zero if it has passed.
pub(crate) fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(now())
}

/// Returns the deadline of an operation that starts now. A timeout above 34 years is cut to that,
/// so that `Duration::MAX` does not overflow.
pub(crate) fn deadline_in(timeout: Duration) -> Instant {
    deadline_from(now(), timeout)
}

/// [`deadline_in`] for an operation that started at `start`.
pub(crate) fn deadline_from(start: Instant, timeout: Duration) -> Instant {
    const TIMEOUT_MAX: Duration = Duration::from_secs(1 << 30);
    start + timeout.min(TIMEOUT_MAX)
}

/// Cancels an action when it is dropped.
struct CancelOnDrop<'a> {
    timer: &'a Timer,
    key: Key,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        self.timer.cancel(self.key);
    }
}

impl Timer {
    /// Creates a timer on this engine. The timer does not keep the engine running.
    pub(crate) fn new(engine: &Engine) -> Self {
        Self { actions: engine.timer() }
    }

    /// Runs `action` after `delay`, on the shard: it must neither block nor take long nor run
    /// code of the user. An engine that stops earlier drops it.
    pub(crate) fn after(&self, delay: Duration, action: impl FnOnce() + Send + 'static) -> Key {
        self.actions.after(delay, action)
    }

    /// Cancels an action. Returns false if it has started.
    pub(crate) fn cancel(&self, key: Key) -> bool {
        self.actions.cancel(key)
    }

    /// [`after`](Self::after), cancelled when the returned guard is dropped.
    fn after_unless_dropped(
        &self,
        delay: Duration,
        action: impl FnOnce() + Send + 'static,
    ) -> CancelOnDrop<'_> {
        CancelOnDrop { timer: self, key: self.after(delay, action) }
    }

    /// Waits for `delay`, or until the engine stops.
    pub(crate) async fn sleep(&self, delay: Duration) -> Result<(), EngineStopped> {
        match self.timeout(delay, pending::<()>()).await {
            Err(TicketError::Aborted) => Err(EngineStopped),
            Ok(()) | Err(TicketError::TimedOut) => Ok(()),
        }
    }

    /// Awaits `future` for at most `duration`, and drops it then, or when the engine stops.
    pub(crate) async fn timeout<F: Future>(
        &self,
        duration: Duration,
        future: F,
    ) -> Result<F::Output, TicketError> {
        let (expire, mut expired) = oneshot::channel();
        let _action = self.after_unless_dropped(duration, move || {
            let _ = expire.send(());
        });
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Ok(result)),
            Poll::Pending => Pin::new(&mut expired).poll(cx).map(|received| {
                // An engine that stops drops the action and its sender.
                Err(received.map_or(TicketError::Aborted, |()| TicketError::TimedOut))
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
    fn actions_run_in_the_order_of_their_deadlines_and_never_early() {
        let (_engine, timer) = timer();
        let (sender, order) = channel();
        // Blocks the shard until all actions are scheduled.
        let (gate, opened) = channel::<()>();
        timer.after(Duration::ZERO, move || assert!(opened.recv().is_err()));
        let mut expected = Vec::new();
        for delay_ms in [30, 10, 20] {
            let sender = sender.clone();
            let record = move || sender.send((delay_ms, now())).unwrap();
            expected.push((timer.after(Duration::from_millis(delay_ms), record), delay_ms));
        }
        drop((gate, sender));
        // The keys order the actions by deadline, however long scheduling took.
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
    fn an_action_that_panics_delays_no_other() {
        let (_engine, timer) = timer();
        let (sender, ran) = channel();
        timer.after(Duration::ZERO, || panic!("an action panics"));
        timer.after(Duration::from_millis(10), move || sender.send(()).unwrap());
        ran.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    #[test]
    fn timeout_returns_the_output_or_times_out() {
        let (_engine, timer) = timer();
        let done = timer.timeout(Duration::MAX, async { 5 });
        assert_eq!(block_on(done), Ok(5));
        let never = timer.timeout(Duration::from_millis(5), pending::<()>());
        assert_eq!(block_on(never), Err(TicketError::TimedOut));
        assert_eq!(block_on(timer.sleep(Duration::from_millis(5))), Ok(()));
        assert_eq!(timer.actions.pending(), 0, "each wait cancels its action");
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
        assert_eq!(block_on(timer.sleep(Duration::MAX)), Err(EngineStopped), "later ones as well");
        assert_eq!(block_on(timer.timeout(Duration::ZERO, async { 5 })), Ok(5));
    }
}
