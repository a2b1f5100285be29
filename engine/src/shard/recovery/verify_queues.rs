//! Looks again for the queues of consumers that were brought back.
//!
//! A cluster whose node died may take a transient queue away, by its name, after we have declared
//! it anew at another node: the list of what died with the node was made before. The consumer then
//! waits at a queue without a name for ever. So its name is asked for some time later, when the
//! cluster has settled, and at once when its owner suspects it; a consumer whose queue is gone is
//! made again. Not here: how (`recover`).

use std::rc::{Rc, Weak};
use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, queue};
use amq_protocol::types::FieldTable;

use crate::error::Error;
use crate::proto::short;
use crate::reactor;
use crate::shard::connection::methods::close_method;
use crate::shard::connection::state::Conn;

/// When it is looked, each from the last: a second, five and thirty after the consumer was back.
const CHECK_DELAYS: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(25)];
const NOT_FOUND: u16 = 404;
/// How soon a broker answers a question that somebody waits for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Looks at the queue of a consumer that was just brought back, as long as its channel lives; the
/// queue's name once it is gone.
pub(crate) async fn until_gone(
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

/// Looks at once at the queue of a consumer; its name if it is gone or not well. A broker that does
/// not answer soon is left for another.
pub(crate) async fn unless_well(
    conn: &Rc<Conn>,
    number: u16,
    tag: &str,
    is_well: impl Fn(&queue::DeclareOk) -> bool,
) -> Option<String> {
    let queue = settled_queue(conn, number, tag)?;
    match reactor::within(ANSWER_TIMEOUT, query_queue(conn, &queue)).await {
        None => {
            conn.fail_unresponsive(Error::timed_out("a question for a queue"));
            None
        }
        Some(Ok(found)) if is_well(&found) => None,
        Some(Err(error)) if error.reply_code() != Some(NOT_FOUND) => None,
        Some(_) => Some(queue),
    }
}

/// The queue of a consumer that is neither beginning nor ending.
fn settled_queue(conn: &Conn, number: u16, tag: &str) -> Option<String> {
    let queue = conn.with_consumer(number, tag, |consumer| {
        let is_settled = !consumer.is_starting && !consumer.is_cancelling;
        is_settled.then(|| consumer.request.queue.clone())
    });
    queue.flatten()
}

/// Asks for a queue by its name, on a channel of its own.
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
