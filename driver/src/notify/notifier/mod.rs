//! The notifier: sends notifications through its drivers.

pub(crate) mod builder;
pub(crate) mod driver;
pub(crate) mod fnmatch;
#[cfg(feature = "log-handler")]
pub(crate) mod layer;
pub(crate) mod log;
pub(crate) mod mask;
mod messaging;
pub(crate) mod notifier;
pub(crate) mod routing_file;
