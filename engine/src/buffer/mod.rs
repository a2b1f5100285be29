//! Memory of the receive path: blocks that are filled by a socket and lent out as counted slices.
//!
//! Invariant: a block is written only while nobody but the pool and the socket holds it. Nothing
//! here knows frames or sockets, and nothing here needs `unsafe`: uniqueness is asked of the
//! reference count.

mod body;
mod pool;
mod slice;

pub use body::Body;
pub(crate) use pool::BufferPool;
pub(crate) use slice::{Block, Slice};
