//! Looks again for the queues of consumers that were brought back.
//!
//! A cluster whose node died may take a transient queue away, by its name, after we have declared
//! it anew at another node: the list of what died with the node was made before. The consumer then
//! waits at a queue without a name for ever. So its name is asked for some time later, when the
//! cluster has settled, and a consumer whose queue is gone is made again. Not here: how (`repair`).

use std::rc::Rc;
use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, queue};
use amq_protocol::types::FieldTable;

use super::conn::Conn;
use super::repair;
use crate::proto::short;
use crate::reactor;

/// When it is looked, each from the last: a second, five and thirty after the consumer was back.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(25)];
const NOT_FOUND: u16 = 404;

/// Watches a consumer that was just brought back, as long as its channel lives.
pub(super) fn start(conn: &Rc<Conn>, number: u16, tag: &str) {
    let Ok(epoch) = conn.with_channel(number, |seat| seat.epoch()) else { return };
    let (conn, tag) = (Rc::downgrade(conn), tag.to_owned());
    reactor::spawn(async move {
        for pause in PAUSES {
            reactor::sleep(pause).await;
            let Some(conn) = conn.upgrade().filter(|conn| is_same(conn, number, epoch)) else {
                return;
            };
            let queue = conn.with_consumer(number, &tag, |consumer| {
                let is_settled = !consumer.starting && !consumer.leaving;
                is_settled.then(|| consumer.request.queue.clone())
            });
            let Some(Some(queue)) = queue else { return };
            if is_gone(&conn, number, &queue).await {
                tracing::warn!(
                    name: "leveret.engine.queue.gone",
                    queue, consumer_tag = tag, "a queue is gone, and is made again"
                );
                repair::anew(&conn, number, &tag).await;
                return;
            }
        }
    });
}

fn is_same(conn: &Conn, number: u16, epoch: u32) -> bool {
    !conn.is_down() && conn.with_channel(number, |seat| seat.epoch()).ok() == Some(epoch)
}

async fn is_gone(conn: &Rc<Conn>, number: u16, name: &str) -> bool {
    let passive = AMQPClass::Queue(queue::AMQPMethod::Declare(queue::Declare {
        queue: short(name),
        passive: true,
        durable: false,
        exclusive: false,
        auto_delete: false,
        nowait: false,
        arguments: FieldTable::default(),
    }));
    let asked = repair::replay_aside(conn, vec![(number, passive)]).await;
    asked.is_err_and(|error| error.reply_code() == Some(NOT_FOUND))
}
