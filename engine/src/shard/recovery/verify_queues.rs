//! Looks again for the queues of consumers that were brought back.
//!
//! A cluster whose node died may take a transient queue away, by its name, after we have declared
//! it anew at another node: the list of what died with the node was made before. The consumer then
//! waits at a queue without a name for ever. So its name is asked for some time later, when the
//! cluster has settled, and at once when its owner suspects it; a consumer whose queue is gone is
//! made again. Not here: how (`recover`).

use std::rc::Rc;
use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, queue};
use amq_protocol::types::FieldTable;

use crate::proto::short;
use crate::shard::connection::operations::closing;
use crate::shard::connection::state::Conn;
use crate::shard::connection::tasks;
use crate::shard::recovery::recover;
use crate::{Error, reactor};

/// When it is looked, each from the last: a second, five and thirty after the consumer was back.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(25)];
const NOT_FOUND: u16 = 404;
/// How soon a broker answers a question that somebody waits for.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Watches a consumer that was just brought back, as long as its channel lives.
pub(crate) fn start(conn: &Rc<Conn>, number: u16, tag: &str) {
    let Ok(epoch) = conn.epoch(number) else { return };
    let (weak, tag) = (Rc::downgrade(conn), tag.to_owned());
    tasks::spawn(conn, async move {
        for pause in PAUSES {
            reactor::sleep(pause).await;
            let Some(conn) = weak.upgrade().filter(|conn| !conn.is_over(number, epoch)) else {
                return;
            };
            let queue = conn.with_consumer(number, &tag, |consumer| {
                let is_settled = !consumer.starting && !consumer.leaving;
                is_settled.then(|| consumer.request.queue.clone())
            });
            let Some(Some(queue)) = queue else { return };
            let asked = ask(&conn, &queue).await;
            if asked.is_err_and(|error| error.reply_code() == Some(NOT_FOUND)) {
                make_anew(&conn, number, &tag, &queue).await;
                return;
            }
        }
    });
}

/// Looks at once whether a consumer is one: the broker knows its queue and a consumer of it, and
/// holds nothing back.
pub(crate) async fn verify(conn: &Rc<Conn>, number: u16, tag: &str) {
    verify_by(conn, number, tag, |found| found.consumer_count > 0 && found.message_count == 0)
        .await;
}

/// Looks at once whether somebody consumes from the queue of a consumer.
pub(crate) async fn verify_consumed(conn: &Rc<Conn>, number: u16, tag: &str) {
    verify_by(conn, number, tag, |found| found.consumer_count > 0).await;
}

/// A broker that does not answer soon is left for another.
async fn verify_by(
    conn: &Rc<Conn>,
    number: u16,
    tag: &str,
    is_well: impl Fn(&queue::DeclareOk) -> bool,
) {
    let queue = conn.with_consumer(number, tag, |consumer| {
        let is_settled = !consumer.starting && !consumer.leaving;
        is_settled.then(|| consumer.request.queue.clone())
    });
    let Some(Some(queue)) = queue else { return };
    match reactor::within(ANSWER_WITHIN, ask(conn, &queue)).await {
        None => conn.fail_silent(Error::timed_out("a question for a queue")),
        Some(Ok(found)) if is_well(&found) => {}
        Some(Err(error)) if error.reply_code() != Some(NOT_FOUND) => {}
        Some(_) => make_anew(conn, number, tag, &queue).await,
    }
}

async fn make_anew(conn: &Rc<Conn>, number: u16, tag: &str, queue: &str) {
    conn.log(|| {
        tracing::warn!(
            name: "leveret.engine.queue.gone",
            queue, consumer_tag = tag, "a queue is gone or deaf, and is consumed anew"
        );
    });
    recover::anew(conn, number, tag).await;
}

/// Asks for a queue by its name, on a channel of its own.
async fn ask(conn: &Rc<Conn>, name: &str) -> Result<queue::DeclareOk, Error> {
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
    conn.request(number, closing()).await?;
    match reply {
        AMQPClass::Queue(queue::AMQPMethod::DeclareOk(found)) => Ok(found),
        _ => Err(Error::stopped()),
    }
}
