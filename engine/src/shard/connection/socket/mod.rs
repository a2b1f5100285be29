//! One live socket: starts its tasks and ends them.
//!
//! This joins the protocol state machine, which knows no sockets, and the reactor, which knows no
//! AMQP. The tasks share a stream: one reads, one writes, others keep the timers. A read is never
//! cancelled, so a task that wants it to end shuts the socket down.

mod reader;
mod timers;
mod writer;

use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use crate::reactor::{self, Stream};
use crate::shard::connection::state::Conn;
use crate::shard::connection::{tasks, watchdog};

/// How long the last writes of a socket that is down may take. Applies twice.
const LAST_WRITES_TIMEOUT: Duration = Duration::from_millis(100);

/// What recovery does while a socket is up.
pub(crate) struct RecoveryHooks {
    /// Starts the recovery tasks that the last batch requested.
    pub(crate) start_recovery: fn(&Rc<Conn>),
    /// Tasks that run until the socket is down.
    pub(crate) tasks: Vec<Pin<Box<dyn Future<Output = ()>>>>,
}

/// Runs a socket until it is down. Returns when no operation is left on it.
pub(crate) async fn run<S: Stream>(conn: Rc<Conn>, stream: S, hooks: RecoveryHooks) {
    let stream = Rc::new(stream);
    // A panic in a task fails the connection, and that ends the other tasks.
    let read_task = reader::read(Rc::clone(&conn), Rc::clone(&stream), hooks.start_recovery);
    let read_task = tasks::spawn(&conn, read_task);
    let mut write_task = tasks::spawn(&conn, writer::write(Rc::clone(&conn), Rc::clone(&stream)));
    let own = [
        tasks::spawn(&conn, timers::run_heartbeats(Rc::clone(&conn))),
        tasks::spawn(&conn, timers::flush_deferred_acks(Rc::clone(&conn))),
        tasks::spawn(&conn, timers::confirm_together(Rc::clone(&conn))),
        tasks::spawn(&conn, timers::resend_nacked(Rc::clone(&conn))),
        tasks::spawn(&conn, watchdog::run(Rc::clone(&conn))),
    ];
    let beside: Vec<_> = hooks.tasks.into_iter().map(|task| tasks::spawn(&conn, task)).collect();
    conn.wait_until(|conn| conn.is_down()).await;
    own.iter().chain(&beside).for_each(tokio::task::JoinHandle::abort);
    // The `close-ok` may still wait to be sent, behind what the writer is sending.
    let written = reactor::within(LAST_WRITES_TIMEOUT, &mut write_task).await.is_some();
    if written {
        let last = async {
            writer::flush_control(&conn, &*stream).await;
            stream.close().await;
        };
        let _ = reactor::within(LAST_WRITES_TIMEOUT, last).await;
    }
    stream.shutdown();
    // Both end: after the shutdown the read completes and the write fails.
    let _ = read_task.await;
    if !written {
        let _ = write_task.await;
    }
}
