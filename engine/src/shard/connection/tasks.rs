//! Tasks of a connection. One that panics fails the connection, which is then made again.
//!
//! Invariant: no task of a connection ends unnoticed, so a mistake of ours costs a reconnect and
//! never leaves a connection that is open and dead. Not here: what the tasks do.

use std::future::Future;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::error::{Error, ErrorKind};
use crate::reactor;
use crate::shard::connection::state::Conn;
use crate::shard::panics::Foreign;

/// Starts a task. It keeps the connection alive only if it does so itself.
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

/// Why a connection failed of which a task panicked.
pub(crate) fn panicked() -> Error {
    Error::new(ErrorKind::ConnectionClosed, "a task of the connection panicked")
}
