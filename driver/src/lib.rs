//! RPC and notifications over RabbitMQ: the API and the wire of oslo.messaging, for Rust.

mod config;
mod context;
mod dialect;
mod error;
mod ids;
mod json;
mod message;
mod target;
mod url;
mod version;

pub use config::{DriverConfig, EntityOptions, LoginMethod};
pub use context::Context;
pub use error::{Error, ErrorKind, Outcome, RemoteError};
pub use message::Failure;
pub use target::Target;
pub use url::{AMQP_PORT, Secrets, TransportHost, TransportUrl};
pub use version::{InvalidVersion, Version};
