//! Thread-per-core AMQP 0-9-1 engine on io_uring.
//!
//! ```no_run
//! use std::time::Duration;
//! use leveret_engine::{
//!     ChannelOptions, ConnectionConfig, Consume, Engine, EngineConfig, Properties, QueueDeclare,
//!     Route, block_on,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::start(EngineConfig::default())?;
//! let connection = engine.connect_blocking(ConnectionConfig::to("localhost", 5672))?;
//! let channel = block_on(connection.open_channel(ChannelOptions::default()))?;
//! let work = QueueDeclare { name: "work".into(), ..QueueDeclare::default() };
//! block_on(channel.declare_queue(work))?;
//!
//! let route = Route { routing_key: "work".into(), mandatory: true, ..Route::default() };
//! let publisher = channel.publisher(route, &Properties::default())?;
//! let confirm = publisher.publish_blocking("hello".as_bytes(), Duration::from_secs(5))?;
//! assert!(confirm.wait().is_ok());
//!
//! let mut consumer = block_on(channel.consume(Consume::from_queue("work")))?;
//! let delivery = consumer.next_within(Duration::from_secs(5))?.expect("it was confirmed");
//! delivery.ack();
//! # Ok(()) }
//! ```
//!
//! # Layers
//!
//! Each layer uses only the layers below it.
//!
//! - **Handles**: [`Engine`], [`Connection`], [`Channel`], [`Publisher`], [`Consumer`]. Any thread
//!   and any async runtime may use them; their futures need only a waker.
//! - **Shard**: one thread with one runtime and its connections. It joins the two layers below and
//!   performs recovery. The thread may belong to the application: [`Shard::run`],
//!   [`Shard::attach`].
//! - **Protocol** and **reactor**, which do not depend on each other: AMQP without sockets or
//!   clocks, and sockets (io_uring, or epoll where io_uring is denied) without AMQP.
//! - **[`wire`]** and the receive blocks: bytes.
//!
//! # How bytes travel
//!
//! *Publishing.* `publish` frames a small body in the caller's thread, directly in the outbox of
//! the channel, under its lock: one copy. A body that user code writes is rendered before, outside
//! the lock, and a body above 8 KiB given as [`Bytes`](bytes::Bytes) is passed by reference. The
//! caller wakes the shard only if it sleeps. The shard swaps the outbox for an empty one and sends
//! it whole, after acknowledgements and heartbeats. So publications of many callers leave in one
//! send, in the order in which they were appended.
//!
//! *Consuming.* A shard reads into blocks of 64 KiB. It copies bodies up to 1 KiB once into dense
//! memory; larger ones reach the user as slices of the blocks. The shard hands all deliveries of
//! one read to a consumer under one lock, with one wake-up.
//!
//! # Limits
//!
//! - A channel's publications, waiting or sent and unconfirmed: [`ConnectionConfig::outbox_bytes`].
//!   Above it, [`PublishError::Full`], or a wait until the deadline.
//! - A consumer's inbox: [`Consume::inbox_messages`] and [`Consume::inbox_bytes`]. Above them, the
//!   engine stops reading its connection; heartbeats continue.
//! - Receive blocks: [`ConnectionConfig::blocks_max`]. Above it, reading pauses until slices are
//!   dropped.
//! - One message from the broker: [`ConnectionConfig::body_max`]. The engine reads a larger one,
//!   drops its body and rejects it.
//! - Requests that wait for a connection: 1024. The engine refuses more with `TimedOut`.
//! - An operation: [`ConnectionConfig::operation_timeout`], then `TimedOut`. If the broker leaves a
//!   request unanswered for as long, the engine reconnects to the next host; likewise if it
//!   confirms nothing for [`ConnectionConfig::confirm_timeout`].
//!
//! The engine never allocates memory for a length that the peer has only announced; memory grows
//! with the bytes that arrive.
//!
//! # Guarantees
//!
//! - A publication ends once, in an [`Outcome`] that says as precisely as possible whether the
//!   broker has it.
//! - Publications of one thread through clones of one publisher stay in order. After a reconnect
//!   the engine sends [retained](Publisher::retained) ones again, before newer ones.
//! - The engine restores a lost connection: it tries the next host at once, then backs off with
//!   full jitter; hosts that refused or did not answer come last. Channels keep their numbers;
//!   declarations, bindings and consumers return; what was deleted on purpose does not. No answer
//!   of a broker ends a connection that was open once, or a consumer that has started:
//!   [`Connection::status`] and [`ConsumerHandle::status`] report the reason meanwhile.
//! - A channel exception fails the publication that caused it. The engine sends those behind it
//!   again, and those before it if they are retained; the others end as `MaybeSent`. The engine
//!   sends a publication that the broker refuses (`basic.nack`) again for
//!   [`ConnectionConfig::nack_retry`], if its publisher retained it.
//! - Whatever another client deletes is declared again within [`ConnectionConfig::audit_interval`].
//! - Dropping a future only gives up waiting, unless its documentation says more.
//! - The library chooses no allocator, installs no logger, and keeps no global state.
//!
//! Not guaranteed: exactly-once delivery. If a confirm is lost with its connection, the outcome is
//! `MaybeSent`, or the broker receives a second copy of a retained publication.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests may ask the clock"))]

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "loopback")]
pub mod loopback;
pub mod wire;

mod buffer;
mod config;
mod credentials;
mod declare;
mod error;
mod handles;
mod outcome;
mod proto;
mod reactor;
mod shard;
mod tls;
mod topology_group;

pub use amq_protocol::types::{AMQPValue, FieldArray, FieldTable};
pub use buffer::Body;
pub use config::{
    ChannelOptions, Confirms, ConnectMode, ConnectionConfig, Cores, EngineConfig, Host, Login,
    Recovery,
};
pub use credentials::{Credentials, CredentialsProvider, Secret};
pub use declare::{Consume, ExchangeBind, ExchangeDeclare, QueueBind, QueueDeclare, QueueDeclared};
pub use error::{Error, ErrorKind};
pub use handles::channel::Channel;
pub use handles::confirm::Confirm;
pub use handles::connection::Connection;
pub use handles::consumer::{Consumer, ConsumerHandle};
pub use handles::engine::Engine;
pub use handles::message::{Message, Payload};
pub use handles::publish_error::PublishError;
pub use handles::publisher::Publisher;
pub use handles::reporting_publisher::{FailureSink, ReportingPublisher};
pub use handles::route::Route;
pub use outcome::{Nacked, Outcome};
pub use reactor::{BackendChoice, BackendKind, block_signals};
pub use shard::border::block_on::block_on;
pub use shard::border::consumer_status::{ConsumerState, ConsumerStatus};
pub use shard::border::delivery::{Delivery, Returned};
pub use shard::border::sink::{DeliverySink, Disposition};
pub use shard::border::slab::{TicketError, Token};
pub use shard::border::status::{ConnectionState, ConnectionStatus};
pub use shard::border::tickets::{Ticket, Tickets};
pub use shard::run::Shard;
pub use shard::stats::ShardStats;
pub use shard::timer::{Timer, TimerKey};
#[cfg(feature = "tls")]
pub use tls::TlsConfig;
pub use tls::TlsVersion;
pub use topology_group::TopologyGroup;
pub use wire::Properties;
