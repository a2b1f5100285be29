//! Thread-per-core AMQP 0-9-1 engine on io_uring.

pub mod wire;
