//! What the bodies of both formats share.
//!
//! `keys` are the keys of their objects, `object` writes an object member by member, `member` reads
//! one, `scratch` is the buffer that is decoded into.

pub(super) mod keys;
pub(super) mod member;
pub(super) mod object;
pub(crate) mod scratch;
