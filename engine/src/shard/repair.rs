//! What the broker takes away without being asked is made again: a closed channel, a cancelled
//! consumer.
//!
//! Queues are declared again on a channel of their own, because a refusal ends the channel it was
//! asked on with all who consume there. Invariant: never silently idle: a consumer that cannot be
//! made again ends with a typed error. An exclusive queue of ours that the broker still keeps for
//! our last connection (405), whose end it has not noticed, is waited for as long as it takes.

use std::rc::Rc;
use std::time::Duration;

use amq_protocol::protocol::AMQPClass;

use super::conn::{Conn, ConsumerSeat, Repair};
use super::operation::{cancelling, closing, open_channel};
use super::recheck;
use super::shared::ConnectionState;
use crate::{Error, reactor};

/// Attempts for one consumer, with pauses that double from `PAUSE` to `PAUSE_MAX`: about 12 s in
/// all.
const ATTEMPTS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// RESOURCE_LOCKED: exclusive to another connection.
const LOCKED: u16 = 405;

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
    if claim(conn, number, tag) {
        restart(conn, number, tag).await;
        conn.with_consumer(number, tag, |consumer| consumer.starting = false);
    }
}

/// Consumes anew from a queue that has gone without a word: the broker thinks the consumer alive,
/// so it is cancelled first.
pub(super) async fn anew(conn: &Rc<Conn>, number: u16, tag: &str) {
    if claim(conn, number, tag) {
        if conn.request(number, cancelling(tag)).await.is_ok() {
            restart(conn, number, tag).await;
        }
        conn.with_consumer(number, tag, |consumer| consumer.starting = false);
    }
}

/// Takes it on to make a consumer again, unless it leaves or somebody is at it already.
fn claim(conn: &Conn, number: u16, tag: &str) -> bool {
    let claim = |consumer: &mut ConsumerSeat| {
        !consumer.leaving && !std::mem::replace(&mut consumer.starting, true)
    };
    conn.with_consumer(number, tag, claim) == Some(true)
}

/// Tries for a while; the queue is declared again where this connection had declared it.
async fn restart(conn: &Rc<Conn>, number: u16, tag: &str) {
    let mut last = Error::stopped();
    let (mut attempts, mut pause) = (0, PAUSE);
    while attempts < ATTEMPTS {
        if conn.is_down() || conn.stopping.get() {
            return;
        }
        match consume(conn, number, tag).await {
            Ok(()) => return recheck::start(conn, number, tag),
            Err(error) => last = error,
        }
        if last.reply_code() == Some(LOCKED) && is_own(conn, number, tag) {
            tracing::info!(
                name: "leveret.engine.consumer.waiting",
                channel = number, consumer_tag = tag, error = %last, "still waiting"
            );
        } else {
            attempts += 1;
        }
        reactor::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    if let Some(mut seat) = conn.remove_consumer(number, tag).filter(|_| !conn.is_down()) {
        tracing::error!(
            name: "leveret.engine.consumer.lost",
            channel = number, consumer_tag = tag, error = %last, "a consumer is lost"
        );
        seat.sink.ended(Some(last));
    }
}

/// Whether this connection had declared the consumer's queue.
fn is_own(conn: &Conn, number: u16, tag: &str) -> bool {
    let declares = |seat: &mut ConsumerSeat| conn.topology.borrow().declares(&seat.request.queue);
    conn.with_consumer(number, tag, declares) == Some(true)
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
    replay_aside(conn, intents).await?;
    if conn.with_consumer(number, tag, |consumer| consumer.leaving) != Some(false) {
        return Ok(());
    }
    conn.request(number, request.method()).await?;
    if conn.with_consumer(number, tag, |_| ()).is_none() {
        // Its owner gave up waiting for the end of it.
        conn.request(number, cancelling(tag)).await?;
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

/// Declares again on a channel that nobody else uses. Where the broker allows none, the channels of
/// the declarations have to do.
pub(super) async fn replay_aside(
    conn: &Rc<Conn>,
    intents: Vec<(u16, AMQPClass)>,
) -> Result<(), Error> {
    if intents.is_empty() {
        return Ok(());
    }
    let mut aside = conn.aside.lock().await;
    *aside = aside.or_else(|| conn.shared.next_channel(conn.config.channel_max));
    let opened = match *aside {
        Some(number) => conn.open_channel(number).await.ok().map(|_| number),
        None => None,
    };
    let Some(number) = opened else { return replay(conn, intents).await };
    for (_, method) in intents {
        // A refusal has closed it.
        conn.request(number, method).await?;
    }
    conn.request(number, closing()).await.map(drop)
}
