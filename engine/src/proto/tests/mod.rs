//! Tests of the state machine: bytes and time in, bytes and events out.

mod channels;
mod contents;
mod floods;
mod handshakes;
mod lifetimes;
mod scenario;
