//! `chaos`: clients and servers under load, and one fault after the other.
//!
//! It counts by ids what was lost, executed twice, late, or reported falsely, and measures how soon
//! everything works again. `command` starts a run. `sequence` says which fault comes when, and
//! `site` makes it, on a private cluster or on brokers that already run. `fleet` holds the
//! processes, which are this program again (`worker`) or Python's; they send in `stream`s and
//! report in lines of JSON (`protocol`). `run` drives both. `ledger` keeps every request,
//! `scheduling_delay` and `usage` watch the processes; `results` judges the requests, stores what a
//! run came to and prints it. Invariant: a run has failed if a promise was broken. Not here:
//! servers and clients that die.

pub(crate) mod command;
mod fleet;
mod ledger;
mod protocol;
mod results;
mod run;
mod scheduling_delay;
mod sequence;
mod site;
mod stream;
mod usage;
mod worker;
