//! Finds exchanges, queues and bindings of a connection that were deleted without its knowledge.
//!
//! The audit declares again what the connection has declared, which changes nothing for entities
//! that exist. It runs at an interval, and at once when the broker reports an entity of the
//! connection, or of another one in the same [`TopologyGroup`](crate::TopologyGroup), as missing
//! (404). What was deleted through this connection is not declared. Invariant: the audit sends at
//! most one frame per millisecond, on a channel of its own.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, queue};

use crate::error::Error;
use crate::reactor;
use crate::shard::connection::methods::close_method;
use crate::shard::connection::state::Conn;
use crate::shard::connection::tasks;
use crate::shard::recovery::recover;

/// How long a queue may report no consumers before its consumer is replaced. A queue whose leader
/// is being elected reports none either.
const UNCONSUMED_GRACE: Duration = Duration::from_secs(1);
/// The argument that marks a consumer of a stream. Streams do not report their consumers.
const STREAM_OFFSET: &str = "x-stream-offset";
/// The pause between two frames.
const FRAME_INTERVAL: Duration = Duration::from_millis(1);

/// Audits the connection of one socket until it is down.
pub(crate) async fn run(conn: Rc<Conn>) {
    let group = &conn.config.topology_group;
    let interval = conn.config.audit_interval;
    conn.wait_until(|conn| conn.is_usable()).await;
    let mut asked = group.watch();
    let member = group.join();
    loop {
        let change = asked.changed();
        if interval.is_zero() {
            let _ = change.await;
        } else {
            // Randomized, so that the clients of a broker do not audit at the same time.
            let _ = reactor::within(interval.mul_f64(0.75 + fastrand::f64() / 2.0), change).await;
        }
        let number = *asked.borrow_and_update();
        if conn.is_usable() {
            audit(&conn).await;
        }
        group.finish(&member, number);
    }
}

/// Declares everything again. Logs a refusal if it is new, and goes on with the next declaration.
async fn audit(conn: &Rc<Conn>) {
    let intents = conn.topology.borrow().intents();
    let mut refused = BTreeSet::new();
    let mut unconsumed = Vec::new();
    let mut rest = intents.into_iter().map(|(_, method)| method).peekable();
    while rest.peek().is_some() && conn.is_usable() {
        let opened = match conn.free_channel() {
            Ok(number) => conn.open_channel(number).await.map(|_| number),
            Err(error) => Err(error),
        };
        let Ok(number) = opened else { return };
        let ended = declare(conn, number, &mut rest, &mut unconsumed).await;
        if ended.is_none() {
            let _ = conn.request(number, close_method()).await;
        }
        refused.extend(ended.map(|error| error.to_string()));
    }
    conn.log_refused(refused);
    for (channel, tag) in unconsumed.iter().flat_map(|queue| conn.consumers_of(queue)) {
        let started = Rc::clone(conn);
        tasks::spawn(conn, async move {
            reactor::sleep(UNCONSUMED_GRACE).await;
            recover::verify_consumed(&started, channel, &tag).await;
        });
    }
}

/// Declares one after the other until the broker refuses one, which closes the channel. Returns the
/// refusal.
async fn declare(
    conn: &Rc<Conn>,
    number: u16,
    rest: &mut impl Iterator<Item = AMQPClass>,
    unconsumed: &mut Vec<String>,
) -> Option<Error> {
    for method in rest {
        // The guard keeps a deletion from running between the check and the reply.
        let guard = conn.recovery_channel.lock().await;
        if !conn.topology.borrow().is_wanted(&method) {
            continue;
        }
        match conn.request(number, method).await {
            Err(error) => return Some(error),
            Ok(AMQPClass::Queue(queue::AMQPMethod::DeclareOk(ok))) if ok.consumer_count == 0 => {
                unconsumed.push(ok.queue.to_string());
            }
            Ok(_) => {}
        }
        drop(guard);
        reactor::sleep(FRAME_INTERVAL).await;
    }
    None
}

impl Conn {
    /// Whether the connection is open and not about to end.
    fn is_usable(&self) -> bool {
        use crate::shard::border::status::ConnectionState::{Blocked, Open};
        let is_open = matches!(self.shared.status.state(), Open | Blocked(_));
        is_open && !self.is_down() && !self.stopping.get()
    }

    /// The consumers of a queue that are subscribed, by channel and tag.
    fn consumers_of(&self, queue: &str) -> Vec<(u16, String)> {
        let channels = self.channels.borrow();
        let all = channels.iter().flat_map(|(number, state)| {
            state.deliveries.consumers.iter().map(move |consumer| (*number, consumer))
        });
        let idle = all.filter(|(_, consumer)| {
            let is_stream = consumer.request.arguments.inner().contains_key(STREAM_OFFSET);
            consumer.request.queue == queue
                && !consumer.is_starting
                && !consumer.is_cancelling
                && !is_stream
        });
        idle.map(|(number, consumer)| (number, consumer.request.consumer_tag.clone())).collect()
    }

    /// Logs the refusals that the last audit did not have.
    fn log_refused(&self, refused: BTreeSet<String>) {
        let known = self.refused_intents.replace(refused);
        for error in self.refused_intents.borrow().difference(&known) {
            self.log(|| {
                tracing::warn!(
                    name: "leveret.engine.declaration.not_replayed",
                    %error, "a declaration could not be replayed"
                );
            });
        }
    }
}
