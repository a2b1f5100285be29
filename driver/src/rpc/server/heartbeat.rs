//! Heartbeats for the caller of a method that takes long (oslo's call monitor).
//!
//! While a [`Heartbeat`] exists, a reply that says "still working" is sent every half of the time
//! that the client waits for one. It ends with the method, whatever the method's result, and with
//! the first heartbeat that could not be sent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::dialect::replies::ReplyAddress;
use crate::message::context::CLIENT_TIMEOUT_MAX;
use crate::runtime::timer::{Key, Timer};
use crate::transport::reply_sender::ReplySender;

/// As oslo: clients that wait less get no heartbeats, which would have to come more than once a
/// second.
const TIMEOUT_MIN: f64 = 2.0;

/// Sends heartbeats until it is dropped.
pub(super) struct Heartbeat {
    timer: Arc<Timer>,
    state: Arc<Mutex<Schedule>>,
}

#[derive(Default)]
struct Schedule {
    next: Option<Key>,
    has_ended: bool,
}

impl Heartbeat {
    /// Heartbeats to a caller that gives up after `client_timeout` seconds without one.
    pub(super) fn start(
        timer: &Arc<Timer>,
        replies: &Arc<ReplySender>,
        to: &ReplyAddress,
        client_timeout: f64,
    ) -> Option<Self> {
        let interval = interval(client_timeout)?;
        let (replies, to) = (Arc::clone(replies), to.clone());
        let state = Arc::new(Mutex::new(Schedule::default()));
        NextBeat { replies, to, interval, timer: Arc::downgrade(timer), state: Arc::clone(&state) }
            .schedule(timer);
        Some(Self { timer: Arc::clone(timer), state })
    }
}

/// The time between two heartbeats: whole seconds, halved, as oslo counts. `None` where there are
/// none.
fn interval(client_timeout: f64) -> Option<Duration> {
    let is_served = client_timeout >= TIMEOUT_MIN;
    is_served.then(|| Duration::from_secs_f64(client_timeout.min(CLIENT_TIMEOUT_MAX).trunc() / 2.0))
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.has_ended = true;
        if let Some(key) = state.next.take() {
            self.timer.cancel(key);
        }
    }
}

/// The next heartbeat.
struct NextBeat {
    replies: Arc<ReplySender>,
    to: ReplyAddress,
    interval: Duration,
    timer: Weak<Timer>,
    state: Arc<Mutex<Schedule>>,
}

impl NextBeat {
    fn schedule(self, timer: &Timer) {
        let state = Arc::clone(&self.state);
        let mut state = lock(&state);
        if !state.has_ended {
            state.next = Some(timer.after(self.interval, move || self.send()));
        }
    }

    fn send(self) {
        let Some(timer) = self.timer.upgrade().filter(|_| !lock(&self.state).has_ended) else {
            return;
        };
        if self.replies.try_send_heartbeat(&self.to) {
            self.schedule(&timer);
        }
    }
}

fn lock(state: &Mutex<Schedule>) -> MutexGuard<'_, Schedule> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_come_at_most_once_a_second_and_at_least_twice_an_hour() {
        let seconds = |timeout| interval(timeout).map(|interval| interval.as_secs_f64());
        for none in [f64::NAN, f64::NEG_INFINITY, -5.0, -0.0, 0.0, 1.0, 1.999] {
            assert_eq!(seconds(none), None, "{none}");
        }
        assert_eq!([2.0, 2.9, 3.0, 60.0].map(seconds), [1.0, 1.0, 1.5, 30.0].map(Some));
        for long in [3600.0, 3601.0, 1e9, 1e308, f64::INFINITY] {
            assert_eq!(seconds(long), Some(1800.0), "{long}");
        }
    }
}
