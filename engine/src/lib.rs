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
//! Each layer names only layers below it.
//!
//! - **Handles**: [`Engine`], [`Connection`], [`Channel`], [`Publisher`], [`Consumer`]. They may be
//!   used from any thread and any async runtime; every future of theirs is woken by a waker alone.
//! - **Shard**: one thread, one runtime, its connections: joins the two below, and owns recovery.
//!   The thread may be one that a service has already: [`Shard::attach`].
//! - **Protocol** and **reactor**, which do not know each other: AMQP without sockets or clocks,
//!   and sockets (io_uring, or epoll where it is denied) without AMQP.
//! - **[`wire`]** and the receive blocks: bytes.
//!
//! # When bytes move
//!
//! *Down.* `publish` renders the frames in the caller's thread, outside any lock, and appends them
//! to the outbox of the channel: one copy of a small body; a body above 8 KiB given as
//! [`Bytes`](bytes::Bytes) is counted, not copied. The shard is woken only if it sleeps; it swaps
//! the outbox for an empty one and sends it whole, acknowledgements and heartbeats first. So
//! publications of many callers leave in one send, in the order in which they were appended.
//!
//! *Up.* A shard reads into blocks of 64 KiB. Bodies up to 1 KiB are copied once into dense memory,
//! larger ones reach the user as slices of the blocks. What one read brought is handed to a
//! consumer under one lock, with one wake-up.
//!
//! # What is bounded
//!
//! - A channel's publications, waiting or sent and unconfirmed:
//!   [`ConnectionConfig::outbox_bytes`]; then [`PublishError::Full`], or waiting until a deadline.
//! - A consumer's inbox: [`Consume::inbox_messages`] and [`Consume::inbox_bytes`]; then its
//!   connection is not read, while heartbeats go on.
//! - Receive blocks: [`ConnectionConfig::blocks_max`]; then reading pauses until slices are
//!   dropped.
//! - One message from the broker: [`ConnectionConfig::body_max`]; a larger one is read, dropped
//!   and rejected.
//! - Requests that wait for a connection: 1024; more are refused with `TimedOut`.
//! - An operation: [`ConnectionConfig::operation_timeout`], then `TimedOut`; a broker that leaves a
//!   request unanswered for as long is left for the next host. So is one that confirms nothing for
//!   [`ConnectionConfig::confirm_timeout`].
//!
//! Memory for a message is never taken from a claimed length, only from bytes that arrived.
//!
//! # What is promised
//!
//! - A publication ends once, in an [`Outcome`] that says as surely as can be known whether it
//!   left.
//! - Publications of one thread through clones of one publisher stay in order. A
//!   [retained](Publisher::retained) one is sent again after a reconnect, before newer ones.
//! - A lost connection comes back: next host at once, then full-jitter back-off, hosts that refused
//!   or did not answer last. Channels keep their numbers; declarations, bindings and consumers
//!   return; what was deleted on purpose does not. No answer of a broker ends a connection that was
//!   open once, or a consumer that has begun: [`Connection::status`] and
//!   [`ConsumerHandle::status`] have the reason meanwhile.
//! - A channel exception fails the publication it is about and no other. A publication that the
//!   broker refuses (`basic.nack`) is sent again for [`ConnectionConfig::nack_retry`], if its
//!   publisher retained it.
//! - What somebody deleted behind the connection's back is declared again within
//!   [`ConnectionConfig::audit_interval`].
//! - Dropping a future gives up waiting and nothing else, unless its page says more.
//! - The library takes no allocator, installs no logger, and keeps no global state.
//!
//! Not promised: exactly once. A confirm that is lost with its connection leaves `MaybeSent`, or a
//! second copy where publications are retained.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests may ask the clock"))]

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
mod topology_group;

pub use amq_protocol::types::{AMQPValue, FieldArray, FieldTable};
pub use buffer::Body;
pub use config::{
    ChannelOptions, ConnectMode, ConnectionConfig, Cores, EngineConfig, Host, Login, Recovery,
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
pub use handles::publish_error::{PublishError, Route};
pub use handles::publisher::Publisher;
pub use handles::reporting::{RefusalSink, Reporting};
pub use outcome::{Nacked, Outcome};
pub use reactor::{BackendChoice, BackendKind};
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
pub use topology_group::TopologyGroup;
pub use wire::Properties;
