//! Notices a broker that answers heartbeats and nothing else.
//!
//! A request that stays unanswered would leave what waits behind it waiting for ever, and a node
//! that was cut off from its cluster may confirm nothing for as long as that lasts. So after
//! `operation_timeout` and `confirm_timeout` the connection is made anew, at another host first.
//! While we do not read (a consumer has no room) the broker's silence says nothing; while it blocks
//! publishers, neither does a missing confirm. InFlightRuns only while something is pending.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::reactor;
use crate::shard::connection::state::Conn;

/// How often it looks while something is pending, at least and at most.
const CHECK_INTERVAL_MIN: Duration = Duration::from_millis(5);
const CHECK_INTERVAL_MAX: Duration = Duration::from_secs(1);
/// A publication may wait for this many times `confirm_timeout` while others are confirmed: not
/// every queue is as fast as the next, but none that works is that much slower.
const SLOW_QUEUE_FACTOR: u32 = 3;

/// Watches one socket until it is down.
pub(crate) async fn run(conn: Rc<Conn>) {
    let limits = [conn.config.operation_timeout, conn.config.confirm_timeout];
    let shortest =
        limits.into_iter().filter(|limit| !limit.is_zero()).min().unwrap_or(CHECK_INTERVAL_MAX);
    let pause = (shortest / 4).clamp(CHECK_INTERVAL_MIN, CHECK_INTERVAL_MAX);
    let mut progress = ConfirmProgress::default();
    while !conn.is_down() {
        conn.pending.notified().await;
        while !conn.is_down() && conn.has_pending() {
            reactor::sleep(pause).await;
            let now = reactor::now();
            let overdue = match conn.is_paused() {
                true => {
                    conn.restart_request_clocks(now);
                    progress.reset(now);
                    None
                }
                false => conn.overdue_request(now).or_else(|| progress.overdue_confirm(&conn, now)),
            };
            if let Some(error) = overdue {
                conn.log(|| {
                    tracing::warn!(
                        name: "leveret.engine.broker.unresponsive",
                        %error, "the broker does not answer; the connection is made anew"
                    );
                });
                conn.fail_unresponsive(error);
            }
        }
    }
}

/// How far the broker has come with confirming, channel by channel.
#[derive(Default)]
struct ConfirmProgress {
    /// How often it had confirmed something when that was last seen to change, and when.
    seen: BTreeMap<u16, (u64, Instant)>,
    /// What is older does not count.
    since: Option<Instant>,
}

impl ConfirmProgress {
    fn reset(&mut self, now: Instant) {
        self.seen.clear();
        self.since = Some(now);
    }

    /// What has been unconfirmed for too long, if anything.
    fn overdue_confirm(&mut self, conn: &Conn, now: Instant) -> Option<Error> {
        let limit = conn.config.confirm_timeout;
        if limit.is_zero() || conn.is_blocked() {
            self.seen.clear();
            return None;
        }
        let since = self.since.max(conn.unblocked_since.get());
        let channels = conn.channels.borrow();
        for (number, state) in channels.iter() {
            let Some((oldest, count)) = state.unconfirmed() else {
                self.seen.remove(number);
                continue;
            };
            let oldest = since.map_or(oldest, |since| oldest.max(since));
            let (known, unchanged_since) = self.seen.entry(*number).or_insert((count, oldest));
            if *known != count {
                (*known, *unchanged_since) = (count, now);
            }
            let unchanged_for = now.saturating_duration_since(oldest.max(*unchanged_since));
            let age = now.saturating_duration_since(oldest);
            if unchanged_for >= limit || age >= limit * SLOW_QUEUE_FACTOR {
                return Some(Error::timed_out(&format!("publisher confirms, for {age:.1?}")));
            }
        }
        None
    }
}

impl Conn {
    /// Whether the broker owes an answer.
    fn has_pending(&self) -> bool {
        let is_unconfirmed = || self.channels.borrow().values().any(|s| s.unconfirmed().is_some());
        !self.pending_requests.borrow().is_empty() || is_unconfirmed()
    }

    /// What has been unanswered for too long, if anything.
    fn overdue_request(&self, now: Instant) -> Option<Error> {
        let limit = self.config.operation_timeout;
        let requests = self.pending_requests.borrow();
        let oldest = requests.values().map(|one| one.since).min()?;
        (now.saturating_duration_since(oldest) >= limit)
            .then(|| Error::timed_out(&format!("a request, for {limit:?}")))
    }

    /// What is pending has waited for us, not for the broker.
    fn restart_request_clocks(&self, now: Instant) {
        self.pending_requests.borrow_mut().values_mut().for_each(|one| one.since = now);
    }
}
