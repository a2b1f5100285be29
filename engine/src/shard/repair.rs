//! What the broker takes away without being asked is made again: a closed channel, a cancelled
//! consumer.
//!
//! Invariant: never silently idle: a consumer that cannot be made again ends with a typed error.

use std::rc::Rc;
use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, basic};

use super::conn::{Conn, ConsumerSeat, Repair};
use super::operation::open_channel;
use super::shared::ConnectionState;
use crate::proto::short;
use crate::{Error, reactor};

/// Attempts for one consumer, with pauses that double from `PAUSE`: about 13 s in all, longer than
/// RabbitMQ holds an exclusive queue for a connection whose end it has not noticed yet.
const ATTEMPTS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(50);

/// Starts the repairs the last batch asked for; while the connection is being made again, `redial`
/// sees to them.
pub(super) fn start(conn: &Rc<Conn>) {
    if conn.shared.state() == ConnectionState::Connecting {
        return;
    }
    let repairs = std::mem::take(&mut *conn.repairs.borrow_mut());
    for repair in repairs {
        let conn = Rc::clone(conn);
        reactor::spawn(async move {
            match repair {
                Repair::Channel(number) => {
                    if let Err(error) = channel(&conn, number).await
                        && !conn.is_down()
                    {
                        conn.remove_channel(number, &error);
                    }
                }
                Repair::Consumer(number, tag) => consumer(&conn, number, &tag).await,
            }
        });
    }
}

/// Opens a channel again and brings its consumers back.
async fn channel(conn: &Rc<Conn>, number: u16) -> Result<(), Error> {
    // Closed by its owner meanwhile.
    conn.with_channel(number, |_| ())?;
    open_channel(conn, number).await?;
    conn.let_flow(number)?;
    consumers(conn, number);
    Ok(())
}

/// Starts to bring back every consumer of a channel.
pub(super) fn consumers(conn: &Rc<Conn>, number: u16) {
    let tags = conn.with_channel(number, |seat| {
        seat.consumers.iter().map(|c| c.request.consumer_tag.clone()).collect::<Vec<_>>()
    });
    for tag in tags.unwrap_or_default() {
        let conn = Rc::clone(conn);
        reactor::spawn(async move { consumer(&conn, number, &tag).await });
    }
}

/// Consumes again, unless somebody is at it already.
async fn consumer(conn: &Rc<Conn>, number: u16, tag: &str) {
    let claim = |consumer: &mut ConsumerSeat| {
        !consumer.leaving && !std::mem::replace(&mut consumer.starting, true)
    };
    if conn.with_consumer(number, tag, claim) == Some(true) {
        restart(conn, number, tag).await;
        conn.with_consumer(number, tag, |consumer| consumer.starting = false);
    }
}

/// Tries for a while; the queue is declared again where this connection had declared it.
async fn restart(conn: &Rc<Conn>, number: u16, tag: &str) {
    let mut last = Error::stopped();
    for attempt in 0..ATTEMPTS {
        if conn.is_down() || conn.stopping.get() {
            return;
        }
        match consume(conn, number, tag).await {
            Ok(()) => return,
            Err(error) => last = error,
        }
        reactor::sleep(PAUSE * (1 << attempt)).await;
    }
    if let Some(mut seat) = conn.remove_consumer(number, tag).filter(|_| !conn.is_down()) {
        tracing::error!(channel = number, consumer_tag = tag, error = %last, "a consumer is lost");
        seat.sink.ended(Some(last));
    }
}

async fn consume(conn: &Rc<Conn>, number: u16, tag: &str) -> Result<(), Error> {
    let request = conn.with_consumer(number, tag, |consumer| {
        (!consumer.leaving).then(|| {
            consumer.sink.resuming(&mut consumer.request.arguments);
            consumer.request.clone()
        })
    });
    // Cancelled by its owner meanwhile.
    let Some(Some(request)) = request else { return Ok(()) };
    conn.flowing(number).await?;
    let intents = conn.topology.borrow().of_queue(&request.queue);
    replay(conn, intents).await?;
    if conn.with_consumer(number, tag, |consumer| consumer.leaving) != Some(false) {
        return Ok(());
    }
    conn.request(number, request.method()).await?;
    if conn.with_consumer(number, tag, |_| ()).is_none() {
        // Its owner gave up waiting for the end of it.
        let cancel = basic::Cancel { consumer_tag: short(tag), nowait: false };
        conn.request(number, AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel))).await?;
    }
    Ok(())
}

/// Declares again, in order. The first failure ends it.
pub(super) async fn replay(conn: &Rc<Conn>, intents: Vec<(u16, AMQPClass)>) -> Result<(), Error> {
    for (channel, method) in intents {
        let Some(channel) = conn.open_number(channel) else { return Ok(()) };
        conn.request(channel, method).await?;
    }
    Ok(())
}
