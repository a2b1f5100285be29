//! The client: calls and casts to a target.
//!
//! `client` is what users hold, `destination` decides where a request goes, `call` and
//! `cast` run one.

mod call;
mod call_observer;
mod cast;
pub(crate) mod client;
mod destination;
mod open_destination;
mod request;
