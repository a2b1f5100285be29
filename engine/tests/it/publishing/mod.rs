//! Publishing: confirms, refusals, limits of the outbox, blocked brokers.

mod blocked;
mod confirms_together;
mod failure_sink;
mod outbox;
mod publish;
mod refusals;
