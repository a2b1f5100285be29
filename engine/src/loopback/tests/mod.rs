//! The loopback peer, looked at through a client that knows only bytes.

mod client;
mod garbage;
mod handshake;
mod messages;
mod puppets;
mod script;
mod topology;
