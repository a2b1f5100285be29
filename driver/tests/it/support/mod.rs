//! What the tests share.

pub(crate) mod old_python;
pub(crate) mod world;
