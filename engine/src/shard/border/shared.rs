//! What the handles of a connection and its shard share.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use amq_protocol::protocol::{AMQPClass, basic};
use amq_protocol::types::FieldTable;
use tokio::sync::{mpsc, oneshot};

use crate::config::{ChannelOptions, ConnectionConfig};
use crate::error::{Error, ErrorKind};
use crate::outcome::Outcome;
use crate::proto::short;
use crate::reactor;
use crate::shard::border::acks::AckQueue;
use crate::shard::border::consumer_status::ConsumerShared;
use crate::shard::border::doorbell::Doorbell;
use crate::shard::border::outbox::Outbox;
use crate::shard::border::sink::ContainedSink;
use crate::shard::border::status::{ConnectionState, ConnectionStatus};
use crate::shard::border::tickets::Tickets;
use crate::shard::clock::Clock;

/// Requests a connection lets wait for its shard; more are refused.
const REQUESTS_MAX: usize = 1024;

/// Work for the shard, with the place its answer goes to.
pub(crate) struct Request {
    pub(crate) operation: Operation,
    pub(crate) timeout: Duration,
    /// `None` when nobody waits.
    pub(crate) reply: Option<oneshot::Sender<Result<Response, Error>>>,
}

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
    pub(crate) fn channel(&self) -> Option<u16> {
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
    pub(crate) fn ending_consumer(&self) -> Option<(u16, String)> {
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
pub(crate) enum Response {
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

/// Where a connection stands, and how long it has been blocked.
struct TrackedStatus {
    status: ConnectionStatus,
    blocked_since: Option<Instant>,
    /// In blocks that are over.
    blocked: Duration,
}

/// One connection, as its handles see it.
pub(crate) struct ConnectionShared {
    tracked: Mutex<TrackedStatus>,
    /// `None` once the last handle is gone: the shard then sees the end of its requests.
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    pub(crate) outcomes: Arc<Tickets<Outcome>>,
    pub(crate) room: Arc<Tickets<()>>,
    pub(crate) write_bell: Arc<Doorbell>,
    pub(crate) read_bell: Arc<Doorbell>,
    pub(crate) outbox_bytes: usize,
    pub(crate) operation_timeout: Duration,
    pub(crate) reconnects: AtomicU64,
    /// Publications of lost connections that were put back to leave again.
    pub(crate) resends: AtomicU64,
    /// Publications refused or returned that nobody waited for.
    pub(crate) unwatched_failures: AtomicU64,
    /// Publications that nobody waited for and that a lost connection may have taken along.
    pub(crate) unwatched_losses: AtomicU64,
}

impl ConnectionShared {
    pub(crate) fn new(
        config: &ConnectionConfig,
        clock: &Arc<Clock>,
    ) -> (Arc<Self>, mpsc::Receiver<Request>) {
        let (requests, posted) = mpsc::channel(REQUESTS_MAX);
        let shared = Self {
            tracked: Mutex::new(TrackedStatus {
                status: ConnectionStatus {
                    state: ConnectionState::Connecting,
                    since: reactor::wall(),
                    host: String::new(),
                    last_error: None,
                },
                blocked_since: None,
                blocked: Duration::ZERO,
            }),
            requests: Mutex::new(Some(requests)),
            outcomes: Tickets::new(clock),
            room: Tickets::new(clock),
            write_bell: Arc::new(Doorbell::new()),
            read_bell: Arc::new(Doorbell::new()),
            outbox_bytes: config.outbox_bytes,
            operation_timeout: config.operation_timeout,
            reconnects: AtomicU64::new(0),
            resends: AtomicU64::new(0),
            unwatched_failures: AtomicU64::new(0),
            unwatched_losses: AtomicU64::new(0),
        };
        (Arc::new(shared), posted)
    }

    pub(crate) fn state(&self) -> ConnectionState {
        self.tracked().status.state.clone()
    }

    pub(crate) fn status(&self) -> ConnectionStatus {
        self.tracked().status.clone()
    }

    /// It is open, at this broker.
    pub(crate) fn set_host(&self, host: &str) {
        self.tracked().status.host = host.to_owned();
    }

    /// It was lost, or could not be made; true when that is another reason than the last.
    pub(crate) fn set_last_error(&self, error: &Error) -> bool {
        let mut tracked = self.tracked();
        let last = tracked.status.last_error.replace(error.clone());
        last.is_none_or(|last| last.to_string() != error.to_string())
    }

    /// Why it is not open, if it is not and the reason is known.
    pub(crate) fn down_reason(&self) -> Option<Error> {
        let tracked = self.tracked();
        let is_down = tracked.status.state == ConnectionState::Connecting;
        tracked.status.last_error.clone().filter(|_| is_down)
    }

    /// The state from now on.
    pub(crate) fn set_state(&self, state: ConnectionState) {
        let mut tracked = self.tracked();
        let is_blocked = matches!(state, ConnectionState::Blocked(_));
        let now = reactor::wall();
        if std::mem::discriminant(&tracked.status.state) != std::mem::discriminant(&state) {
            tracked.status.since = now;
        }
        tracked.status.state = state;
        if is_blocked {
            tracked.blocked_since.get_or_insert(now);
        } else if let Some(since) = tracked.blocked_since.take() {
            tracked.blocked += now.saturating_duration_since(since);
        }
    }

    /// How long publishers were blocked, a block under way included.
    pub(crate) fn blocked_time(&self) -> Duration {
        let tracked = self.tracked();
        let now =
            tracked.blocked_since.map(|since| reactor::wall().saturating_duration_since(since));
        tracked.blocked + now.unwrap_or_default()
    }

    fn tracked(&self) -> MutexGuard<'_, TrackedStatus> {
        self.tracked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the shard without waiting for its answer; where it cannot be asked, there is nobody to
    /// answer.
    pub(crate) fn post(&self, operation: Operation) {
        let request = Request { operation, timeout: self.operation_timeout, reply: None };
        let _ = self.send(request);
    }

    /// No handle is left that could ask; the shard shares this too, so its count says nothing.
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

    /// Asks the shard and waits for its answer; the shard keeps the deadline.
    ///
    /// # Cancel safety
    /// What was opened for a caller that drops the future is closed again.
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

/// A question to the shard. Where its caller goes away, the shard undoes what it did, unless it has
/// answered already: then this does.
struct RequestGuard<'a> {
    shared: &'a ConnectionShared,
    answer: oneshot::Receiver<Result<Response, Error>>,
    undo: Undo,
}

impl Drop for RequestGuard<'_> {
    fn drop(&mut self) {
        self.answer.close();
        // An answer that was taken is not there any more.
        let undo = match self.answer.try_recv() {
            Ok(Ok(Response::Channel(channel))) => Undo::CloseChannel(channel.number),
            Ok(Ok(_)) => std::mem::take(&mut self.undo),
            _ => return,
        };
        if let Some(operation) = undo.operation() {
            self.shared.post(operation);
        }
    }
}

/// One channel, as its handles see it.
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
