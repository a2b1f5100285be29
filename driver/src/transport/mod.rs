//! Transports: what the clients, servers, notifiers and listeners of one URL share.
//!
//! `builder` makes a `transport` from a URL and options. `publishers` opens routes for what is
//! sent. Calls wait in `pending_calls` for replies, which come through the `reply_queue` into its
//! sink; replies of our servers leave through the `reply_sender`.

pub(crate) mod builder;
mod connection_lists;
pub(crate) mod intake_limit;
mod name_counter;
pub(crate) mod pending_calls;
pub(crate) mod publishers;
mod queue_names;
mod reply_queue;
mod reply_retry;
pub(crate) mod reply_sender;
mod reply_sink;
mod reply_watchdog;
pub(crate) mod retry_counter;
pub(crate) mod transport;
