//! Memory of the receive path: blocks that a socket fills and that are lent out as counted slices.
//!
//! Invariant: a block is written only while only the pool and the socket hold it. Nothing here
//! knows frames or sockets, and nothing here needs `unsafe`: the reference count proves uniqueness.

mod body;
mod pool;
mod slice;

pub use body::Body;
pub(crate) use pool::BufferPool;
pub(crate) use slice::Block;
