//! Tries the hosts of a connection until one is open.
//!
//! Hosts are tried in the order of `hosts`. After a host fails, the next one is tried at once;
//! after each round follows a pause with full jitter that grows from round to round. The first
//! connect may give up after a round; later ones do not.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::config::{ConnectMode, ConnectionConfig, Recovery};
use crate::error::Error;
use crate::reactor::{self, Reactor};
use crate::shard::connection::state::Conn;
use crate::shard::recovery::connect::connect_to;
use crate::shard::recovery::hosts::Hosts;
use crate::shard::stats::Stats;

/// A connection that ends sooner counts as a failed attempt. Otherwise a broker that closes every
/// connection at once would be contacted without a pause.
const STABLE_AFTER: Duration = Duration::from_secs(1);
/// How many hosts' errors the error of a first connect lists. The others are counted.
const ERRORS_LISTED_MAX: usize = 8;

/// Connects to one host after the other: rounds, pauses, errors.
pub(crate) struct Connector {
    hosts: Hosts,
    /// Index of the host that the connection is on, or was on last.
    host: usize,
    /// Failed attempts since a connection was last stable.
    failures: u32,
    /// When the last connection was opened.
    opened_at: Option<Instant>,
    /// The state of the first connect. `None` after it has succeeded.
    first: Option<FirstConnect>,
}

/// The first connect. Unlike later ones, it may give up.
struct FirstConnect {
    /// When it gives up, though not before the end of a round. `None`: never.
    until: Option<Instant>,
    /// The errors of this round, with their hosts.
    errors: Vec<(String, Error)>,
}

impl Connector {
    pub(crate) fn new(config: &ConnectionConfig) -> Self {
        let is_lazy = config.connect == ConnectMode::Lazy;
        let until = (!is_lazy).then(|| reactor::now() + config.connect_deadline);
        Self {
            hosts: Hosts::new(config.hosts.clone(), config.recovery.shuffle),
            host: 0,
            failures: 0,
            opened_at: None,
            first: Some(FirstConnect { until, errors: Vec::new() }),
        }
    }

    /// Tries hosts until a connection is open. Returns an error only if the connection is stopping,
    /// or if the first connect gives up.
    pub(crate) async fn connect<R: Reactor>(
        &mut self,
        conn: &Rc<Conn>,
        reactor: &R,
    ) -> Result<tokio::task::JoinHandle<()>, Error> {
        self.wait_after_loss(conn).await;
        loop {
            let (index, host) = self.hosts.next(reactor::now());
            self.host = index;
            let error = match connect_to(conn, reactor, &host).await {
                Ok(running) => {
                    Stats::count(&conn.stats.connects, 1);
                    self.opened_at = Some(reactor::now());
                    return Ok(running);
                }
                Err(error) => error,
            };
            Stats::count(&conn.stats.connects_failed, 1);
            if conn.stopping.get() {
                return Err(error);
            }
            self.failures += 1;
            self.hosts.suspect(index, reactor::now());
            let is_news = conn.shared.status.set_last_error(&error);
            if is_news {
                conn.log(|| {
                    tracing::info!(
                        name: "leveret.engine.connection.not_made",
                        host = %host.host, port = host.port, %error, "could not connect"
                    );
                });
            }
            if let Some(first) = &mut self.first {
                first.errors.push((host.host.clone(), error));
            }
            if self.hosts.is_round_over() {
                self.first.as_mut().map_or(Ok(()), FirstConnect::end_round)?;
                self.pause(conn).await;
            }
        }
    }

    /// Records that the first connect has succeeded. Later ones do not give up.
    pub(crate) fn end_first_connect(&mut self) {
        self.first = None;
    }

    /// Records the loss of the connection. A host that was unresponsive becomes a suspect.
    pub(crate) fn record_loss(&mut self, was_unresponsive: bool) {
        if was_unresponsive {
            self.hosts.suspect(self.host, reactor::now());
        }
        // The next attempt goes to the successor of this host, suspects last.
        self.hosts.end_round();
    }

    /// Waits before the first attempt after a loss. A connection that was not stable counts as a
    /// failed attempt; see [`STABLE_AFTER`].
    async fn wait_after_loss(&mut self, conn: &Rc<Conn>) {
        let Some(opened_at) = self.opened_at.take() else { return };
        let Recovery { delay, splay, .. } = conn.config.recovery;
        wait(conn, delay + splay.mul_f64(fastrand::f64())).await;
        if reactor::now() >= opened_at + STABLE_AFTER {
            self.failures = 0;
            return;
        }
        self.failures += 1;
        if self.failures as usize >= self.hosts.len() {
            self.pause(conn).await;
        }
    }

    /// Waits after a round with full jitter: for a random part of a span that grows each round, so
    /// that clients do not reconnect at the same time.
    async fn pause(&self, conn: &Rc<Conn>) {
        let round = (self.failures as usize / self.hosts.len()).saturating_sub(1).min(1 << 16);
        let pause = backoff_span(&conn.config.recovery, round as u32).mul_f64(fastrand::f64());
        wait(conn, pause.max(Duration::from_millis(1))).await;
    }
}

impl FirstConnect {
    /// Ends a round. Returns the error if the first connect gives up.
    fn end_round(&mut self) -> Result<(), Error> {
        let errors = std::mem::take(&mut self.errors);
        let is_refused = errors.iter().all(|(_, error)| error.is_refusal());
        match self.until {
            Some(until) if is_refused || reactor::now() >= until => Err(combined_error(errors)),
            _ => Ok(()),
        }
    }
}

/// The error of a first connect. Its kind is that of a refusal if a host refused, and its text
/// lists the errors of all hosts.
fn combined_error(mut errors: Vec<(String, Error)>) -> Error {
    // The last refusal, or the last error if no host refused.
    errors.sort_by_key(|(_, error)| error.is_refusal());
    let Some((_, chief)) = errors.last() else { return Error::stopped() };
    if errors.len() == 1 {
        return chief.clone();
    }
    let count = errors.len();
    let listed =
        errors.iter().rev().take(ERRORS_LISTED_MAX).map(|(host, error)| format!("{host}: {error}"));
    let mut text = format!("none of {count} hosts could be used: ");
    text += &listed.collect::<Vec<_>>().join("; ");
    if count > ERRORS_LISTED_MAX {
        text += &format!("; and {} more", count - ERRORS_LISTED_MAX);
    }
    chief.clone().with_text(text)
}

/// The span that the pause after this many rounds is drawn from.
fn backoff_span(recovery: &Recovery, round: u32) -> Duration {
    let grown = match recovery.backoff_step {
        None => recovery.backoff.saturating_mul(1 << round.min(16)),
        Some(step) => recovery.backoff.saturating_add(step.saturating_mul(round)),
    };
    grown.min(recovery.backoff_max)
}

/// Waits, unless the connection is stopping.
async fn wait(conn: &Rc<Conn>, pause: Duration) {
    if pause > Duration::ZERO {
        let stop = conn.wait_until(|conn| conn.stopping.get());
        let _ = reactor::within(pause, stop).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn of(kind: ErrorKind, text: &str) -> (String, Error) {
        (format!("h-{text}"), Error::new(kind, text))
    }

    #[test]
    fn a_refusal_tells_more_than_a_host_that_was_not_reached() {
        let refused = of(ErrorKind::AccessRefused, "no");
        let absent = of(ErrorKind::Unreachable, "away");
        assert_eq!(combined_error(vec![absent.clone()]).to_string(), "away");
        let error = combined_error(vec![refused, absent]);
        assert_eq!(error.kind(), ErrorKind::AccessRefused);
        assert_eq!(error.to_string(), "none of 2 hosts could be used: h-no: no; h-away: away");
        let many = (0..20).map(|_| of(ErrorKind::Unreachable, "away")).collect();
        assert!(combined_error(many).to_string().ends_with("h-away: away; and 12 more"));
    }

    #[test]
    fn a_first_connect_ends_when_all_refuse_or_time_is_over() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let later = Some(reactor::now() + Duration::from_secs(9));
            let refused = || of(ErrorKind::AccessRefused, "no");
            let absent = || of(ErrorKind::Unreachable, "away");
            let ends = |until, errors| FirstConnect { until, errors }.end_round().is_err();
            assert!(ends(later, vec![refused(), refused()]), "all refuse");
            assert!(!ends(later, vec![refused(), absent()]), "one may come yet");
            assert!(ends(Some(reactor::now()), vec![absent()]), "time is over");
            assert!(!ends(None, vec![refused()]), "lazy: never");
        });
    }

    #[test]
    fn spans_grow_by_doubling_or_in_steps_to_their_end() {
        let mut recovery = Recovery::default();
        let spans = |recovery: &Recovery| {
            [0, 1, 3, 70_000].map(|round| backoff_span(recovery, round).as_millis())
        };
        assert_eq!(spans(&recovery), [100, 200, 800, 5000]);
        recovery.backoff_step = Some(Duration::from_millis(250));
        assert_eq!(spans(&recovery), [100, 350, 850, 5000]);
        recovery.backoff_step = Some(Duration::ZERO);
        assert_eq!(spans(&recovery), [100; 4]);
    }
}
