//! Finds what a broker took away without telling: exchanges, queues and bindings of this connection
//! that somebody deleted.
//!
//! What the connection has declared is declared again, which changes nothing where it is there: at
//! a slow beat, and at once when the broker names something of it as missing (404), here or on
//! another connection of the same [`TopologyGroup`]. What was deleted through this connection is
//! not among it. Invariant: at most one frame a millisecond, on a channel of its own.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, queue};
use tokio::sync::watch;

use super::conn::Conn;
use super::operation::closing;
use super::recheck;
use crate::{Error, reactor};

/// How long a queue may be without consumers before that is believed: a queue whose leader is being
/// elected says so, too.
const UNCONSUMED_FOR: Duration = Duration::from_secs(1);
/// What a stream's consumer says where it goes on; streams do not count their consumers.
const STREAM_OFFSET: &str = "x-stream-offset";
/// Between two frames.
const PACE: Duration = Duration::from_millis(1);

/// Connections that tell each other when something they declared is gone: all of them then look at
/// once whether theirs is. Clones are one group.
///
/// ```
/// use leveret_engine::{ConnectionConfig, TopologyGroup};
///
/// let group = TopologyGroup::default();
/// let mut publishing = ConnectionConfig::to("localhost", 5672);
/// publishing.topology_group = group.clone();
/// let mut consuming = ConnectionConfig::to("localhost", 5672);
/// consuming.topology_group = group;
/// ```
#[derive(Clone, Debug)]
pub struct TopologyGroup(Arc<watch::Sender<u64>>);

impl Default for TopologyGroup {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl TopologyGroup {
    /// Has every connection of the group look at once whether what it declared is still there.
    pub fn audit(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

/// Audits one socket's connection until it is down.
pub(super) async fn run(conn: Rc<Conn>) {
    let mut announced = conn.config.topology_group.subscribe();
    let interval = conn.config.audit_interval;
    conn.until(|conn| conn.is_usable()).await;
    loop {
        let asked = announced.changed();
        if interval.is_zero() {
            let _ = asked.await;
        } else {
            // Spread, so that the clients of a broker do not audit together.
            let _ = reactor::within(interval.mul_f64(0.75 + fastrand::f64() / 2.0), asked).await;
        }
        announced.mark_unchanged();
        if conn.is_usable() {
            audit(&conn).await;
        }
    }
}

/// Declares everything again; what is refused is logged when it is news, and skipped.
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
            let _ = conn.request(number, closing()).await;
        }
        refused.extend(ended.map(|error| error.to_string()));
    }
    conn.tell_refused(refused);
    for queue in unconsumed {
        for (channel, tag) in conn.consumers_of(&queue) {
            reactor::sleep(UNCONSUMED_FOR).await;
            recheck::verify_consumed(conn, channel, &tag).await;
        }
    }
}

/// Declares one after the other until one is refused, which ends the channel.
async fn declare(
    conn: &Rc<Conn>,
    number: u16,
    rest: &mut impl Iterator<Item = AMQPClass>,
    unconsumed: &mut Vec<String>,
) -> Option<Error> {
    for method in rest {
        // Nobody deletes it between the question and the answer.
        let alone = conn.recovery_channel.lock().await;
        if !conn.topology.borrow().wants(&method) {
            continue;
        }
        match conn.request(number, method).await {
            Err(error) => return Some(error),
            Ok(AMQPClass::Queue(queue::AMQPMethod::DeclareOk(ok))) if ok.consumer_count == 0 => {
                unconsumed.push(ok.queue.to_string());
            }
            Ok(_) => {}
        }
        drop(alone);
        reactor::sleep(PACE).await;
    }
    None
}

impl Conn {
    /// Open, and not on its way to anything else.
    fn is_usable(&self) -> bool {
        use super::shared::ConnectionState::{Blocked, Open};
        let is_open = matches!(self.shared.state(), Open | Blocked(_));
        is_open && !self.is_down() && !self.stopping.get()
    }

    /// The consumers of a queue that should be consuming, by channel and tag.
    fn consumers_of(&self, queue: &str) -> Vec<(u16, String)> {
        let channels = self.channels.borrow();
        let all = channels.iter().flat_map(|(number, seat)| {
            seat.consumers.iter().map(move |consumer| (*number, consumer))
        });
        let idle = all.filter(|(_, one)| {
            let is_stream = one.request.arguments.inner().contains_key(STREAM_OFFSET);
            one.request.queue == queue && !one.starting && !one.leaving && !is_stream
        });
        idle.map(|(number, one)| (number, one.request.consumer_tag.clone())).collect()
    }

    /// Logs what the last audit did not find refused.
    fn tell_refused(&self, refused: BTreeSet<String>) {
        let known = self.refused_intents.replace(refused);
        for error in self.refused_intents.borrow().difference(&known) {
            tracing::warn!(
                name: "leveret.engine.declaration.not_replayed",
                %error, "a declaration could not be replayed"
            );
        }
    }
}
