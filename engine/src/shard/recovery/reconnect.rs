//! Opens a connection and reopens it whenever it is lost: connect, handshake, replay, run.
//!
//! Hosts are tried in the order of `hosts`. After a host fails, the next one is tried at once;
//! after each round follows a pause with full jitter that grows from round to round. Until the
//! first success, a failed round may end the connection with an error; after it only the owner ends
//! the connection. Invariants: one recovery runs at a time; an entity that cannot be replayed is
//! logged and skipped.

use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::config::{ConnectMode, ConnectionConfig, Host, Recovery};
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::proto::{self, Settings};
use crate::reactor::{self, Reactor, SocketOptions};
use crate::shard::border::status::ConnectionState;
use crate::shard::connection::methods::open_channel;
use crate::shard::connection::socket::RecoveryHooks;
use crate::shard::connection::state::{Conn, RecoveryTask};
use crate::shard::connection::{socket, tasks};
use crate::shard::panics::Foreign;
use crate::shard::recovery::hosts::Hosts;
use crate::shard::recovery::{audit, login, recover};
use crate::shard::stats::Stats;

/// A connection that ends sooner counts as a failed attempt. Otherwise a broker that closes every
/// connection at once would be contacted without a pause.
const STABLE_AFTER: Duration = Duration::from_secs(1);
/// How many hosts' errors the error of a first connect lists. The others are counted.
const ERRORS_LISTED_MAX: usize = 8;

/// Runs a connection until it is closed for good. `first` receives the result of the first connect.
pub(crate) async fn supervise<R: Reactor>(
    conn: Rc<Conn>,
    reactor: R,
    first: oneshot::Sender<Result<(), Error>>,
) {
    let mut connector = Connector::new(&conn.config);
    let mut first = Some(first);
    loop {
        let error = match connector.connect(&conn, &reactor).await {
            Ok(running) => {
                if let Some(first) = first.take() {
                    connector.first = None;
                    conn.answer(first, Ok(()));
                }
                let _ = running.await;
                conn.reason()
            }
            Err(error) => error,
        };
        if !conn.stopping.get() {
            conn.shared.set_last_error(&error);
        }
        conn.handle_connection_lost(&error);
        if let Some(first) = first.take() {
            conn.answer(first, Err(error.clone()));
            break close_for_good(&conn, &error);
        }
        if conn.stopping.get() || !conn.config.recovery.enabled {
            break close_for_good(&conn, &error);
        }
        connector.record_loss(conn.was_unresponsive.get());
        conn.shared.set_state(ConnectionState::Connecting);
        Stats::count(&conn.stats.losses, 1);
        conn.shared.reconnects.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        conn.log(|| {
            tracing::warn!(
                name: "leveret.engine.connection.lost", %error, "connection lost; recovering"
            );
        });
    }
}

/// Runs the supervisor. If it panics, closes the connection for good and ends every wait.
pub(crate) async fn run_to_end(conn: Rc<Conn>, supervised: impl Future<Output = ()>) {
    if conn.stats.panics.contain_async(Foreign::Task, supervised).await.is_none() {
        conn.fail(tasks::panicked());
        close_for_good(&conn, &tasks::panicked());
    }
}

/// Closes the connection for good and ends every wait.
fn close_for_good(conn: &Rc<Conn>, error: &Error) {
    conn.stopping.set(true);
    conn.shared.set_state(ConnectionState::Closed);
    let error = if error.reply_code() == Some(200) { &Error::stopped() } else { error };
    let numbers: Vec<u16> = conn.channels.borrow().keys().copied().collect();
    for number in numbers {
        conn.remove_channel(number, error);
    }
    conn.changed.notify_waiters();
}

/// Connects to one host after the other: rounds, pauses, errors.
struct Connector {
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
    fn new(config: &ConnectionConfig) -> Self {
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
    async fn connect<R: Reactor>(
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
            let is_news = conn.shared.set_last_error(&error);
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

    /// Records the loss of the connection. A host that was unresponsive becomes a suspect.
    fn record_loss(&mut self, was_unresponsive: bool) {
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

/// Connects to one host: socket, handshake, replay. On success, returns the task that runs the
/// socket.
async fn connect_to<R: Reactor>(
    conn: &Rc<Conn>,
    reactor: &R,
    host: &Host,
) -> Result<tokio::task::JoinHandle<()>, Error> {
    let name = format!("{}:{}", host.host, host.port);
    let unreachable = |why: String| Error::new(ErrorKind::Unreachable, format!("{name}: {why}"));
    let options = SocketOptions {
        tcp_user_timeout: conn.config.tcp_user_timeout,
        resolve_timeout: conn.config.resolve_timeout,
        connect_timeout: conn.config.connect_timeout,
    };
    let stopping = conn.wait_until(|conn| conn.stopping.get());
    let credentials = reactor::unless(stopping, login::credentials(conn, host));
    let credentials = credentials.await.ok_or_else(Error::stopped)??;
    let stopping = conn.wait_until(|conn| conn.stopping.get());
    let stream = reactor::unless(stopping, reactor.connect(&host.host, host.port, options))
        .await
        .ok_or_else(Error::stopped)?
        .map_err(|error| unreachable(error.to_string()))?;
    let settings = settings(&conn.config, &credentials);
    conn.begin_socket(proto::Connection::new(settings, reactor::now()));
    let renewing = login::renew(Rc::clone(conn), host.clone(), credentials.expires_in);
    let hooks = RecoveryHooks {
        start_recovery: recover::start_tasks,
        tasks: vec![Box::pin(audit::run(Rc::clone(conn))), Box::pin(renewing)],
    };
    let running = tasks::spawn(conn, socket::run(Rc::clone(conn), stream, hooks));
    let limit = conn.config.handshake_timeout;
    let opening =
        conn.wait_until(|conn| conn.opened.get() || conn.is_down() || conn.stopping.get());
    let opened = match reactor::within(limit, opening).await {
        Some(()) if conn.opened.get() && !conn.is_down() => {
            let restored = conn.stats.panics.contain_async(Foreign::Task, restore(conn)).await;
            restored.unwrap_or_else(|| Err(tasks::panicked()))
        }
        Some(()) => Err(conn.reason()),
        None => Err(unreachable(format!("the AMQP handshake took longer than {limit:?}"))),
    };
    match opened {
        Ok(()) if !conn.is_down() => {
            conn.shared.set_host(&name);
            conn.mark_open();
            conn.log(|| {
                tracing::info!(
                    name: "leveret.engine.connection.open", host = name, "a connection is open"
                );
            });
            Ok(running)
        }
        result => {
            let error = result.err().unwrap_or_else(|| conn.reason());
            conn.fail(error.clone());
            let _ = running.await;
            Err(error)
        }
    }
}

/// Reopens the channels, replays the declarations and subscribes the consumers.
async fn restore(conn: &Rc<Conn>) -> Result<(), Error> {
    conn.recovery_tasks.borrow_mut().clear();
    let numbers: Vec<u16> = conn.channels.borrow().keys().copied().collect();
    for number in numbers {
        reopen(conn, number).await?;
    }
    let intents = conn.topology.borrow().intents();
    for intent in intents {
        if let Err(error) = within_timeout(conn, recover::replay(conn, vec![intent])).await? {
            conn.log(|| {
                tracing::warn!(
                    name: "leveret.engine.declaration.not_replayed",
                    %error, "a declaration could not be replayed"
                );
            });
        }
        // A refusal closed its channel, and later declarations need the channel.
        let recovery_tasks = std::mem::take(&mut *conn.recovery_tasks.borrow_mut());
        for task in recovery_tasks {
            if let RecoveryTask::ReopenChannel(number, _) = task {
                reopen(conn, number).await?;
            }
        }
    }
    let numbers: Vec<u16> = conn.channels.borrow().keys().copied().collect();
    for number in numbers {
        conn.start_publishing(number, conn.epoch(number)?)?;
        recover::resubscribe_all(conn, number);
    }
    if conn.is_down() { Err(conn.reason()) } else { Ok(()) }
}

/// Reopens one channel. If the broker refuses, the connection is of no use and the attempt fails.
async fn reopen(conn: &Rc<Conn>, number: u16) -> Result<(), Error> {
    match within_timeout(conn, open_channel(conn, number)).await? {
        // Its owner closed it meanwhile.
        Err(_) if conn.with_channel(number, |_| ()).is_err() => Ok(()),
        opened => opened,
    }
}

/// Waits for a request within `operation_timeout`. The outer error is a timeout or the loss of the
/// socket.
async fn within_timeout(
    conn: &Conn,
    request: impl Future<Output = Result<(), Error>>,
) -> Result<Result<(), Error>, Error> {
    let answer = reactor::within(conn.config.operation_timeout, request).await;
    let answer = answer.ok_or_else(|| Error::timed_out("recovery"))?;
    if conn.is_down() { Err(conn.reason()) } else { Ok(answer) }
}

fn settings(config: &ConnectionConfig, credentials: &Credentials) -> Settings {
    Settings {
        credentials: login::for_handshake(config.login, credentials),
        vhost: config.vhost.clone(),
        connection_name: config.connection_name.clone(),
        frame_max: config.frame_max,
        channel_max: config.channel_max,
        heartbeat: config.heartbeat,
        body_max: config.body_max,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
