//! The state that the handles of a connection and its shard share, and the requests of handles.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, basic};
use amq_protocol::types::FieldTable;
use tokio::sync::{mpsc, oneshot};

use crate::config::{ChannelOptions, ConnectionConfig};
use crate::error::{Error, ErrorKind};
use crate::outcome::Outcome;
use crate::proto::short;
use crate::shard::border::acks::AckQueue;
use crate::shard::border::consumer_status::ConsumerShared;
use crate::shard::border::doorbell::Doorbell;
use crate::shard::border::outbox::Outbox;
use crate::shard::border::sink::ContainedSink;
use crate::shard::border::tickets::Tickets;
use crate::shard::border::tracked_status::TrackedStatus;
use crate::shard::clock::Clock;

/// Requests that may wait for the shard, per connection. Further ones are refused.
const REQUESTS_MAX: usize = 1024;

/// An operation for the shard, and the channel its response is sent to.
pub(crate) struct Request {
    pub(crate) operation: Operation,
    pub(crate) timeout: Duration,
    /// `None` when no caller waits for the response.
    pub(crate) reply: Option<oneshot::Sender<Result<Response, Error>>>,
}

/// The operations that a handle can request. They name a channel by its state, because its number
/// may belong to another channel once it is closed.
pub(crate) enum Operation {
    OpenChannel(ChannelOptions),
    /// A method that the broker answers. With `keep`, a reconnect replays it.
    Method {
        channel: Arc<ChannelShared>,
        method: AMQPClass,
        keep: bool,
    },
    Consume {
        channel: Arc<ChannelShared>,
        consume: ConsumeRequest,
        sink: ContainedSink,
        shared: Arc<ConsumerShared>,
    },
    Cancel {
        channel: Arc<ChannelShared>,
        consumer_tag: String,
    },
    /// Checks that the broker still delivers to a consumer.
    Verify {
        channel: Arc<ChannelShared>,
        consumer_tag: String,
    },
    CloseChannel {
        channel: Arc<ChannelShared>,
    },
    CloseConnection,
}

impl Operation {
    /// The channel that must be open before the operation starts.
    pub(crate) fn channel(&self) -> Option<&Arc<ChannelShared>> {
        match self {
            Self::Method { channel, .. }
            | Self::Consume { channel, .. }
            | Self::Cancel { channel, .. } => Some(channel),
            Self::OpenChannel(_)
            | Self::Verify { .. }
            | Self::CloseChannel { .. }
            | Self::CloseConnection => None,
        }
    }

    /// The channel and tag of the consumer that the operation ends, if any.
    pub(crate) fn ending_consumer(&self) -> Option<(Arc<ChannelShared>, String)> {
        match self {
            Self::Cancel { channel, consumer_tag } => {
                Some((Arc::clone(channel), consumer_tag.clone()))
            }
            _ => None,
        }
    }
}

/// The arguments of `basic.consume` that the caller chooses.
#[derive(Clone, Debug)]
pub(crate) struct ConsumeRequest {
    pub(crate) queue: String,
    pub(crate) consumer_tag: String,
    pub(crate) no_ack: bool,
    pub(crate) exclusive: bool,
    pub(crate) arguments: FieldTable,
}

/// The argument that names where in a stream a consumer begins.
const STREAM_OFFSET: &str = "x-stream-offset";

impl ConsumeRequest {
    /// Whether the queue is a stream, as far as the arguments tell.
    pub(crate) fn is_of_stream(&self) -> bool {
        self.arguments.contains_key(STREAM_OFFSET)
    }

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

/// The result of an operation.
pub(crate) enum Response {
    Done,
    Channel(Arc<ChannelShared>),
    Method(AMQPClass),
}

/// The operation that reverts another one whose caller went away before it completed.
#[derive(Default)]
pub(crate) enum Undo {
    #[default]
    Nothing,
    CloseChannel(Arc<ChannelShared>),
    Cancel(Arc<ChannelShared>, String),
}

impl Undo {
    /// What can be reverted before the shard has responded.
    pub(crate) fn of(operation: &Operation) -> Self {
        match operation {
            Operation::Consume { channel, consume, .. } => {
                Self::Cancel(Arc::clone(channel), consume.consumer_tag.clone())
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

/// The state of a connection that its handles and its shard share.
pub(crate) struct ConnectionShared {
    pub(crate) status: TrackedStatus,
    /// `None` after the last handle is dropped. The shard then sees the end of its requests.
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    pub(crate) outcomes: Arc<Tickets<Outcome>>,
    pub(crate) room: Arc<Tickets<()>>,
    pub(crate) write_bell: Arc<Doorbell>,
    pub(crate) read_bell: Arc<Doorbell>,
    pub(crate) outbox_bytes: usize,
    pub(crate) operation_timeout: Duration,
    pub(crate) reconnects: AtomicU64,
    /// Publications that were queued to be sent again: after a lost connection, a channel exception
    /// or a nack.
    pub(crate) resends: AtomicU64,
    /// Publications without a waiting caller that were refused or returned.
    pub(crate) fire_and_forget_failures: AtomicU64,
    /// Publications without a waiting caller that may be lost with a connection.
    pub(crate) fire_and_forget_losses: AtomicU64,
}

impl ConnectionShared {
    pub(crate) fn new(
        config: &ConnectionConfig,
        clock: &Arc<Clock>,
    ) -> (Arc<Self>, mpsc::Receiver<Request>) {
        let (requests, posted) = mpsc::channel(REQUESTS_MAX);
        let shared = Self {
            status: TrackedStatus::connecting(),
            requests: Mutex::new(Some(requests)),
            outcomes: Tickets::new(clock),
            room: Tickets::new(clock),
            write_bell: Arc::new(Doorbell::new()),
            read_bell: Arc::new(Doorbell::new()),
            outbox_bytes: config.outbox_bytes,
            operation_timeout: config.operation_timeout,
            reconnects: AtomicU64::new(0),
            resends: AtomicU64::new(0),
            fire_and_forget_failures: AtomicU64::new(0),
            fire_and_forget_losses: AtomicU64::new(0),
        };
        (Arc::new(shared), posted)
    }

    /// Sends an operation to the shard without waiting for the response. If the shard has ended,
    /// the operation is dropped.
    pub(crate) fn post(&self, operation: Operation) {
        let request = Request { operation, timeout: self.operation_timeout, reply: None };
        let _ = self.send(request);
    }

    /// Closes the request channel after the last handle was dropped. The shard holds an `Arc` of
    /// this state too, so the reference count cannot tell.
    pub(crate) fn close_requests(&self) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn send(&self, request: Request) -> Result<(), Error> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = requests.as_ref().ok_or_else(Error::stopped)?;
        requests.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::new(
                ErrorKind::TimedOut,
                format!("{REQUESTS_MAX} requests already wait for this connection"),
            ),
            mpsc::error::TrySendError::Closed(_) => Error::stopped(),
        })
    }

    /// Sends an operation to the shard and waits for the response. The shard enforces the timeout.
    ///
    /// # Cancel safety
    /// If the caller drops the future, the channel or consumer that was opened for it is closed
    /// again.
    pub(crate) async fn ask(&self, operation: Operation) -> Result<Response, Error> {
        let undo = Undo::of(&operation);
        let (reply, answer) = oneshot::channel();
        let request = Request { operation, timeout: self.operation_timeout, reply: Some(reply) };
        self.send(request)?;
        let mut guard = RequestGuard { shared: self, answer, undo };
        let answer = (&mut guard.answer).await;
        answer.unwrap_or_else(|_| Err(Error::stopped()))
    }
}

/// Reverts an operation whose caller drops the future. The shard does it unless it has responded
/// already; then this guard does.
struct RequestGuard<'a> {
    shared: &'a ConnectionShared,
    answer: oneshot::Receiver<Result<Response, Error>>,
    undo: Undo,
}

impl Drop for RequestGuard<'_> {
    fn drop(&mut self) {
        self.answer.close();
        // `try_recv` fails for a response that the caller has taken.
        let undo = match self.answer.try_recv() {
            Ok(Ok(Response::Channel(channel))) => Undo::CloseChannel(channel),
            Ok(Ok(_)) => std::mem::take(&mut self.undo),
            _ => return,
        };
        if let Some(operation) = undo.operation() {
            self.shared.post(operation);
        }
    }
}

/// The state of a channel that its handles and its shard share.
pub(crate) struct ChannelShared {
    pub(crate) number: u16,
    pub(crate) options: ChannelOptions,
    pub(crate) outbox: Outbox,
    pub(crate) acks: Arc<AckQueue>,
    pub(crate) connection: Arc<ConnectionShared>,
}

impl ChannelShared {
    pub(crate) fn new(
        number: u16,
        options: ChannelOptions,
        connection: Arc<ConnectionShared>,
    ) -> Self {
        let bell = &connection.write_bell;
        let outbox =
            Outbox::new(Arc::clone(bell), Arc::clone(&connection.room), connection.outbox_bytes);
        let acks = Arc::new(AckQueue::new(Arc::clone(bell)));
        Self { number, options, outbox, acks, connection }
    }
}
