//! Detects a broker that answers heartbeats and nothing else.
//!
//! An unanswered request would block everything behind it for ever, and a node cut off from its
//! cluster may confirm nothing for as long as the split lasts. So after `operation_timeout` or
//! `confirm_timeout` the connection is dropped and reconnects, to another host first. While the
//! shard does not read, because a consumer has no room, the broker's silence means nothing. While
//! the broker blocks publishers, missing confirms mean nothing. The watchdog runs only while
//! something is pending.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::reactor;
use crate::shard::connection::state::Conn;

/// How often the watchdog checks while something is pending, at least and at most.
const CHECK_INTERVAL_MIN: Duration = Duration::from_millis(5);
const CHECK_INTERVAL_MAX: Duration = Duration::from_secs(1);
/// A publication may stay unconfirmed for this many times `confirm_timeout` while others are
/// confirmed: queues differ in speed, but a working one is not slower than that.
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
                        %error, "the broker does not answer; reconnecting"
                    );
                });
                conn.fail_unresponsive(error);
            }
        }
    }
}

/// How far the broker has confirmed, by channel.
#[derive(Default)]
struct ConfirmProgress {
    /// The number of confirms when it last changed, and the time of that change.
    seen: BTreeMap<u16, (u64, Instant)>,
    /// Time before this does not count.
    since: Option<Instant>,
}

impl ConfirmProgress {
    fn reset(&mut self, now: Instant) {
        self.seen.clear();
        self.since = Some(now);
    }

    /// Returns an error if a publication has been unconfirmed for too long.
    fn overdue_confirm(&mut self, conn: &Conn, now: Instant) -> Option<Error> {
        let limit = conn.config.confirm_timeout;
        if limit.is_zero() || conn.is_blocked() {
            self.seen.clear();
            return None;
        }
        let since = self.since.max(conn.unblocked_since.get());
        let channels = conn.channels.borrow();
        for (number, state) in channels.iter() {
            let Some((oldest, count)) = state.publications.unconfirmed() else {
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
    /// Whether the broker owes a response or a confirm.
    fn has_pending(&self) -> bool {
        let is_unconfirmed = || {
            self.channels.borrow().values().any(|state| state.publications.unconfirmed().is_some())
        };
        !self.pending_requests.borrow().is_empty() || is_unconfirmed()
    }

    /// Returns an error if a request has been unanswered for too long.
    fn overdue_request(&self, now: Instant) -> Option<Error> {
        let limit = self.config.operation_timeout;
        let requests = self.pending_requests.borrow();
        let oldest = requests.values().map(|request| request.since).min()?;
        (now.saturating_duration_since(oldest) >= limit)
            .then(|| Error::timed_out(&format!("a request, for {limit:?}")))
    }

    /// Restarts the time of pending requests, because the shard did not read the responses.
    fn restart_request_clocks(&self, now: Instant) {
        self.pending_requests.borrow_mut().values_mut().for_each(|request| request.since = now);
    }
}
