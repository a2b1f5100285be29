//! Guides: topics that concern more than one item, with examples that compile.
//!
//! Begin with [`from_python`] if you know oslo.messaging, else with [`rpc`] or [`notifications`].
//!
//! - [`queues`]: the queues and exchanges at the broker.
//! - [`delivery`]: the delivery guarantees.
//! - [`errors`]: the errors, and what happened to the message.
//! - [`reliability`]: faults, what a recovery costs, and how each guarantee is checked.
//! - [`dialects`]: how oslo's two drivers share a broker.
//! - [`rolling_update`]: the move from one driver to the other while services run.
//! - [`security`]: TLS, certificates and passwords.
//! - [`performance`]: what messages cost, which choices change it, and how it grows.
//! - [`observing`]: health, metrics, spans and events.
//! - [`configuration`]: all options.
//! - [`api`]: all of oslo.messaging's API, and where it is here.
//!
//! Each page is a Markdown file in the same folder.

#[doc = include_str!("api.md")]
pub mod api {}

#[doc = include_str!("configuration.md")]
pub mod configuration {}

#[doc = include_str!("delivery.md")]
pub mod delivery {}

#[doc = include_str!("dialects.md")]
pub mod dialects {}

#[doc = include_str!("errors.md")]
pub mod errors {}

#[doc = include_str!("from_python.md")]
pub mod from_python {}

#[doc = include_str!("notifications.md")]
pub mod notifications {}

#[doc = include_str!("observing.md")]
pub mod observing {}

#[doc = include_str!("performance.md")]
#[doc = "<div>"]
#[doc = include_str!("plots/callers-cpu.svg")]
#[doc = include_str!("plots/callers-p99.svg")]
#[doc = include_str!("plots/connections-cpu.svg")]
#[doc = include_str!("plots/servers-p50.svg")]
#[doc = include_str!("plots/size-p50.svg")]
#[doc = include_str!("plots/size-cpu.svg")]
#[doc = "</div>"]
pub mod performance {}

#[doc = include_str!("queues.md")]
pub mod queues {}

#[doc = include_str!("reliability.md")]
pub mod reliability {}

#[doc = include_str!("rolling_update.md")]
pub mod rolling_update {}

#[doc = include_str!("security.md")]
pub mod security {}

#[doc = include_str!("rpc.md")]
pub mod rpc {}

#[cfg(test)]
mod tests;
