//! The reactor on io_uring, through tokio-uring's operations.
//!
//! Rules found by measuring, kept as tests beside (`probes`): the runtime is built with
//! `Runtime::new` on the thread that runs it; never DEFER_TASKRUN (hangs) or SQPOLL; submissions
//! leave when the thread parks, so no task may spin; a dropped stream leaves its descriptor open
//! while a receive is pending, so: shut down, wait for the operations, then drop.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use tokio_uring::buf::BoundedBuf;
use tokio_uring::net::TcpStream;

use super::{Done, Reactor, SocketOptions, Stream, connect};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Uring;

impl Reactor for Uring {
    type Stream = TcpStream;

    async fn connect(
        &self,
        host: &str,
        port: u16,
        options: SocketOptions,
    ) -> io::Result<TcpStream> {
        let stream = connect::connect(host, port, options).await?.into_std()?;
        // A non-blocking socket would answer EAGAIN through the ring instead of waiting.
        stream.set_nonblocking(false)?;
        Ok(TcpStream::from_std(stream))
    }
}

impl Stream for TcpStream {
    async fn read(&self, block: Vec<u8>) -> Done<Vec<u8>> {
        Self::read(self, block).await
    }

    async fn write(&self, buffer: Vec<u8>, range: Range<usize>) -> Done<Vec<u8>> {
        let (done, slice) = Self::write(self, buffer.slice(range)).submit().await;
        (done, slice.into_inner())
    }

    async fn write_shared(&self, body: Bytes, range: Range<usize>) -> Done<Bytes> {
        let (done, slice) = Self::write(self, BoundedBuf::slice(body, range)).submit().await;
        (done, slice.into_inner())
    }

    fn shutdown(&self) {
        // An error means the peer was faster.
        let _ = Self::shutdown(self, std::net::Shutdown::Both);
    }
}

/// The runtime of a shard on io_uring; to be built on the thread that will run it.
pub(super) fn runtime() -> io::Result<tokio_uring::Runtime> {
    let mut ring = tokio_uring::uring_builder();
    ring.setup_coop_taskrun().setup_taskrun_flag().setup_single_issuer();
    let mut builder = tokio_uring::builder();
    tokio_uring::Runtime::new(builder.entries(256).uring_builder(&ring)).or_else(|error| {
        // Kernels before 6.0 know none of these flags.
        if error.raw_os_error() != Some(rustix::io::Errno::INVAL.raw_os_error()) {
            return Err(error);
        }
        tokio_uring::Runtime::new(tokio_uring::builder().entries(256))
    })
}
