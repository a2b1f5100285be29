//! The client: calls and casts to a target.
//!
//! `client` is what users hold, `destination` decides where a request goes, `call` and
//! `cast` run one.

pub(crate) mod call;
pub(crate) mod call_observer;
pub(crate) mod cast;
pub(crate) mod client;
pub(crate) mod destination;
