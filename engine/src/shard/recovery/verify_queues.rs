//! Checks the queues of consumers that were subscribed again.
//!
//! When a node of a cluster dies, the cluster may delete a transient queue by its name after the
//! client has declared it again on another node, because the list of queues to delete was made
//! before. The consumer then waits for ever at a queue without a name. So the queue is looked up by
//! name some time later, when the cluster has settled, and at once if the owner of the consumer
//! asks. `recover` replaces the consumer if its queue is gone.

use std::rc::{Rc, Weak};
use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, queue};
use amq_protocol::types::FieldTable;

use crate::error::Error;
use crate::proto::short;
use crate::reactor;
use crate::shard::connection::methods::close_method;
use crate::shard::connection::state::Conn;

/// The checks run 1 s, 5 s and 30 s after the consumer was subscribed; these are the pauses between
/// them.
const CHECK_DELAYS: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(25)];
const NOT_FOUND: u16 = 404;
/// How soon a broker has to answer when the owner of a consumer waits.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Checks the queue of a consumer that was subscribed again, as long as its channel lives. Returns
/// the name of the queue once it is gone.
pub(crate) async fn watch_until_gone(
    conn: &Weak<Conn>,
    number: u16,
    epoch: u32,
    tag: &str,
) -> Option<String> {
    for pause in CHECK_DELAYS {
        reactor::sleep(pause).await;
        let conn = conn.upgrade().filter(|conn| !conn.is_epoch_over(number, epoch))?;
        let queue = settled_queue(&conn, number, tag)?;
        let asked = query_queue(&conn, &queue).await;
        if asked.is_err_and(|error| error.reply_code() == Some(NOT_FOUND)) {
            return Some(queue);
        }
    }
    None
}

/// Checks the queue of a consumer at once. Returns its name if it is gone or not healthy. Drops the
/// connection if the broker does not answer soon.
pub(crate) async fn find_unhealthy_queue(
    conn: &Rc<Conn>,
    number: u16,
    tag: &str,
    is_healthy: impl Fn(&queue::DeclareOk) -> bool,
) -> Option<String> {
    let queue = settled_queue(conn, number, tag)?;
    match reactor::within(ANSWER_TIMEOUT, query_queue(conn, &queue)).await {
        None => {
            conn.fail_unresponsive(Error::timed_out("a question for a queue"));
            None
        }
        Some(Ok(found)) if is_healthy(&found) => None,
        Some(Err(error)) if error.reply_code() != Some(NOT_FOUND) => None,
        Some(_) => Some(queue),
    }
}

/// The queue of a consumer that is neither being subscribed nor cancelled.
fn settled_queue(conn: &Conn, number: u16, tag: &str) -> Option<String> {
    let queue = conn.with_consumer(number, tag, |consumer| {
        let is_settled = !consumer.is_starting && !consumer.is_cancelling;
        is_settled.then(|| consumer.request.queue.clone())
    });
    queue.flatten()
}

/// Looks up a queue by name (passive declare), on a channel of its own.
async fn query_queue(conn: &Rc<Conn>, name: &str) -> Result<queue::DeclareOk, Error> {
    let passive = AMQPClass::Queue(queue::AMQPMethod::Declare(queue::Declare {
        queue: short(name),
        passive: true,
        durable: false,
        exclusive: false,
        auto_delete: false,
        nowait: false,
        arguments: FieldTable::default(),
    }));
    let number = conn.free_channel()?;
    conn.open_channel(number).await?;
    let reply = conn.request(number, passive).await?;
    conn.request(number, close_method()).await?;
    match reply {
        AMQPClass::Queue(queue::AMQPMethod::DeclareOk(found)) => Ok(found),
        _ => Err(Error::stopped()),
    }
}
