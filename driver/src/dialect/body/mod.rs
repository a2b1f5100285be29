//! What the bodies of both formats share.
//!
//! `keys` are the keys of their objects, `fields` says which key belongs to which field of a
//! message, `object` writes an object in each serialization, `member` reads one. `failure` reads
//! what both formats say about an exception, `scratch` is the buffer that is decoded into.

pub(super) mod failure;
pub(super) mod fields;
pub(super) mod keys;
pub(super) mod member;
pub(super) mod object;
pub(crate) mod scratch;
