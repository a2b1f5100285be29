//! The registry: all options, one row each, by oslo's groups and names.
//!
//! A row has the name, the kind of value with the field of the settings, and a line of help; the
//! default is the field's in `Settings::default`. Invariant: an option either does something or its
//! help says that it has no effect.

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
