//! RPC and notifications over RabbitMQ: the API and the wire of oslo.messaging, for Rust.

mod broker;
mod config;
mod context;
mod dialect;
mod error;
mod executor;
mod ids;
mod json;
mod message;
mod rpc;
mod target;
mod timer;
mod transport;
mod url;
mod version;

pub use config::{DriverConfig, EntityOptions, LoginMethod};
pub use context::Context;
pub use error::{Error, ErrorKind, Outcome, RemoteError};
pub use executor::Executor;
pub use leveret_engine as engine;
pub use message::Failure;
pub use rpc::client::{Retry, RpcClient};
pub use rpc::endpoint::Endpoint;
pub use rpc::server::{RpcServer, RpcServerBuilder, ServerStats};
pub use target::Target;
pub use transport::{Transport, TransportBuilder, TransportStats};
pub use url::{AMQP_PORT, Secrets, TransportHost, TransportUrl};
pub use version::{InvalidVersion, Version};
