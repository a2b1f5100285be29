//! A connection of the loopback broker: its state, its handshake, its input and its output.

pub(crate) mod channels;
pub(crate) mod handshake;
pub(crate) mod input;
pub(crate) mod outgoing;
pub(crate) mod reader;
pub(crate) mod state;
