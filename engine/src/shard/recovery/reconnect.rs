//! Supervises a connection: opens it, and reopens it whenever it is lost.
//!
//! Until the first success, a failed connect may end the connection with an error; after it only
//! the owner ends the connection. Invariant: one recovery runs at a time. Hosts and pauses are in
//! `connector`.

use std::future::Future;
use std::rc::Rc;

use tokio::sync::oneshot;

use crate::error::Error;
use crate::reactor::Reactor;
use crate::shard::border::status::ConnectionState;
use crate::shard::connection::state::Conn;
use crate::shard::connection::tasks;
use crate::shard::panics::Foreign;
use crate::shard::recovery::connector::Connector;
use crate::shard::stats::Stats;

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
                    connector.end_first_connect();
                    conn.answer(first, Ok(()));
                }
                let _ = running.await;
                conn.reason()
            }
            Err(error) => error,
        };
        if !conn.stopping.get() {
            conn.shared.status.set_last_error(&error);
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
        conn.shared.status.set_state(ConnectionState::Connecting);
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
    conn.shared.status.set_state(ConnectionState::Closed);
    let error = if error.reply_code() == Some(200) { &Error::stopped() } else { error };
    let numbers: Vec<u16> = conn.channels.borrow().keys().copied().collect();
    for number in numbers {
        conn.remove_channel(number, error);
    }
    conn.changed.notify_waiters();
}
