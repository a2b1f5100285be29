//! A connection of the loopback broker: its state, its handshake, what comes and what goes.

pub(crate) mod handshake;
pub(crate) mod input;
pub(crate) mod outgoing;
pub(crate) mod reader;
pub(crate) mod state;
