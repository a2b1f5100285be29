//! AMQP 0-9-1 as a machine: bytes and time go in, bytes and events come out.
//!
//! ```text
//!              start → start-ok        tune → tune-ok, open        open-ok
//! [AwaitStart] ───────────────► [AwaitTune] ─────────────► [AwaitOpen] ───► [Open]
//!                                                                            │  │
//!      [Closed] ◄── close-ok ── [Closing] ◄───────────────── close() ────────┘  │
//!          ▲──────────────────── close from the broker, answered ───────────────┘
//! ```
//!
//! The contract: after every `handle_*` or command, drain the output with `take_output`; events
//! arrive through the closure passed to `handle_input`, in wire order. After an error the state
//! machine must be dropped. Invariant: nothing here knows sockets, threads or a clock; `now` is
//! always an argument.

mod channel;
mod confirms;
mod connection;
mod content;
mod error;
mod event;
mod handshake;
mod heartbeat;
mod inbound;
mod method_pairs;
mod responses;
mod text;
mod unacked;

#[cfg(test)]
mod tests;

pub(crate) use confirms::{Ledger, Record, Settled};
pub(crate) use connection::Connection;
pub(crate) use content::Content;
pub(crate) use error::ProtoError;
pub(crate) use event::Event;
pub(crate) use handshake::{Credentials, FRAME_MAX_MIN, Settings, short};
pub(crate) use text::printable;
pub(crate) use unacked::{Acknowledgement, Unacked};
