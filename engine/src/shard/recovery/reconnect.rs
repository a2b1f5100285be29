//! The life of a connection: dial, handshake, replay, run, and again.
//!
//! Hosts are tried in turn (`hosts`): the next one at once, after a whole round a full-jitter pause
//! that grows each round. Before the first success every host is asked once, then the caller is
//! told; after it nothing but its owner ends a connection. Invariant: one recovery at a time; one
//! entity that cannot be replayed is reported and skipped.

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
use crate::shard::connection::socket::Upkeep;
use crate::shard::connection::state::{Conn, Repair};
use crate::shard::connection::{socket, tasks};
use crate::shard::panics::Foreign;
use crate::shard::recovery::hosts::Hosts;
use crate::shard::recovery::{audit, login, recover};
use crate::shard::stats::Stats;

/// A connection that lived for less counts as a failed attempt: a broker that ends each one at once
/// is not to be asked without a pause.
const STEADY: Duration = Duration::from_secs(1);
/// Hosts whose answers are listed in the error of a first connect; the others are counted.
const TOLD_MAX: usize = 8;

/// Runs a connection until it is closed for good. `first` is told how the first attempt ended.
pub(crate) async fn supervise<R: Reactor>(
    conn: Rc<Conn>,
    reactor: R,
    first: oneshot::Sender<Result<(), Error>>,
) {
    let mut dial = Dial::new(&conn.config);
    let mut first = Some(first);
    loop {
        let error = match dial.connect(&conn, &reactor).await {
            Ok(running) => {
                if let Some(first) = first.take() {
                    dial.first = None;
                    conn.answer(first, Ok(()));
                }
                let _ = running.await;
                conn.reason()
            }
            Err(error) => error,
        };
        if !conn.stopping.get() {
            conn.shared.failed(&error);
        }
        conn.interrupt_all(&error);
        if let Some(first) = first.take() {
            conn.answer(first, Err(error.clone()));
            break finish(&conn, &error);
        }
        if conn.stopping.get() || !conn.config.recovery.enabled {
            break finish(&conn, &error);
        }
        dial.lost(conn.was_silent.get());
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

/// Runs what makes a connection again and again. Where even that panics, the connection is closed
/// for good, and everyone who waits is told.
pub(crate) async fn last(conn: Rc<Conn>, supervised: impl Future<Output = ()>) {
    if conn.stats.panics.contain_async(Foreign::Task, supervised).await.is_none() {
        conn.fail(tasks::panicked());
        finish(&conn, &tasks::panicked());
    }
}

/// Nothing follows: everyone who waits is told.
fn finish(conn: &Rc<Conn>, error: &Error) {
    conn.stopping.set(true);
    conn.shared.set_state(ConnectionState::Closed);
    let error = if error.reply_code() == Some(200) { &Error::stopped() } else { error };
    let numbers: Vec<u16> = conn.channels.borrow().keys().copied().collect();
    for number in numbers {
        conn.remove_channel(number, error);
    }
    conn.changed.notify_waiters();
}

/// The way to the next host: rounds, pauses, and what the hosts answered.
struct Dial {
    hosts: Hosts,
    /// The host that the connection is on, or was on last.
    host: usize,
    /// Failed attempts and short lives since a connection lived for a while.
    failures: u32,
    /// When the last connection was opened.
    since: Option<Instant>,
    /// What the first connect needs to know of the rounds so far; none once it has succeeded.
    first: Option<FirstConnect>,
}

/// The first connect, which may fail.
struct FirstConnect {
    /// It gives up at this instant, after one round at least; never, if there is none.
    until: Option<Instant>,
    /// What the hosts of this round answered, each named.
    answers: Vec<(String, Error)>,
}

impl Dial {
    fn new(config: &ConnectionConfig) -> Self {
        let is_lazy = config.connect == ConnectMode::Lazy;
        let until = (!is_lazy).then(|| reactor::now() + config.connect_deadline);
        Self {
            hosts: Hosts::new(config.hosts.clone(), config.recovery.shuffle),
            host: 0,
            failures: 0,
            since: None,
            first: Some(FirstConnect { until, answers: Vec::new() }),
        }
    }

    /// Tries hosts until one is open. Fails only if the connection is told to stop, or if it is the
    /// first connect and gives up.
    async fn connect<R: Reactor>(
        &mut self,
        conn: &Rc<Conn>,
        reactor: &R,
    ) -> Result<tokio::task::JoinHandle<()>, Error> {
        self.judge(conn).await;
        loop {
            let (index, host) = self.hosts.next(reactor::now());
            self.host = index;
            let error = match attempt(conn, reactor, &host).await {
                Ok(running) => {
                    Stats::count(&conn.stats.connects, 1);
                    self.since = Some(reactor::now());
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
            let is_news = conn.shared.failed(&error);
            if is_news {
                conn.log(|| {
                    tracing::info!(
                        name: "leveret.engine.connection.not_made",
                        host = %host.host, port = host.port, %error, "could not connect"
                    );
                });
            }
            if let Some(first) = &mut self.first {
                first.answers.push((host.host.clone(), error));
            }
            if self.hosts.is_round_over() {
                self.first.as_mut().map_or(Ok(()), FirstConnect::end_round)?;
                self.pause(conn).await;
            }
        }
    }

    /// The connection was lost; its host is a suspect if it went without a word.
    fn lost(&mut self, was_silent: bool) {
        if was_silent {
            self.hosts.suspect(self.host, reactor::now());
        }
        // The next attempt goes to this host's successor, suspects last.
        self.hosts.end_round();
    }

    /// A connection that did not live for a while is one more failure: a broker that ends each one
    /// at once is not to be asked without a pause.
    async fn judge(&mut self, conn: &Rc<Conn>) {
        let Some(since) = self.since.take() else { return };
        let Recovery { delay, splay, .. } = conn.config.recovery;
        wait(conn, delay + splay.mul_f64(fastrand::f64())).await;
        if reactor::now() >= since + STEADY {
            self.failures = 0;
            return;
        }
        self.failures += 1;
        if self.failures as usize >= self.hosts.len() {
            self.pause(conn).await;
        }
    }

    /// Full jitter: a random part of a span that doubles each round (so that clients spread).
    async fn pause(&self, conn: &Rc<Conn>) {
        let round = (self.failures as usize / self.hosts.len()).saturating_sub(1).min(1 << 16);
        let pause = span(&conn.config.recovery, round as u32).mul_f64(fastrand::f64());
        wait(conn, pause.max(Duration::from_millis(1))).await;
    }
}

impl FirstConnect {
    /// Every host was asked: whether it goes on, or with which error it gives up.
    fn end_round(&mut self) -> Result<(), Error> {
        let answers = std::mem::take(&mut self.answers);
        let is_refused = answers.iter().all(|(_, error)| error.is_refusal());
        match self.until {
            Some(until) if is_refused || reactor::now() >= until => Err(told(answers)),
            _ => Ok(()),
        }
    }
}

/// The error of a first connect: a refusal rather than a host that was not reached, with what the
/// others answered.
fn told(mut answers: Vec<(String, Error)>) -> Error {
    // The last of the kind that tells most.
    answers.sort_by_key(|(_, error)| error.is_refusal());
    let Some((_, chief)) = answers.last() else { return Error::stopped() };
    if answers.len() == 1 {
        return chief.clone();
    }
    let count = answers.len();
    let told = answers.iter().rev().take(TOLD_MAX).map(|(host, error)| format!("{host}: {error}"));
    let mut text = format!("none of {count} hosts could be used: ");
    text += &told.collect::<Vec<_>>().join("; ");
    if count > TOLD_MAX {
        text += &format!("; and {} more", count - TOLD_MAX);
    }
    chief.clone().with_text(text)
}

/// What a pause is drawn from after this many rounds.
fn span(recovery: &Recovery, round: u32) -> Duration {
    let grown = match recovery.backoff_step {
        None => recovery.backoff.saturating_mul(1 << round.min(16)),
        Some(step) => recovery.backoff.saturating_add(step.saturating_mul(round)),
    };
    grown.min(recovery.backoff_max)
}

/// Waits, unless the connection is told to stop meanwhile.
async fn wait(conn: &Rc<Conn>, pause: Duration) {
    if pause > Duration::ZERO {
        let stop = conn.until(|conn| conn.stopping.get());
        let _ = reactor::within(pause, stop).await;
    }
}

/// One host, once: connect, handshake, replay. The socket's tasks go on when this returns well.
async fn attempt<R: Reactor>(
    conn: &Rc<Conn>,
    reactor: &R,
    host: &Host,
) -> Result<tokio::task::JoinHandle<()>, Error> {
    let name = format!("{}:{}", host.host, host.port);
    let unreachable = |why: String| Error::new(ErrorKind::Unreachable, format!("{name}: {why}"));
    let options = SocketOptions {
        user_timeout: conn.config.user_timeout,
        resolve_timeout: conn.config.resolve_timeout,
        connect_timeout: conn.config.connect_timeout,
    };
    let stopping = conn.until(|conn| conn.stopping.get());
    let credentials = reactor::run_unless(stopping, login::credentials(conn, host));
    let credentials = credentials.await.ok_or_else(Error::stopped)??;
    let stopping = conn.until(|conn| conn.stopping.get());
    let stream = reactor::run_unless(stopping, reactor.connect(&host.host, host.port, options))
        .await
        .ok_or_else(Error::stopped)?
        .map_err(|error| unreachable(error.to_string()))?;
    let settings = settings(&conn.config, &credentials);
    conn.begin(proto::Connection::new(settings, reactor::now()));
    let renewing = login::renew(Rc::clone(conn), host.clone(), credentials.expires_in);
    let upkeep = Upkeep {
        repair: recover::start,
        tasks: vec![Box::pin(audit::run(Rc::clone(conn))), Box::pin(renewing)],
    };
    let running = tasks::spawn(conn, socket::run(Rc::clone(conn), stream, upkeep));
    let limit = conn.config.handshake_timeout;
    let opening = conn.until(|conn| conn.opened.get() || conn.is_down() || conn.stopping.get());
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
            conn.shared.reached(&name);
            conn.ready();
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

/// Opens the channels again, declares again, consumes again.
async fn restore(conn: &Rc<Conn>) -> Result<(), Error> {
    conn.repairs.borrow_mut().clear();
    let numbers: Vec<u16> = conn.channels.borrow().keys().copied().collect();
    for number in numbers {
        reopen(conn, number).await?;
    }
    let intents = conn.topology.borrow().intents();
    for intent in intents {
        if let Err(error) = in_time(conn, recover::replay(conn, vec![intent])).await? {
            conn.log(|| {
                tracing::warn!(
                    name: "leveret.engine.declaration.not_replayed",
                    %error, "a declaration could not be replayed"
                );
            });
        }
        // A refusal closed the channel it was asked on, and others need it.
        let repairs = std::mem::take(&mut *conn.repairs.borrow_mut());
        for repair in repairs {
            if let Repair::Channel(number, _) = repair {
                reopen(conn, number).await?;
            }
        }
    }
    let numbers: Vec<u16> = conn.channels.borrow().keys().copied().collect();
    for number in numbers {
        conn.let_flow(number, conn.epoch(number)?)?;
        recover::consumers(conn, number);
    }
    if conn.is_down() { Err(conn.reason()) } else { Ok(()) }
}

/// Opens one channel again. A broker that does not allow it is of no use to this connection.
async fn reopen(conn: &Rc<Conn>, number: u16) -> Result<(), Error> {
    match in_time(conn, open_channel(conn, number)).await? {
        // Closed by its owner meanwhile.
        Err(_) if conn.with_channel(number, |_| ()).is_err() => Ok(()),
        opened => opened,
    }
}

/// The broker's answer; the outer error is the end of the socket, or of our patience with it.
async fn in_time(
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
        assert_eq!(told(vec![absent.clone()]).to_string(), "away");
        let error = told(vec![refused, absent]);
        assert_eq!(error.kind(), ErrorKind::AccessRefused);
        assert_eq!(error.to_string(), "none of 2 hosts could be used: h-no: no; h-away: away");
        let many = (0..20).map(|_| of(ErrorKind::Unreachable, "away")).collect();
        assert!(told(many).to_string().ends_with("h-away: away; and 12 more"));
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
            let ends = |until, answers| FirstConnect { until, answers }.end_round().is_err();
            assert!(ends(later, vec![refused(), refused()]), "all refuse");
            assert!(!ends(later, vec![refused(), absent()]), "one may come yet");
            assert!(ends(Some(reactor::now()), vec![absent()]), "time is over");
            assert!(!ends(None, vec![refused()]), "lazy: never");
        });
    }

    #[test]
    fn spans_grow_by_doubling_or_in_steps_to_their_end() {
        let mut recovery = Recovery::default();
        let spans =
            |recovery: &Recovery| [0, 1, 3, 70_000].map(|round| span(recovery, round).as_millis());
        assert_eq!(spans(&recovery), [100, 200, 800, 5000]);
        recovery.backoff_step = Some(Duration::from_millis(250));
        assert_eq!(spans(&recovery), [100, 350, 850, 5000]);
        recovery.backoff_step = Some(Duration::ZERO);
        assert_eq!(spans(&recovery), [100; 4]);
    }
}
