//! Everything a handle asks of its connection that is no publication, and how it is carried out.
//!
//! Invariant: every request ends in one answer before its deadline. What was declared is remembered
//! as an intent only after the broker agreed. Not here: recovery (`redial`).

use std::rc::Rc;
use std::sync::Arc;

use amq_protocol::protocol::{AMQPClass, basic, channel, confirm};
use amq_protocol::types::FieldTable;
use tokio::sync::oneshot;

use super::conn::{Conn, ConsumerSeat};
use super::shared::{ChannelShared, Request};
use super::sink::DeliverySink;
use crate::proto::short;
use crate::{Error, reactor};

/// What can be asked.
pub(crate) enum Operation {
    OpenChannel(Arc<ChannelShared>),
    /// A method with an answer; `keep` makes it an intent, replayed after a reconnect.
    Method {
        channel: u16,
        method: AMQPClass,
        keep: bool,
    },
    Consume {
        channel: u16,
        consume: ConsumeRequest,
        sink: Box<dyn DeliverySink>,
    },
    Cancel {
        channel: u16,
        consumer_tag: String,
    },
    CloseChannel {
        channel: u16,
    },
    CloseConnection,
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
    pub(super) fn method(&self) -> AMQPClass {
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
    Method(AMQPClass),
}

/// How to undo what was done for a caller that went away meanwhile.
enum Undo {
    Nothing,
    CloseChannel(u16),
    Cancel(u16, String),
}

impl Undo {
    fn of(operation: &Operation) -> Self {
        match operation {
            Operation::OpenChannel(shared) => Self::CloseChannel(shared.number),
            Operation::Consume { channel, consume, .. } => {
                Self::Cancel(*channel, consume.consumer_tag.clone())
            }
            _ => Self::Nothing,
        }
    }

    fn operation(self) -> Option<Operation> {
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
pub(super) async fn perform(conn: Rc<Conn>, request: Request) {
    let Request { operation, timeout, reply } = request;
    // A caller that went away before its turn asked for nothing.
    if reply.as_ref().is_some_and(oneshot::Sender::is_closed) {
        return;
    }
    let undo = Undo::of(&operation);
    let work = async {
        conn.opened().await?;
        run(&conn, operation).await
    };
    let answer = reactor::within(timeout, work).await;
    let answer = answer.unwrap_or_else(|| Err(Error::timed_out("the broker")));
    let failed = answer.is_err();
    let abandoned = reply.is_some_and(|reply| reply.send(answer).is_err());
    if (abandoned || failed)
        && let Some(operation) = undo.operation()
    {
        // Best effort: what cannot be undone ends with the connection.
        let _ = reactor::within(timeout, run(&conn, operation)).await;
    }
}

async fn run(conn: &Rc<Conn>, operation: Operation) -> Result<Answered, Error> {
    match operation {
        Operation::OpenChannel(shared) => {
            let number = shared.number;
            conn.add_channel(shared);
            let opened = open_channel(conn, number).await.and_then(|()| conn.let_flow(number));
            opened.inspect_err(|error| conn.remove_channel(number, error))?;
            Ok(Answered::Done)
        }
        Operation::Method { channel, method, keep } => {
            let reply = conn.request(channel, method.clone()).await?;
            if keep {
                conn.topology.borrow_mut().remember(channel, method);
            } else {
                conn.topology.borrow_mut().forget(&method);
            }
            Ok(Answered::Method(reply))
        }
        Operation::Consume { channel, consume, sink } => {
            let method = consume.method();
            let tag = consume.consumer_tag.clone();
            conn.with_channel(channel, |seat| {
                seat.consumers.push(ConsumerSeat { request: consume, sink });
            })?;
            let begun = conn.request(channel, method).await;
            begun.inspect_err(|_| drop(conn.remove_consumer(channel, &tag)))?;
            Ok(Answered::Done)
        }
        Operation::Cancel { channel, consumer_tag } => {
            let cancel = basic::Cancel { consumer_tag: short(&consumer_tag), nowait: false };
            let method = AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel));
            conn.request(channel, method).await?;
            if let Some(mut seat) = conn.remove_consumer(channel, &consumer_tag) {
                seat.sink.ended(None);
            }
            Ok(Answered::Done)
        }
        Operation::CloseChannel { channel } => {
            let close = channel::Close {
                reply_code: 200,
                reply_text: "closed on request".into(),
                class_id: 0,
                method_id: 0,
            };
            conn.flushed(channel).await;
            conn.request(channel, AMQPClass::Channel(channel::AMQPMethod::Close(close))).await?;
            conn.remove_channel(channel, &Error::stopped());
            Ok(Answered::Done)
        }
        Operation::CloseConnection => {
            conn.flushed_all().await;
            conn.close().await;
            Ok(Answered::Done)
        }
    }
}

/// Opens a channel on the wire with its options. Its outbox does not flow yet: after a reconnect,
/// declarations come first.
pub(super) async fn open_channel(conn: &Rc<Conn>, number: u16) -> Result<(), Error> {
    conn.open_channel(number).await?;
    let options = conn.with_channel(number, |seat| seat.shared.options)?;
    if options.confirms {
        let select = confirm::AMQPMethod::Select(confirm::Select { nowait: false });
        conn.request(number, AMQPClass::Confirm(select)).await?;
    }
    if options.prefetch > 0 {
        let qos = basic::Qos { prefetch_count: options.prefetch, global: false };
        conn.request(number, AMQPClass::Basic(basic::AMQPMethod::Qos(qos))).await?;
    }
    Ok(())
}
