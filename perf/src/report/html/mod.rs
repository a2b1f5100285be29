//! A report as one HTML page.
//!
//! Invariants: the page loads nothing, which its content security policy also forbids; and every
//! text from a file passes `escape`.

mod figures;
mod page;
mod section;
mod table;

pub(crate) use page::page;
