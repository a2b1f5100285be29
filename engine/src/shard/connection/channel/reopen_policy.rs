//! Decides when a publication that the broker refused (`basic.nack`) is sent again, and when its
//! channel is reopened.
//!
//! A nack says that a queue could not take the publication now: it is full, or its leader has died.
//! On a channel that was opened before a quorum queue elected its new leader, RabbitMQ 3.10 keeps
//! nacking for the life of the channel; on a channel opened later it accepts. Everything here is a
//! pure decision over time: `publications` sends them again, `recover` reopens channels.

use std::time::{Duration, Instant};

/// Pauses before a refused publication is sent again. They double up to the maximum.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A channel that a recovery opened less than this ago is reopened at its first nack.
const RECENT: Duration = Duration::from_secs(30);
/// How often a channel is reopened after a recovery, even if other publications are confirmed on
/// it. If a queue still refuses after that, the queue is at fault. An election takes up to a few
/// seconds.
const PER_RECOVERY: u8 = 6;
/// The pause before the first of these. It doubles each time.
const RECOVERED_PAUSE: Duration = Duration::from_millis(100);
/// Otherwise a channel is reopened after this many nacks without an ack.
const CONSECUTIVE_NACKS_MAX: u32 = 3;
/// The pause before such a reopening. It doubles each time, until the broker confirms something.
const RENEWAL_PAUSE: Duration = Duration::from_secs(1);
const RENEWAL_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Returns the pause before retry number `retry` (from 0), or `None` if that would be later than
/// `limit` after the first nack.
pub(crate) fn pause_before(retry: u8, limit: Duration) -> Option<Duration> {
    let pause = |number: u8| (PAUSE * (1 << number.min(10))).min(PAUSE_MAX);
    let waited: Duration = (0..retry).map(pause).sum();
    (waited + pause(retry) <= limit).then(|| pause(retry))
}

/// Decides whether the channel is the cause of nacks.
#[derive(Debug)]
pub(crate) struct ReopenPolicy {
    /// When the channel was opened last.
    opened: Option<Instant>,
    /// When a recovery opened it last, and how often it may still be reopened because of that.
    recovered: Option<Instant>,
    reopens_left: u8,
    consecutive_nacks: u32,
    pause: Duration,
    /// It is being reopened.
    is_reopening: bool,
}

impl Default for ReopenPolicy {
    fn default() -> Self {
        let (opened, recovered, reopens_left, consecutive_nacks) = (None, None, 0, 0);
        Self {
            opened,
            recovered,
            reopens_left,
            consecutive_nacks,
            pause: RENEWAL_PAUSE,
            is_reopening: false,
        }
    }
}

impl ReopenPolicy {
    /// The channel was opened: for the first time, by a recovery, or by a reopening.
    pub(crate) fn record_open(&mut self, now: Instant) {
        let is_renewed = std::mem::replace(&mut self.is_reopening, false);
        if self.opened.is_some() && !is_renewed {
            self.recovered = Some(now);
            self.reopens_left = PER_RECOVERY;
        }
        self.opened = Some(now);
        self.consecutive_nacks = 0;
    }

    /// The broker confirmed a publication.
    pub(crate) fn record_ack(&mut self) {
        self.consecutive_nacks = 0;
        self.pause = RENEWAL_PAUSE;
    }

    /// The broker refused a publication. Returns true if the channel is to be reopened now.
    pub(crate) fn record_nack(&mut self, now: Instant) -> bool {
        self.consecutive_nacks = self.consecutive_nacks.saturating_add(1);
        let Some(opened) = self.opened.filter(|_| !self.is_reopening) else { return false };
        let age = |since: Instant| now.saturating_duration_since(since);
        let is_recent = self.reopens_left > 0
            && self.recovered.is_some_and(|recovered| age(recovered) < RECENT);
        if is_recent {
            if age(opened) < RECOVERED_PAUSE * (1 << (PER_RECOVERY - self.reopens_left)) {
                return false;
            }
            self.reopens_left -= 1;
        } else {
            if age(opened) < self.pause || self.consecutive_nacks < CONSECUTIVE_NACKS_MAX {
                return false;
            }
            self.pause = (self.pause * 2).min(RENEWAL_PAUSE_MAX);
        }
        self.is_reopening = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_within_the_limit() {
        let limit = Duration::from_secs(5);
        let pauses: Vec<u128> =
            (0..).map_while(|n| pause_before(n, limit)).map(|pause| pause.as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000, 1000]);
        assert_eq!(pause_before(0, Duration::ZERO), None);
        assert!((0..=u8::MAX).all(|n| pause_before(n, Duration::MAX / 2).is_some()));
    }

    #[test]
    fn a_channel_is_reopened_after_several_nacks_without_an_ack() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut channel = ReopenPolicy::default();
        channel.record_open(start);
        assert!(
            !channel.record_nack(at(2000))
                && !channel.record_nack(at(2000))
                && channel.record_nack(at(2000))
        );
        assert!(channel.is_reopening && !channel.record_nack(at(2001)), "one at a time");
        channel.record_open(at(2100));
        for _ in 0..9 {
            assert!(!channel.record_nack(at(3500)), "the pause has doubled");
        }
        assert!(channel.record_nack(at(4100)));
        channel.record_open(at(4200));
        channel.record_ack();
        assert!(!channel.record_nack(at(40_000)), "one nack is the fault of its queue");
    }

    #[test]
    fn a_recovered_channel_is_reopened_at_a_nack_a_few_times() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut channel = ReopenPolicy::default();
        channel.record_open(start);
        channel.record_open(at(10_000));
        let mut opened = 10_000;
        for pause in [100, 200, 400, 800, 1600, 3200] {
            channel.record_ack();
            assert!(
                !channel.record_nack(at(opened + pause - 1)),
                "a leader is elected within a moment"
            );
            assert!(channel.record_nack(at(opened + pause)), "{pause}");
            opened += pause + 10;
            channel.record_open(at(opened));
        }
        channel.record_ack();
        assert!(!channel.record_nack(at(20_000)), "others are confirmed on it");
        channel.record_open(at(30_000));
        assert!(!channel.record_nack(at(61_000)), "long ago");
    }
}
