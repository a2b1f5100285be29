//! What the bodies of both formats share.
//!
//! `object` writes an object member by member, `member` reads one.

pub(super) mod member;
pub(super) mod object;
