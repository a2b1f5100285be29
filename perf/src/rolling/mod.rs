//! `rolling-update`: moves a fleet of servers and clients from the kombu dialect to the pika
//! dialect and back, one by one and under load, and counts what was lost or executed twice.
//!
//! `command` starts the update. `phases` says which member becomes what (`kinds`), `fleet` makes
//! the moves, and `server` and `client` are the members in their `environment`. `ledger` keeps
//! every request, `counts` sums up and `report` prints. Invariant: the update has failed if a
//! request was lost, or executed twice where that is excluded. Not here: lost connections and dying
//! brokers; all members stop in order.

mod client;
pub(crate) mod command;
mod counts;
mod environment;
mod fleet;
mod kinds;
mod ledger;
mod phases;
mod report;
mod server;
