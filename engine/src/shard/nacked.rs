//! When a publication that the broker refused (`basic.nack`) is sent again, and when its channel is
//! opened anew.
//!
//! A nack says that a queue could not take the publication now: it is full, or its leader has died.
//! RabbitMQ 3.10 goes on nacking on a channel that was opened before a quorum queue had elected its
//! new leader, for as long as the channel lives, and accepts on a channel opened later. Pure
//! decisions over time; not here: what is sent (`seat`), how a channel is opened anew (`repair`).

use std::time::{Duration, Instant};

/// The pauses before a refused publication is sent again: they double, up to the bound.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A channel opened by a recovery less than this ago is suspected at its first nack.
const RECENT: Duration = Duration::from_secs(30);
/// A channel is suspected after this many nacks without an ack.
const IN_A_ROW: u32 = 3;
/// Between two renewals of a channel: doubled each time, until something is confirmed.
const RENEWAL_PAUSE: Duration = Duration::from_secs(1);
const RENEWAL_PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long to wait before the repetition with this number (from 0), if there is one within
/// `limit` of the first nack.
pub(super) fn pause_before(retry: u8, limit: Duration) -> Option<Duration> {
    let pause = |number: u8| (PAUSE * (1 << number.min(10))).min(PAUSE_MAX);
    let waited: Duration = (0..retry).map(pause).sum();
    (waited + pause(retry) <= limit).then(|| pause(retry))
}

/// Whether nacks are the channel's fault.
#[derive(Debug)]
pub(super) struct Renewal {
    /// When the channel was opened last.
    opened: Option<Instant>,
    /// It was opened by a recovery.
    is_recovered: bool,
    in_a_row: u32,
    pause: Duration,
    /// It is being opened anew.
    under_way: bool,
}

impl Default for Renewal {
    fn default() -> Self {
        Self {
            opened: None,
            is_recovered: false,
            in_a_row: 0,
            pause: RENEWAL_PAUSE,
            under_way: false,
        }
    }
}

impl Renewal {
    /// The channel is open on the wire.
    pub(super) fn opened(&mut self, now: Instant) {
        self.is_recovered |= self.opened.is_some();
        self.opened = Some(now);
        self.under_way = false;
        self.in_a_row = 0;
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// Something was confirmed.
    pub(super) fn acked(&mut self) {
        self.in_a_row = 0;
        self.pause = RENEWAL_PAUSE;
    }

    /// Something was refused; true when the channel is to be opened anew now.
    pub(super) fn nacked(&mut self, now: Instant) -> bool {
        self.in_a_row = self.in_a_row.saturating_add(1);
        let Some(opened) = self.opened.filter(|_| !self.under_way) else { return false };
        let age = now.saturating_duration_since(opened);
        let is_suspect = (self.is_recovered && age < RECENT) || self.in_a_row >= IN_A_ROW;
        if !is_suspect || age < self.pause {
            return false;
        }
        self.pause = (self.pause * 2).min(RENEWAL_PAUSE_MAX);
        self.under_way = true;
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
    fn a_recovered_channel_is_renewed_at_a_nack_and_others_after_several() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut first = Renewal::default();
        first.opened(start);
        assert!(!first.nacked(at(2000)) && !first.nacked(at(2000)) && first.nacked(at(2000)));
        assert!(first.is_under_way() && !first.nacked(at(2001)), "one at a time");
        first.opened(at(2100));
        assert!(!first.nacked(at(3500)), "the pause has doubled");
        assert!(first.nacked(at(4100)), "soon after it was opened anew");
        first.opened(at(4200));
        first.acked();
        assert!(!first.nacked(at(5100)) && first.nacked(at(5200)), "the pause begins anew");
        first.opened(at(5300));
        first.acked();
        assert!(!first.nacked(at(40_000)), "long after, one nack is the queue's affair");
    }
}
