//! What the broker takes away without being asked is made again: a closed channel, a cancelled
//! consumer.
//!
//! Queues are declared again on a channel of their own, because a refusal ends the channel it was
//! asked on with all who consume there. Invariant: a consumer is tried for as long as its owner
//! wants it, and its status tells why it waits. A step that the broker leaves unanswered ends the
//! connection (`watchdog`), which is then made anew.

use std::rc::Rc;
use std::time::Duration;

use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::queue::DeclareOk;

use crate::error::{Error, ErrorKind};
use crate::reactor;
use crate::shard::border::status::ConnectionState;
use crate::shard::connection::channel_state::Seat;
use crate::shard::connection::consumer::ConsumerSeat;
use crate::shard::connection::methods::{cancelling, closing, open_channel};
use crate::shard::connection::state::{Conn, Repair};
use crate::shard::connection::tasks;
use crate::shard::recovery::verify_queues;

/// How long a channel that is opened anew may take to settle what is under way, what may not be
/// repeated of it, and between looks.
const SETTLE: Duration = Duration::from_millis(100);
const SETTLE_UNREPEATABLE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(5);
/// How long an exchange that was declared again waits for the bindings of its group.
const BOUND_WITHIN: Duration = Duration::from_millis(500);
/// The pauses between attempts for one consumer: they double, up to the bound.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Starts the repairs the last batch asked for; while the connection is being made again,
/// `reconnect` sees to them.
pub(crate) fn start(conn: &Rc<Conn>) {
    if conn.shared.state() == ConnectionState::Connecting {
        return;
    }
    let repairs = std::mem::take(&mut *conn.repairs.borrow_mut());
    for repair in repairs {
        tasks::spawn(conn, carry_out(Rc::clone(conn), repair));
    }
}

async fn carry_out(conn: Rc<Conn>, repair: Repair) {
    match repair {
        Repair::Channel(number, missing) => channel(&conn, number, missing).await,
        Repair::Renew(number) => renew(&conn, number).await,
        Repair::Consumer(number, tag) => consumer(&conn, number, &tag).await,
    }
}

/// Opens a channel again and brings its consumers back. A broker that allows no channel is of no
/// use: the connection is made anew.
async fn channel(conn: &Rc<Conn>, number: u16, missing: Option<String>) {
    // Closed by its owner meanwhile.
    let Ok(epoch) = conn.epoch(number) else { return };
    let opened = open_channel(conn, number).await;
    if let Some(exchange) = missing {
        let intents = conn.topology.borrow().of_exchange(&exchange);
        let declared = replay_aside(conn, intents).await;
        conn.log(|| {
            tracing::warn!(
                name: "leveret.engine.exchange.gone",
                exchange, error = declared.err().map(tracing::field::display),
                "an exchange is gone, and is declared again"
            );
        });
        // What others had bound to it is theirs to declare, before anything is sent there again.
        conn.config.topology_group.audit_and_wait(BOUND_WITHIN).await;
    }
    // Closed meanwhile, or lost with the connection: then `reconnect` opens it again.
    if conn.is_over(number, epoch) {
        return;
    }
    match opened.and_then(|()| conn.let_flow(number, epoch)) {
        Ok(()) => consumers(conn, number),
        Err(error) => conn.fail(error),
    }
}

/// Opens a channel anew that goes on refusing publications: what it refuses is the channel's fault,
/// not the queue's (`nacked`).
async fn renew(conn: &Rc<Conn>, number: u16) {
    // One that has been closed meanwhile is being opened already.
    if !conn.with_channel(number, |seat| seat.is_flowing()).unwrap_or(false) {
        return;
    }
    conn.log(|| {
        tracing::info!(
            name: "leveret.engine.channel.renewed", channel = number,
            "a channel refuses publications, and is opened anew"
        );
    });
    let Ok(epoch) = conn.epoch(number) else { return };
    let _ = conn.with_channel(number, Seat::hold);
    // What is under way there is confirmed or refused first, if that does not take long.
    let settled = async |is_under_way: fn(&mut Seat) -> bool| {
        while conn.with_channel(number, is_under_way).unwrap_or(false) {
            reactor::sleep(LOOK).await;
        }
    };
    let _ = reactor::within(SETTLE, settled(|seat| seat.is_unsettled())).await;
    let unrepeatable = settled(|seat| seat.has_unrepeatable());
    let _ = reactor::within(SETTLE_UNREPEATABLE, unrepeatable).await;
    if conn.is_over(number, epoch) {
        return;
    }
    let closed = conn.request(number, closing()).await;
    // Closed by the broker, or lost with the connection: what repairs that opens it.
    if conn.is_over(number, epoch) {
        return;
    }
    if let Err(error) = closed
        && error.kind() != ErrorKind::ChannelClosed
    {
        return conn.fail(error);
    }
    let error = Error::new(ErrorKind::ChannelClosed, "the channel was opened anew");
    let _ = conn.with_channel(number, |seat| {
        seat.connection_lost(&error, &mut conn.outcomes.borrow_mut());
    });
    conn.tell_outcomes();
    channel(conn, number, None).await;
}

/// Starts to bring back every consumer of a channel.
pub(crate) fn consumers(conn: &Rc<Conn>, number: u16) {
    let tags = conn.with_channel(number, |seat| {
        seat.consumers.iter().map(|c| c.request.consumer_tag.clone()).collect::<Vec<_>>()
    });
    for tag in tags.unwrap_or_default() {
        tasks::spawn(conn, carry_out(Rc::clone(conn), Repair::Consumer(number, tag)));
    }
}

/// Consumes again, unless somebody is at it already.
async fn consumer(conn: &Rc<Conn>, number: u16, tag: &str) {
    if let Some(_claim) = Claim::take(conn, number, tag) {
        restart(conn, number, tag).await;
    }
}

/// Watches a consumer that was just brought back.
fn watch(conn: &Rc<Conn>, number: u16, tag: &str) {
    let Ok(epoch) = conn.epoch(number) else { return };
    let (weak, tag) = (Rc::downgrade(conn), tag.to_owned());
    tasks::spawn(conn, async move {
        let gone = verify_queues::until_gone(&weak, number, epoch, &tag).await;
        if let Some((queue, conn)) = gone.zip(weak.upgrade()) {
            make_anew(&conn, number, &tag, &queue).await;
        }
    });
}

/// Makes sure that a consumer is one: the broker knows its queue and a consumer of it, and holds
/// nothing back.
pub(crate) async fn verify(conn: &Rc<Conn>, number: u16, tag: &str) {
    let is_well = |found: &DeclareOk| found.consumer_count > 0 && found.message_count == 0;
    if let Some(queue) = verify_queues::unless_well(conn, number, tag, is_well).await {
        make_anew(conn, number, tag, &queue).await;
    }
}

/// Makes sure that somebody consumes from the queue of a consumer.
pub(crate) async fn verify_consumed(conn: &Rc<Conn>, number: u16, tag: &str) {
    let is_well = |found: &DeclareOk| found.consumer_count > 0;
    if let Some(queue) = verify_queues::unless_well(conn, number, tag, is_well).await {
        make_anew(conn, number, tag, &queue).await;
    }
}

async fn make_anew(conn: &Rc<Conn>, number: u16, tag: &str, queue: &str) {
    conn.log(|| {
        tracing::warn!(
            name: "leveret.engine.queue.gone",
            queue, consumer_tag = tag, "a queue is gone or deaf, and is consumed anew"
        );
    });
    anew(conn, number, tag).await;
}

/// Consumes anew from a queue that has gone without a word: the broker thinks the consumer alive,
/// so it is cancelled first.
async fn anew(conn: &Rc<Conn>, number: u16, tag: &str) {
    if let Some(_claim) = Claim::take(conn, number, tag)
        && conn.request(number, cancelling(tag)).await.is_ok()
    {
        restart(conn, number, tag).await;
    }
}

/// Makes a consumer again, alone; until dropped, also by a task that panics.
struct Claim<'a> {
    conn: &'a Conn,
    number: u16,
    tag: &'a str,
}

impl<'a> Claim<'a> {
    /// Takes it on, unless the consumer leaves or somebody is at it already.
    fn take(conn: &'a Conn, number: u16, tag: &'a str) -> Option<Self> {
        let claim = |consumer: &mut ConsumerSeat| {
            !consumer.leaving && !std::mem::replace(&mut consumer.starting, true)
        };
        let is_taken = conn.with_consumer(number, tag, claim) == Some(true);
        // Lazily: one that is made is dropped, and that ends the claim of another.
        is_taken.then(|| Self { conn, number, tag })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.conn.with_consumer(self.number, self.tag, |consumer| consumer.starting = false);
    }
}

/// Tries until it consumes, its owner cancels it, or the connection is lost; the queue is declared
/// again where this connection had declared it.
async fn restart(conn: &Rc<Conn>, number: u16, tag: &str) {
    let mut pause = PAUSE;
    while !conn.is_down() && !conn.stopping.get() {
        match consume(conn, number, tag).await {
            Ok(()) => {
                consumes(conn, number, tag);
                return watch(conn, number, tag);
            }
            // The reason of every consumer is then the connection's.
            Err(_) if conn.is_down() => return,
            Err(error) => waits(conn, number, tag, &error),
        }
        let interrupted = conn.until(|conn| conn.is_down() || conn.stopping.get());
        let _ = reactor::within(pause.mul_f64(0.75 + fastrand::f64() / 4.0), interrupted).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// The consumer consumes: its status and the log say so, if they did not.
fn consumes(conn: &Conn, number: u16, tag: &str) {
    if conn.with_consumer(number, tag, |consumer| consumer.shared.consumes()) == Some(true) {
        conn.log(|| {
            tracing::info!(
                name: "leveret.engine.consumer.back",
                channel = number, consumer_tag = tag, "a consumer consumes again"
            );
        });
    }
}

/// The consumer waits: its status and the log say so, once for each reason.
fn waits(conn: &Conn, number: u16, tag: &str, reason: &Error) {
    let waits = |consumer: &mut ConsumerSeat| {
        consumer.shared.waits(reason).then(|| consumer.request.queue.clone())
    };
    if let Some(Some(queue)) = conn.with_consumer(number, tag, waits) {
        conn.log(|| {
            tracing::warn!(
                name: "leveret.engine.consumer.waiting",
                channel = number, consumer_tag = tag, queue, error = %reason,
                "a consumer cannot consume; it is tried again"
            );
        });
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
pub(crate) async fn replay(conn: &Rc<Conn>, intents: Vec<(u16, AMQPClass)>) -> Result<(), Error> {
    for (channel, method) in intents {
        let Some(channel) = conn.open_number(channel) else { return Ok(()) };
        conn.request(channel, method).await?;
    }
    Ok(())
}

/// Declares again on a channel that nobody else uses. Where the broker allows none, the channels of
/// the declarations have to do.
pub(crate) async fn replay_aside(
    conn: &Rc<Conn>,
    intents: Vec<(u16, AMQPClass)>,
) -> Result<(), Error> {
    if intents.is_empty() {
        return Ok(());
    }
    let _alone = conn.recovery_channel.lock().await;
    let opened = match conn.free_channel() {
        Ok(number) => conn.open_channel(number).await.ok().map(|_| number),
        Err(_) => None,
    };
    let Some(number) = opened else { return replay(conn, intents).await };
    for (_, method) in intents {
        if conn.topology.borrow().wants(&method) {
            // A refusal has closed it.
            conn.request(number, method).await?;
        }
    }
    conn.request(number, closing()).await.map(drop)
}
