//! Tasks of a connection. A panic in one fails the connection, which then reconnects.
//!
//! Invariant: no task of a connection ends unnoticed. A defect in the engine therefore costs a
//! reconnect and leaves no connection that is open but does nothing.

use std::future::Future;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::error::{Error, ErrorKind};
use crate::reactor;
use crate::shard::connection::state::Conn;
use crate::shard::panics::Foreign;

/// Spawns a task. The task keeps the connection alive only if it holds an `Rc` of it.
pub(crate) fn spawn(conn: &Rc<Conn>, task: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
    let (conn, panics) = (Rc::downgrade(conn), Arc::clone(&conn.stats.panics));
    reactor::spawn(async move {
        if panics.contain_async(Foreign::Task, task).await.is_none() {
            fail(&conn);
        }
    })
}

fn fail(conn: &Weak<Conn>) {
    if let Some(conn) = conn.upgrade() {
        conn.fail(panicked());
    }
}

/// The error of a connection that failed because a task panicked.
pub(crate) fn panicked() -> Error {
    Error::new(ErrorKind::ConnectionClosed, "a task of the connection panicked")
}
