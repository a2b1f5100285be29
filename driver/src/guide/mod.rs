//! Guides: what belongs to no single item, with examples that compile.
//!
//! Begin with [`from_python`] if you know oslo.messaging, else with [`rpc`] or [`notifications`].
//! [`queues`], [`delivery`] and [`errors`] say what goes on at the broker, what is promised and
//! what may fail, [`reliability`] what bad days cost, [`dialects`] how oslo's two drivers share a
//! broker, and [`rolling_update`] leads operators from one to the other; [`observing`] says what
//! can be seen of it all, [`configuration`] lists the options and [`api`] all of oslo's API.
//!
//! Each page is a Markdown file beside this one.

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

#[doc = include_str!("queues.md")]
pub mod queues {}

#[doc = include_str!("reliability.md")]
pub mod reliability {}

#[doc = include_str!("rolling_update.md")]
pub mod rolling_update {}

#[doc = include_str!("rpc.md")]
pub mod rpc {}

#[cfg(test)]
mod tests;
