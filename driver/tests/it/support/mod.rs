//! Helpers that the tests share.

pub(crate) mod every_broker;
pub(crate) mod fixture;
pub(crate) mod old_python;
pub(crate) mod raw;
pub(crate) mod tls;
