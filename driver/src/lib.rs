//! RPC and notifications over RabbitMQ: the API and the wire of oslo.messaging, for Rust.

mod json;
