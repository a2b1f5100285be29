//! The registry: every option there is, one row each, by oslo's groups and names.
//!
//! A row is the name, the kind of value with the place it goes to, and what it is for; the default
//! is what stands in that place untouched. Invariant: an option that is listed does something.

pub(crate) mod aliases;
mod choices;
mod dialect_choices;
mod general;
pub(crate) mod groups;
mod leveret;
mod pika;
mod rabbit;
pub(crate) mod row;
pub(crate) mod settings;
pub(crate) mod value;
