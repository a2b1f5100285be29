//! Connects to one host: socket, handshake, and replay of channels, declarations and consumers.
//!
//! Invariant: an entity that cannot be replayed is logged and skipped. The choice of the host is in
//! `connector`.

use std::rc::Rc;

use crate::config::{ConnectionConfig, Host};
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::proto::{self, Settings};
use crate::reactor::{self, Reactor, SocketOptions, Stream};
use crate::shard::connection::methods::open_channel;
use crate::shard::connection::socket::RecoveryHooks;
use crate::shard::connection::state::{Conn, RecoveryTask};
use crate::shard::connection::{socket, tasks};
use crate::shard::panics::Foreign;
#[cfg(feature = "tls")]
use crate::shard::recovery::secure;
use crate::shard::recovery::{audit, login, recover};

/// Connects to one host: socket, handshake, replay. On success, returns the task that runs the
/// socket.
pub(crate) async fn connect_to<R: Reactor>(
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
    let credentials = reactor::run_unless(stopping, login::credentials(conn, host));
    let credentials = credentials.await.ok_or_else(Error::stopped)??;
    let stopping = conn.wait_until(|conn| conn.stopping.get());
    let stream = reactor::run_unless(stopping, reactor.connect(&host.host, host.port, options))
        .await
        .ok_or_else(Error::stopped)?
        .map_err(|error| unreachable(error.to_string()))?;
    #[cfg(feature = "tls")]
    if let Some(tls) = &conn.config.tls {
        let stream = secure::secure(conn, tls, host, stream).await?;
        return open_on(conn, stream, host, &credentials).await;
    }
    open_on(conn, stream, host, &credentials).await
}

/// Opens the connection on a socket: handshake, replay. Returns the task that runs the socket.
async fn open_on<S: Stream>(
    conn: &Rc<Conn>,
    stream: S,
    host: &Host,
    credentials: &Credentials,
) -> Result<tokio::task::JoinHandle<()>, Error> {
    let name = format!("{}:{}", host.host, host.port);
    let settings = settings(&conn.config, credentials);
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
        None => {
            let text = format!("{name}: the AMQP handshake took longer than {limit:?}");
            Err(Error::new(ErrorKind::Unreachable, text))
        }
    };
    match opened {
        Ok(()) if !conn.is_down() => {
            conn.shared.status.set_host(&name);
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
