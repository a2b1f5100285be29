//! Thread-per-core AMQP 0-9-1 engine on io_uring.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests may ask the clock"))]

#[cfg(feature = "loopback")]
pub mod loopback;
pub mod wire;

mod buffer;
mod channel;
mod config;
mod connection;
mod consumer;
mod declare;
mod delivery;
mod engine;
mod error;
mod outcome;
mod proto;
mod publisher;
mod reactor;
mod shard;

pub use amq_protocol::types::{AMQPValue, FieldArray, FieldTable};
pub use buffer::Body;
pub use channel::Channel;
pub use config::{
    ChannelOptions, ConnectionConfig, Cores, EngineConfig, Host, Login, Recovery, Secret,
};
pub use connection::Connection;
pub use consumer::{Consumer, ConsumerHandle};
pub use declare::{Consume, ExchangeBind, ExchangeDeclare, QueueBind, QueueDeclare, QueueDeclared};
pub use delivery::{Delivery, Returned};
pub use engine::Engine;
pub use error::{Error, ErrorKind};
pub use outcome::Outcome;
pub use publisher::{Confirm, Payload, PublishError, Publisher, Route};
pub use reactor::{BackendChoice, BackendKind};
pub use shard::{
    ConnectionState, DeliverySink, Disposition, ShardStats, Ticket, TicketError, Tickets, Token,
    block_on,
};
pub use wire::Properties;
