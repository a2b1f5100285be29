//! Tests of the loopback peer through a client that uses only bytes.

mod client;
mod garbage;
mod handshake;
mod messages;
mod puppets;
mod script;
mod topology;
