//! Connections: opening, invalid input, heartbeats, channel numbers, closing.

mod attach;
mod channel_numbers;
mod closing;
mod floods;
mod handshakes;
pub(crate) mod heartbeats;
mod hosted;
mod io_uring_denied;
mod login;
mod malformed;
mod resolving;
pub(crate) mod scenario;
