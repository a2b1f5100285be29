//! The life of a connection: dial, handshake, replay, run, and again.
//!
//! Hosts are shuffled once (or each round) and tried in turn: the next one at once, then with a
//! full-jitter pause that grows each round. Invariant: one recovery at a time; one entity that
//! cannot be replayed is reported and skipped.

use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::conn::{Conn, Repair};
use super::operation::{close, open_channel, perform};
use super::shared::{ConnectionState, Request};
use super::stats::Stats;
use super::{repair, socket};
use crate::proto::{self, Credentials, Settings};
use crate::reactor::{self, Reactor, SocketOptions};
use crate::{ConnectionConfig, Error, ErrorKind, Host, Login, Recovery};

/// How long a connection must have lived for its host to count as well.
const STEADY: Duration = Duration::from_secs(10);

/// Runs a connection until it is closed for good. `first` is told how the first attempt ended.
pub(super) async fn supervise<R: Reactor>(
    conn: Rc<Conn>,
    reactor: R,
    requests: mpsc::Receiver<Request>,
    first: oneshot::Sender<Result<(), Error>>,
) {
    let mut hosts = conn.config.hosts.clone();
    fastrand::shuffle(&mut hosts);
    let mut dial = Dial { hosts, next: 0, failures: 0, since: None, until: None };
    dial.until = Some(reactor::now() + conn.config.connect_deadline);
    let mut first = Some(first);
    let serving = reactor::spawn(serve(Rc::clone(&conn), requests));
    loop {
        let error = match dial.connect(&conn, &reactor).await {
            Ok(running) => {
                if let Some(first) = first.take() {
                    dial.until = None;
                    let _ = first.send(Ok(()));
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
            let _ = first.send(Err(error.clone()));
            break finish(&conn, &error);
        }
        if conn.stopping.get() || !conn.config.recovery.enabled || error.is_fatal() {
            break finish(&conn, &error);
        }
        conn.shared.set_state(ConnectionState::Connecting);
        Stats::count(&conn.stats.losses, 1);
        conn.shared.reconnects.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        tracing::warn!(
            name: "leveret.engine.connection.lost", %error, "connection lost; recovering"
        );
    }
    serving.abort();
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

/// Takes the requests of the handles; when the last handle is gone, the connection is closed.
async fn serve(conn: Rc<Conn>, mut requests: mpsc::Receiver<Request>) {
    while let Some(request) = requests.recv().await {
        reactor::spawn(perform(Rc::clone(&conn), request));
    }
    // What the broker does not take in time is given up: nobody is left to be told.
    let _ = close(&conn, conn.config.operation_timeout).await;
}

struct Dial {
    hosts: Vec<Host>,
    next: usize,
    failures: u32,
    /// When the last connection was opened.
    since: Option<Instant>,
    /// The first connect gives up at this instant, after one round at least.
    until: Option<Instant>,
}

impl Dial {
    /// Tries hosts until one is open; fails for good where trying on is of no use.
    async fn connect<R: Reactor>(
        &mut self,
        conn: &Rc<Conn>,
        reactor: &R,
    ) -> Result<tokio::task::JoinHandle<()>, Error> {
        self.judge(conn).await;
        loop {
            let host = self.next_host(conn.config.recovery.shuffle);
            let error = match attempt(conn, reactor, &host).await {
                Ok(running) => {
                    Stats::count(&conn.stats.connects, 1);
                    self.since = Some(reactor::now());
                    // The next loss tries this host's successor first.
                    return Ok(running);
                }
                Err(error) => error,
            };
            Stats::count(&conn.stats.connects_failed, 1);
            conn.shared.failed(&error);
            self.failures += 1;
            let round = self.failures as usize >= self.hosts.len();
            let given_up = self.until.is_some_and(|until| round && reactor::now() >= until);
            if error.is_fatal() || given_up || conn.stopping.get() {
                return Err(error);
            }
            tracing::info!(
                name: "leveret.engine.connection.not_made",
                host = %host.host, port = host.port, %error, "could not connect"
            );
            if round {
                self.pause(conn).await;
            }
        }
    }

    /// Each host once a round.
    fn next_host(&mut self, shuffle: bool) -> Host {
        if self.next >= self.hosts.len() {
            self.next = 0;
            if shuffle {
                fastrand::shuffle(&mut self.hosts);
            }
        }
        self.next += 1;
        self.hosts[self.next - 1].clone()
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
    let options = SocketOptions { user_timeout: conn.config.user_timeout };
    let dialling = reactor.connect(&host.host, host.port, options);
    let stream = reactor::within(conn.config.connect_timeout, dialling)
        .await
        .ok_or_else(|| unreachable(format!("no answer in {:?}", conn.config.connect_timeout)))?
        .map_err(|error| unreachable(error.to_string()))?;
    conn.begin(proto::Connection::new(settings(&conn.config, host), reactor::now()));
    let running = reactor::spawn(socket::run(Rc::clone(conn), stream));
    let limit = conn.config.handshake_timeout;
    let opening = conn.until(|conn| conn.opened.get() || conn.is_down() || conn.stopping.get());
    let opened = match reactor::within(limit, opening).await {
        Some(()) if conn.opened.get() && !conn.is_down() => restore(conn).await,
        Some(()) => Err(conn.reason()),
        None => Err(unreachable(format!("the AMQP handshake took longer than {limit:?}"))),
    };
    match opened {
        Ok(()) if !conn.is_down() => {
            conn.shared.reached(&name);
            conn.ready();
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
        if let Err(error) = in_time(conn, repair::replay(conn, vec![intent])).await? {
            tracing::warn!(
                name: "leveret.engine.declaration.not_replayed",
                %error, "a declaration could not be replayed"
            );
        }
        // A refusal closed the channel it was asked on, and others need it.
        let repairs = std::mem::take(&mut *conn.repairs.borrow_mut());
        for repair in repairs {
            if let Repair::Channel(number) = repair {
                reopen(conn, number).await?;
            }
        }
    }
    let numbers: Vec<u16> = conn.channels.borrow().keys().copied().collect();
    for number in numbers {
        conn.let_flow(number)?;
        repair::consumers(conn, number);
    }
    if conn.is_down() { Err(conn.reason()) } else { Ok(()) }
}

/// Opens one channel again; what the broker does not allow any more is given up.
async fn reopen(conn: &Rc<Conn>, number: u16) -> Result<(), Error> {
    if let Err(error) = in_time(conn, open_channel(conn, number)).await? {
        tracing::error!(
            name: "leveret.engine.channel.lost", channel = number, %error, "a channel is lost"
        );
        conn.remove_channel(number, &error);
    }
    Ok(())
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

fn settings(config: &ConnectionConfig, host: &Host) -> Settings {
    let (user, password) = (host.user.clone(), host.password.0.clone());
    Settings {
        credentials: match config.login {
            Login::Plain => Credentials::Plain { user, password },
            Login::AmqPlain => Credentials::AmqPlain { user, password },
            Login::External => Credentials::External,
        },
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

    #[test]
    fn a_round_tries_each_host_once() {
        for shuffle in [false, true] {
            let hosts = (0..5).map(|port| Host::new("h", port)).collect();
            let mut dial = Dial { hosts, next: 0, failures: 0, since: None, until: None };
            let mut orders = std::collections::HashSet::new();
            for _ in 0..50 {
                let round: Vec<u16> = (0..5).map(|_| dial.next_host(shuffle).port).collect();
                let mut sorted = round.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, [0, 1, 2, 3, 4]);
                orders.insert(round);
            }
            assert_eq!(orders.len() > 1, shuffle, "{orders:?}");
        }
    }

    #[test]
    fn spans_grow_by_doubling_or_in_steps_to_their_end() {
        let mut recovery = Recovery::default();
        let spans =
            |recovery: &Recovery| [0, 1, 3, 70_000].map(|round| span(recovery, round).as_millis());
        assert_eq!(spans(&recovery), [100, 200, 800, 2000]);
        recovery.backoff_step = Some(Duration::from_millis(250));
        assert_eq!(spans(&recovery), [100, 350, 850, 2000]);
        recovery.backoff_step = Some(Duration::ZERO);
        assert_eq!(spans(&recovery), [100; 4]);
    }
}
