//! The reactor on io_uring: sockets on our own ring, everything else on tokio-uring's runtime.
//!
//! tokio-uring's own operations cost a sleeping shard four system calls per completion, this ring
//! one: the shard enters it to submit and to wait at once, and the kernel posts completions only
//! then (`DEFER_TASKRUN`, which tokio-uring cannot use: it would hang). Rules found by measuring
//! and kept as tests (`reactor::tests`): the ring and the runtime are created on the thread that
//! runs them; never SQPOLL; a dropped stream leaves its descriptor open while a receive is pending,
//! so shut down, wait for the operations, then drop.

mod drive;
mod ring;
#[cfg(test)]
mod tests;
mod wakeup;

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;

pub(super) use self::ring::Ring;
use self::ring::{Buffer, File, SendWait};
use super::resolve::Resolver;
use super::{AfterWrite, Completion, Reactor, SocketOptions, Stream, connect};
use crate::reactor::uring::drive::Driver;

#[derive(Clone)]
pub(crate) struct Uring {
    driver: Rc<Driver>,
    resolver: Resolver,
}

impl Uring {
    fn new(driver: &Rc<Driver>) -> Self {
        Self { driver: Rc::clone(driver), resolver: Resolver::default() }
    }
}

impl Reactor for Uring {
    type Stream = Socket;

    async fn connect(&self, host: &str, port: u16, options: SocketOptions) -> io::Result<Socket> {
        let stream = connect::connect(&self.resolver, host, port, options).await?.into_std()?;
        // A non-blocking socket would complete with EAGAIN instead of waiting.
        stream.set_nonblocking(false)?;
        let (ring, stream) = (Rc::clone(self.driver.ring()), Rc::new(stream));
        Ok(Socket { ring, stream, is_full: Cell::new(false) })
    }

    async fn poll_io(&self) -> io::Result<()> {
        self.driver.poll_io().await;
        Ok(())
    }
}

/// A connected socket whose operations go through the ring of its shard.
pub(crate) struct Socket {
    ring: Rc<Ring>,
    stream: Rc<TcpStream>,
    /// The last send found too little room, so the next one waits for room.
    is_full: Cell<bool>,
}

impl Socket {
    fn file(&self) -> File {
        File::Socket(Rc::clone(&self.stream))
    }

    async fn send(
        &self,
        mut buffer: Buffer,
        range: Range<usize>,
        after: AfterWrite,
    ) -> Completion<Buffer> {
        loop {
            let waits = match after {
                AfterWrite::Waits if !self.is_full.get() => SendWait::Never,
                _ => SendWait::ForRoom,
            };
            let (done, back) = self.ring.send(self.file(), buffer, range.clone(), waits).await;
            match &done {
                _ if is_interrupted(&done) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_full.set(true),
                _ => {
                    self.is_full.set(done.as_ref().is_ok_and(|sent| *sent < range.len()));
                    return (done, back);
                }
            }
            buffer = back;
        }
    }
}

impl Stream for Socket {
    async fn read(&self, mut block: Vec<u8>) -> Completion<Vec<u8>> {
        loop {
            let (done, back) = self.ring.receive(self.file(), block).await;
            block = back.owned();
            if !is_interrupted(&done) {
                return (done, block);
            }
        }
    }

    async fn write(
        &self,
        buffer: Vec<u8>,
        range: Range<usize>,
        after: AfterWrite,
    ) -> Completion<Vec<u8>> {
        let (done, back) = self.send(Buffer::Owned(buffer), range, after).await;
        (done, back.owned())
    }

    async fn write_shared(&self, body: Bytes, range: Range<usize>) -> Completion<Bytes> {
        let after = AfterWrite::Continues;
        let (done, back) = self.send(Buffer::Shared(body), range, after).await;
        (done, back.shared())
    }

    fn shutdown(&self) {
        // An error means that the peer has already closed.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

fn is_interrupted(done: &io::Result<usize>) -> bool {
    done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted)
}

/// The runtime of a shard on io_uring; must be created on the thread that runs it.
pub(super) struct Runtime {
    tokio: tokio_uring::Runtime,
    driver: Rc<Driver>,
}

impl Runtime {
    pub(super) fn new() -> io::Result<Self> {
        Self::on(Ring::new()?)
    }

    pub(super) fn on(ring: Ring) -> io::Result<Self> {
        let tokio = tokio_uring::Runtime::new(tokio_uring::builder().entries(8))?;
        Ok(Self { tokio, driver: Rc::new(Driver::new(ring)?) })
    }

    /// Runs the future that `program` returns to its end.
    pub(super) fn block_on<F: Future>(
        &self,
        program: impl FnOnce(Uring) -> F,
    ) -> io::Result<F::Output> {
        let program = program(Uring::new(&self.driver));
        self.tokio.block_on(self.driver.drive(program))
    }
}

/// Runs the future that `program` returns to its end on the current runtime, beside its other
/// tasks.
pub(super) async fn run_attached<F: Future>(
    program: impl FnOnce(Uring) -> F,
) -> io::Result<F::Output> {
    let driver = Rc::new(Driver::attached(Ring::new()?)?);
    let program = program(Uring::new(&driver));
    driver.drive(program).await
}
