//! Certificates made on the spot, and brokers that show and ask for them.

mod authority;
mod listener;

pub use authority::{Authority, Issued, Leaf};
pub use listener::TlsListener;
