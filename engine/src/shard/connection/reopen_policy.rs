//! When a publication that the broker refused (`basic.nack`) is sent again, and when its channel is
//! opened anew.
//!
//! A nack says that a queue could not take the publication now: it is full, or its leader has died.
//! RabbitMQ 3.10 goes on nacking on a channel that was opened before a quorum queue had elected its
//! new leader, for as long as the channel lives, and accepts on a channel opened later. Pure
//! decisions over time; not here: what is sent (`channel_state`), how a channel is opened anew
//! (`recover`).

use std::time::{Duration, Instant};

/// The pauses before a refused publication is sent again: they double, up to the bound.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A channel opened by a recovery less than this ago is suspected at its first nack.
const RECENT: Duration = Duration::from_secs(30);
/// A channel is renewed as often after a recovery, whatever is confirmed on it meanwhile: what one
/// queue goes on refusing then is that queue's affair. An election takes up to a few seconds.
const PER_RECOVERY: u8 = 6;
/// Before the first of these renewals; doubled each time.
const RECOVERED_PAUSE: Duration = Duration::from_millis(100);
/// A channel is suspected after this many nacks without an ack.
const CONSECUTIVE_NACKS_MAX: u32 = 3;
/// Between two other renewals of a channel: doubled each time, until something is confirmed.
const RENEWAL_PAUSE: Duration = Duration::from_secs(1);
const RENEWAL_PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long to wait before the repetition with this number (from 0), if there is one within
/// `limit` of the first nack.
pub(crate) fn pause_before(retry: u8, limit: Duration) -> Option<Duration> {
    let pause = |number: u8| (PAUSE * (1 << number.min(10))).min(PAUSE_MAX);
    let waited: Duration = (0..retry).map(pause).sum();
    (waited + pause(retry) <= limit).then(|| pause(retry))
}

/// Whether nacks are the channel's fault.
#[derive(Debug)]
pub(crate) struct ReopenPolicy {
    /// When the channel was opened last.
    opened: Option<Instant>,
    /// When a recovery opened it last, and how often it may be renewed for that.
    recovered: Option<Instant>,
    reopens_left: u8,
    consecutive_nacks: u32,
    pause: Duration,
    /// It is being opened anew.
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
    /// The channel is open on the wire: for the first time, by a recovery, or anew.
    pub(crate) fn record_open(&mut self, now: Instant) {
        let is_renewed = std::mem::replace(&mut self.is_reopening, false);
        if self.opened.is_some() && !is_renewed {
            self.recovered = Some(now);
            self.reopens_left = PER_RECOVERY;
        }
        self.opened = Some(now);
        self.consecutive_nacks = 0;
    }

    /// Something was confirmed.
    pub(crate) fn record_ack(&mut self) {
        self.consecutive_nacks = 0;
        self.pause = RENEWAL_PAUSE;
    }

    /// Something was refused; true when the channel is to be opened anew now.
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
    fn a_channel_is_renewed_after_several_nacks_without_an_ack() {
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
        assert!(!channel.record_nack(at(40_000)), "one nack is the queue's affair");
    }

    #[test]
    fn a_channel_that_a_recovery_opened_is_renewed_at_a_nack_a_few_times() {
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
