//! Busy polling: keeps the thread from sleeping for a while, without stopping its I/O.
//!
//! A task that yields in a loop would keep tokio from parking, and only a parking thread submits to
//! the ring. An eventfd that is readable at every park makes each park return at once instead.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{EventfdFlags, eventfd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The eventfd that ends a park.
#[derive(Debug)]
pub(crate) struct BusyPoll(AsyncFd<OwnedFd>);

impl BusyPoll {
    pub(crate) fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        #[allow(deprecated, reason = "an OwnedFd keeps its promise; the successor is new in 1.54")]
        Ok(Self(AsyncFd::with_interest(fd, Interest::READABLE)?))
    }

    /// Lets the thread park once and wakes it at once, so I/O proceeds and the thread does not
    /// sleep.
    pub(crate) async fn poll_io(&self) -> io::Result<()> {
        rustix::io::write(self.0.get_ref(), &1_u64.to_ne_bytes())?;
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}
