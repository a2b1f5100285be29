//! Two deadlines: when we must send a heartbeat, and when the peer's silence means that it is dead.
//!
//! AMQP 4.2.7 and RabbitMQ's heartbeat guide: any traffic counts; a peer sends at half the agreed
//! interval, and two missed intervals mean that the connection is gone. An interval of zero
//! switches both off.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Heartbeat {
    interval: Duration,
    send_at: Instant,
    dead_at: Instant,
    is_reading: bool,
}

impl Heartbeat {
    pub(super) fn new(interval: Duration, now: Instant) -> Self {
        Self {
            interval,
            send_at: now + interval / 2,
            dead_at: now + interval * 2,
            is_reading: true,
        }
    }

    /// Bytes were sent to the peer: any traffic counts as a heartbeat.
    pub(super) fn sent(&mut self, now: Instant) {
        self.send_at = now + self.interval / 2;
    }

    pub(super) fn received(&mut self, now: Instant) {
        self.dead_at = now + self.interval * 2;
    }

    /// Sets whether we read. While we do not (a slow consumer), the peer's silence has no meaning.
    pub(super) fn set_reading(&mut self, is_reading: bool, now: Instant) {
        self.is_reading = is_reading;
        self.received(now);
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if self.interval.is_zero() {
            return None;
        }
        Some(if self.is_reading { self.send_at.min(self.dead_at) } else { self.send_at })
    }

    /// Returns true if a heartbeat is due.
    ///
    /// # Errors
    /// The allowed silence, if the peer is dead.
    pub(super) fn check(&mut self, now: Instant) -> Result<bool, Duration> {
        if self.interval.is_zero() {
            return Ok(false);
        }
        if self.is_reading && now >= self.dead_at {
            return Err(self.interval * 2);
        }
        let is_due = now >= self.send_at;
        if is_due {
            self.sent(now);
        }
        Ok(is_due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_heartbeat_is_due_at_half_the_interval_and_the_peer_is_dead_after_two_intervals() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(SECOND * 10, start);
        assert_eq!(heartbeat.next_deadline(), Some(start + SECOND * 5));
        assert_eq!(heartbeat.check(start + SECOND * 4), Ok(false));
        assert_eq!(heartbeat.check(start + SECOND * 5), Ok(true));
        assert_eq!(heartbeat.check(start + SECOND * 6), Ok(false), "just sent");
        assert_eq!(heartbeat.check(start + SECOND * 20), Err(SECOND * 20));
    }

    #[test]
    fn a_peer_that_is_not_read_is_not_declared_dead() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(SECOND, start);
        heartbeat.set_reading(false, start);
        assert_eq!(heartbeat.check(start + SECOND * 9), Ok(true), "we still send");
        heartbeat.set_reading(true, start + SECOND * 9);
        assert_eq!(heartbeat.check(start + SECOND * 10), Ok(true));
        assert!(heartbeat.check(start + SECOND * 11).is_err());
    }

    #[test]
    fn an_interval_of_zero_disables_heartbeats() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(Duration::ZERO, start);
        assert_eq!(heartbeat.next_deadline(), None);
        assert_eq!(heartbeat.check(start + SECOND * 1000), Ok(false));
    }
}
