//! Signs of life for the caller of a method that takes long (oslo's call monitor).
//!
//! While a [`Heartbeat`] is alive, a reply that says "still working" goes out every half of what
//! the client waits for. It ends with the method, whatever that came to, and with the first sign
//! that could not be sent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::message::context::CLIENT_TIMEOUT_MAX;
use crate::runtime::timer::{Key, Timer};
use crate::transport::reply_sender::{ReplyAddress, ReplySender};

/// Clients that wait less are not served, as by oslo: signs would have to come more than once a
/// second.
const TIMEOUT_MIN: f64 = 2.0;

/// Signs of life until dropped.
pub(crate) struct Heartbeat {
    timer: Arc<Timer>,
    life: Arc<Mutex<Life>>,
}

#[derive(Default)]
struct Life {
    next: Option<Key>,
    has_ended: bool,
}

impl Heartbeat {
    /// Signs of life for `call`, whose client gives up after `client_timeout` seconds without one.
    pub(crate) fn start(
        timer: &Arc<Timer>,
        answering: &Arc<ReplySender>,
        call: &ReplyAddress,
        client_timeout: f64,
    ) -> Option<Self> {
        let interval = interval(client_timeout)?;
        let (answering, call) = (Arc::clone(answering), call.clone());
        let life = Arc::new(Mutex::new(Life::default()));
        Beat { answering, call, interval, timer: Arc::downgrade(timer), life: Arc::clone(&life) }
            .schedule(timer);
        Some(Self { timer: Arc::clone(timer), life })
    }
}

/// The time between two signs: whole seconds, halved, as oslo counts. None where there are to be no
/// signs.
fn interval(client_timeout: f64) -> Option<Duration> {
    let is_served = client_timeout >= TIMEOUT_MIN;
    is_served.then(|| Duration::from_secs_f64(client_timeout.min(CLIENT_TIMEOUT_MAX).trunc() / 2.0))
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        let mut life = lock(&self.life);
        life.has_ended = true;
        if let Some(key) = life.next.take() {
            self.timer.cancel(key);
        }
    }
}

/// The next sign.
struct Beat {
    answering: Arc<ReplySender>,
    call: ReplyAddress,
    interval: Duration,
    timer: Weak<Timer>,
    life: Arc<Mutex<Life>>,
}

impl Beat {
    fn schedule(self, timer: &Timer) {
        let life = Arc::clone(&self.life);
        let mut life = lock(&life);
        if !life.has_ended {
            life.next = Some(timer.after(self.interval, move || self.send()));
        }
    }

    fn send(self) {
        let Some(timer) = self.timer.upgrade().filter(|_| !lock(&self.life).has_ended) else {
            return;
        };
        if self.answering.heartbeat(&self.call) {
            self.schedule(&timer);
        }
    }
}

fn lock(life: &Mutex<Life>) -> MutexGuard<'_, Life> {
    life.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_come_at_most_once_a_second_and_at_least_twice_an_hour() {
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
