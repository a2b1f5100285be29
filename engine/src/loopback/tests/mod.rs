//! Tests of the loopback peer through a client that uses only bytes.

mod any_bytes;
mod client;
mod handshake;
mod messages;
mod script;
mod sink_and_source;
mod topology;
