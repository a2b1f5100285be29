//! Publishing: confirms, refusals, limits of the outbox, blocked brokers.

mod blocked;
mod outbox;
mod publish;
mod refusal_sink;
mod refusals;
