//! Notices a broker that answers heartbeats and nothing else.
//!
//! A request that stays unanswered would leave what waits behind it waiting for ever, so after
//! `operation_timeout` the connection is made anew, at another host first. While we do not read (a
//! consumer has no room) the broker's silence says nothing. Runs only while something is pending.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::conn::Conn;
use crate::{Error, reactor};

/// How often it looks while something is pending, at most and at least.
const LOOK_MIN: Duration = Duration::from_millis(5);
const LOOK_MAX: Duration = Duration::from_secs(1);

/// Watches one socket until it is down.
pub(super) async fn run(conn: Rc<Conn>) {
    let limit = conn.config.operation_timeout;
    let pause = (limit / 4).clamp(LOOK_MIN, LOOK_MAX);
    while !conn.is_down() {
        conn.pending.notified().await;
        while !conn.is_down() && conn.has_pending() {
            reactor::sleep(pause).await;
            if conn.is_paused() {
                conn.restart_watch(reactor::now());
            } else if let Some(error) = conn.overdue(reactor::now()) {
                tracing::warn!(
                    name: "leveret.engine.broker.unresponsive",
                    %error, "the broker does not answer; the connection is made anew"
                );
                conn.fail_silent(error);
            }
        }
    }
}

impl Conn {
    /// Whether the broker owes an answer.
    fn has_pending(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    /// What has been unanswered for too long, if anything.
    fn overdue(&self, now: Instant) -> Option<Error> {
        let limit = self.config.operation_timeout;
        let waiting = self.waiting.borrow();
        let oldest = waiting.values().map(|one| one.since).min()?;
        (now.saturating_duration_since(oldest) >= limit)
            .then(|| Error::timed_out(&format!("a request, for {limit:?}")))
    }

    /// What is pending has waited for us, not for the broker.
    fn restart_watch(&self, now: Instant) {
        self.waiting.borrow_mut().values_mut().for_each(|one| one.since = now);
    }
}
