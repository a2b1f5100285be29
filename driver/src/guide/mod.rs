//! Guides: what belongs to no single item, with examples that compile.
//!
//! Each page is a Markdown file beside this one.

#[doc = include_str!("configuration.md")]
pub mod configuration {}

#[doc = include_str!("observing.md")]
pub mod observing {}
