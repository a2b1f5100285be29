//! Everything a handle asks of its connection that is no publication, and how it is carried out.
//!
//! Invariant: every request ends in one answer before its deadline. What was declared is remembered
//! as an intent only after the broker agreed. Not here: recovery (`reconnect`).

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, basic, channel, confirm};
use amq_protocol::types::FieldTable;
use tokio::sync::oneshot;

use crate::proto::short;
use crate::shard::border::consumer_status::ConsumerShared;
use crate::shard::border::shared::{ChannelShared, Request};
use crate::shard::border::sink::ContainedSink;
use crate::shard::connection::channel_state::Seat;
use crate::shard::connection::state::{Conn, ConsumerSeat};
use crate::shard::recovery::verify_queues;
use crate::{ChannelOptions, Error, ErrorKind, reactor};

/// How long the tasks of an abandoned socket may take to end.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// What can be asked.
pub(crate) enum Operation {
    OpenChannel(ChannelOptions),
    /// A method with an answer; `keep` makes it an intent, replayed after a reconnect.
    Method {
        channel: u16,
        method: AMQPClass,
        keep: bool,
    },
    Consume {
        channel: u16,
        consume: ConsumeRequest,
        sink: ContainedSink,
        shared: Arc<ConsumerShared>,
    },
    Cancel {
        channel: u16,
        consumer_tag: String,
    },
    /// Makes sure that a consumer is one.
    Verify {
        channel: u16,
        consumer_tag: String,
    },
    CloseChannel {
        channel: u16,
    },
    CloseConnection,
}

impl Operation {
    /// The channel that must be open for it.
    fn channel(&self) -> Option<u16> {
        match self {
            Self::Method { channel, .. }
            | Self::Consume { channel, .. }
            | Self::Cancel { channel, .. } => Some(*channel),
            Self::OpenChannel(_)
            | Self::Verify { .. }
            | Self::CloseChannel { .. }
            | Self::CloseConnection => None,
        }
    }

    /// The consumer that ends by it: its channel and tag.
    fn ending(&self) -> Option<(u16, String)> {
        match self {
            Self::Cancel { channel, consumer_tag } => Some((*channel, consumer_tag.clone())),
            _ => None,
        }
    }
}

/// `basic.consume`, without what the connection fills in.
#[derive(Clone, Debug)]
pub(crate) struct ConsumeRequest {
    pub(crate) queue: String,
    pub(crate) consumer_tag: String,
    pub(crate) no_ack: bool,
    pub(crate) exclusive: bool,
    pub(crate) arguments: FieldTable,
}

impl ConsumeRequest {
    pub(crate) fn method(&self) -> AMQPClass {
        AMQPClass::Basic(basic::AMQPMethod::Consume(basic::Consume {
            queue: short(&self.queue),
            consumer_tag: short(&self.consumer_tag),
            no_local: false,
            no_ack: self.no_ack,
            exclusive: self.exclusive,
            nowait: false,
            arguments: self.arguments.clone(),
        }))
    }
}

/// What is answered.
pub(crate) enum Answered {
    Done,
    Channel(Arc<ChannelShared>),
    Method(AMQPClass),
}

/// How to undo what was done for a caller that went away meanwhile.
#[derive(Default)]
pub(crate) enum Undo {
    #[default]
    Nothing,
    CloseChannel(u16),
    Cancel(u16, String),
}

impl Undo {
    /// What is known to be undone before the shard has answered.
    pub(crate) fn of(operation: &Operation) -> Self {
        match operation {
            Operation::Consume { channel, consume, .. } => {
                Self::Cancel(*channel, consume.consumer_tag.clone())
            }
            _ => Self::Nothing,
        }
    }

    pub(crate) fn operation(self) -> Option<Operation> {
        match self {
            Self::Nothing => None,
            Self::CloseChannel(channel) => Some(Operation::CloseChannel { channel }),
            Self::Cancel(channel, consumer_tag) => {
                Some(Operation::Cancel { channel, consumer_tag })
            }
        }
    }
}

/// Carries out one request, within its deadline.
pub(crate) async fn perform(conn: Rc<Conn>, request: Request) {
    let Request { operation, timeout, reply } = request;
    // A caller that went away before its turn asked for nothing.
    if reply.as_ref().is_some_and(oneshot::Sender::is_closed) {
        return;
    }
    if let Operation::CloseConnection = operation {
        let closed = close(&conn, timeout).await;
        reply.map(|reply| conn.answer(reply, closed.map(|()| Answered::Done)));
        return;
    }
    let undo = Cell::new(Undo::Nothing);
    let ending = operation.ending();
    let closing = match operation {
        Operation::CloseChannel { channel } => Some(channel),
        _ => None,
    };
    if let Some((channel, consumer_tag)) = &ending {
        // At once, so that a connection that comes back does not bring it back.
        leave_consumer(&conn, *channel, consumer_tag);
    }
    let work = async {
        conn.opened().await?;
        if let Some(channel) = operation.channel() {
            conn.flowing(channel).await?;
        }
        run(&conn, operation, &undo).await
    };
    let answer = reactor::within(timeout, work).await;
    let answer = answer
        .unwrap_or_else(|| Err(Error::timed_out("the broker").because(conn.shared.down_reason())));
    let failed = answer.is_err();
    if let Some(channel) = closing.filter(|_| failed) {
        // Whatever the broker thinks, it is not to come back with the connection.
        end_channel(&conn, channel);
    }
    if let Some((channel, consumer_tag)) = ending {
        // Also where the broker did not agree: what it still delivers goes back to the queue.
        end_consumer(&conn, channel, &consumer_tag);
    }
    let abandoned = reply.is_some_and(|reply| !conn.answer(reply, answer));
    if (abandoned || failed)
        && let Some(operation) = undo.into_inner().operation()
    {
        // Best effort: what cannot be undone ends with the connection.
        let _ = reactor::within(timeout, run(&conn, operation, &Cell::default())).await;
    }
}

/// Flushes and closes a connection; after `timeout` it ends without the broker's consent.
pub(crate) async fn close(conn: &Rc<Conn>, timeout: Duration) -> Result<(), Error> {
    conn.leave();
    let orderly = async {
        conn.flushed_all().await;
        let is_flushed = !conn.has_unsettled();
        conn.close().await;
        is_flushed
    };
    match reactor::within(timeout, orderly).await {
        Some(true) => Ok(()),
        Some(false) => Err(Error::new(
            ErrorKind::ConnectionClosed,
            "the connection was lost before all that was published had left and was confirmed",
        )),
        None => {
            conn.abandon();
            let _ = reactor::within(LAST_MOMENT, conn.closed()).await;
            Err(Error::timed_out("closing"))
        }
    }
}

/// `undo` is told what there is to undo, as soon as there is something.
async fn run(conn: &Rc<Conn>, operation: Operation, undo: &Cell<Undo>) -> Result<Answered, Error> {
    match operation {
        Operation::OpenChannel(options) => {
            let number = conn.free_channel()?;
            let shared = Arc::new(ChannelShared::new(number, options, Arc::clone(&conn.shared)));
            conn.add_channel(Arc::clone(&shared));
            undo.set(Undo::CloseChannel(number));
            let epoch = conn.epoch(number)?;
            let opened = open_channel(conn, number).await;
            let opened = opened.and_then(|()| conn.let_flow(number, epoch));
            opened.inspect_err(|error| conn.remove_channel(number, error))?;
            Ok(Answered::Channel(shared))
        }
        Operation::Method { channel, method, keep } => {
            let reply = match keep {
                true => conn.request(channel, method.clone()).await?,
                false => forgetting(conn, channel, &method).await?,
            };
            if let AMQPClass::Basic(basic::AMQPMethod::Qos(qos)) = &method {
                conn.with_channel(channel, |seat| seat.prefetch = qos.prefetch_count)?;
            }
            if keep {
                conn.topology.borrow_mut().remember(channel, method);
            }
            Ok(Answered::Method(reply))
        }
        Operation::Consume { channel, consume, sink, shared } => {
            let method = consume.method();
            let tag = consume.consumer_tag.clone();
            undo.set(Undo::Cancel(channel, tag.clone()));
            conn.with_channel(channel, |seat| {
                let (request, starting, leaving) = (consume, true, false);
                seat.consumers.push(ConsumerSeat { request, sink, starting, leaving, shared });
            })?;
            let begun = conn.request(channel, method).await;
            begun.inspect_err(|_| drop(conn.remove_consumer(channel, &tag)))?;
            conn.with_consumer(channel, &tag, |consumer| consumer.starting = false);
            Ok(Answered::Done)
        }
        Operation::Cancel { channel, consumer_tag } => {
            leave_consumer(conn, channel, &consumer_tag);
            // The queue may go with its consumer: nothing may declare it again meanwhile.
            let _alone = conn.recovery_channel.lock().await;
            let cancelled = conn.request(channel, cancelling(&consumer_tag)).await;
            end_consumer(conn, channel, &consumer_tag);
            cancelled.map(|_| Answered::Done)
        }
        Operation::Verify { channel, consumer_tag } => {
            verify_queues::verify(conn, channel, &consumer_tag).await;
            Ok(Answered::Done)
        }
        Operation::CloseChannel { channel } => {
            close_channel(conn, channel).await.map(|()| Answered::Done)
        }
        Operation::CloseConnection => unreachable!("performed on its own"),
    }
}

/// Asks for what may be a deletion or unbinding: what ends by it is declared again by nobody.
async fn forgetting(conn: &Rc<Conn>, channel: u16, method: &AMQPClass) -> Result<AMQPClass, Error> {
    let gone = conn.topology.borrow_mut().forget(method);
    // A declaration of it may be on its way, on another channel, whose order is not ours.
    let _alone = match gone.is_empty() {
        true => None,
        false => Some(conn.recovery_channel.lock().await),
    };
    let reply = conn.request(channel, method.clone()).await;
    if reply.is_err() {
        conn.topology.borrow_mut().restore(gone);
    }
    reply
}

/// Nobody takes what it is still given, unless its sink says otherwise. The answer to its end comes
/// behind deliveries that its full inbox must not hold up.
fn leave_consumer(conn: &Conn, channel: u16, tag: &str) {
    conn.with_consumer(channel, tag, |consumer| consumer.leaving = true);
    conn.shared.read_bell.ring();
}

/// Nobody listens any more, whatever the broker thinks.
fn end_consumer(conn: &Conn, channel: u16, tag: &str) {
    if let Some(mut seat) = conn.remove_consumer(channel, tag) {
        seat.sink.ended(None);
        conn.forget_unused(&seat.request.queue);
    }
}

/// Nothing may follow `channel.close` on the wire (504), so the channel's seat goes before it.
async fn close_channel(conn: &Rc<Conn>, channel: u16) -> Result<(), Error> {
    conn.with_channel(channel, |seat| seat.shared.outbox.refuse(Error::stopped()))?;
    let _ = reactor::within(conn.config.operation_timeout / 2, conn.flushed(channel)).await;
    let _alone = conn.recovery_channel.lock().await;
    end_channel(conn, channel);
    conn.shared.read_bell.ring();
    match conn.request(channel, closing()).await {
        // The broker had closed it, or it was never open.
        Err(error) if error.kind() == ErrorKind::ChannelClosed => Ok(()),
        closed => closed.map(drop),
    }
}

/// Nobody uses it any more, and what its consumers leave to nobody is not brought back.
fn end_channel(conn: &Conn, channel: u16) {
    let queues = conn.with_channel(channel, |seat| {
        seat.consumers.iter().map(|consumer| consumer.request.queue.clone()).collect::<Vec<_>>()
    });
    conn.remove_channel(channel, &Error::stopped());
    for queue in queues.unwrap_or_default() {
        conn.forget_unused(&queue);
    }
}

/// `channel.close`, of one that is not needed any more.
pub(crate) fn closing() -> AMQPClass {
    AMQPClass::Channel(channel::AMQPMethod::Close(channel::Close {
        reply_code: 200,
        reply_text: "closed on request".into(),
        class_id: 0,
        method_id: 0,
    }))
}

/// `basic.cancel`, of a consumer that is to take nothing more.
pub(crate) fn cancelling(tag: &str) -> AMQPClass {
    let cancel = basic::Cancel { consumer_tag: short(tag), nowait: false };
    AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel))
}

/// Opens a channel on the wire with its options. Its outbox does not flow yet: after a reconnect,
/// declarations come first.
pub(crate) async fn open_channel(conn: &Rc<Conn>, number: u16) -> Result<(), Error> {
    conn.open_channel(number).await?;
    let seat = |seat: &mut Seat| (seat.shared.options.confirms, seat.prefetch);
    let (confirms, prefetch_count) = conn.with_channel(number, seat)?;
    if confirms {
        let select = confirm::AMQPMethod::Select(confirm::Select { nowait: false });
        conn.request(number, AMQPClass::Confirm(select)).await?;
    }
    if prefetch_count > 0 {
        let qos = basic::Qos { prefetch_count, global: false };
        conn.request(number, AMQPClass::Basic(basic::AMQPMethod::Qos(qos))).await?;
    }
    Ok(())
}
