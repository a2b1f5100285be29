//! The reactor on plain tokio, for machines where io_uring is not available.

use std::cell::OnceCell;
use std::io;
use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::reactor::busy_poll::BusyPoll;
use crate::reactor::connect::SocketOptions;
use crate::reactor::resolve::Resolver;
use crate::reactor::{AfterWrite, Completion, Reactor, Stream, connect};

#[derive(Clone, Debug, Default)]
pub(crate) struct Epoll {
    busy_poll: Rc<OnceCell<BusyPoll>>,
    resolver: Resolver,
}

impl Reactor for Epoll {
    type Stream = TcpStream;

    async fn connect(
        &self,
        host: &str,
        port: u16,
        options: SocketOptions,
    ) -> io::Result<TcpStream> {
        connect::connect(&self.resolver, host, port, options).await
    }

    async fn poll_io(&self) -> io::Result<()> {
        let busy_poll = match self.busy_poll.get() {
            Some(busy_poll) => busy_poll,
            None => {
                let busy_poll = BusyPoll::new()?;
                self.busy_poll.get_or_init(|| busy_poll)
            }
        };
        busy_poll.poll_io().await
    }
}

impl Stream for TcpStream {
    async fn read(&self, mut block: Vec<u8>) -> Completion<Vec<u8>> {
        // `async_io` counts against tokio's budget, so a socket that always has data does not
        // starve the other tasks of its shard.
        let done = self.async_io(Interest::READABLE, || self.try_read(&mut block)).await;
        (done, block)
    }

    async fn write(
        &self,
        buffer: Vec<u8>,
        range: Range<usize>,
        _after: AfterWrite,
    ) -> Completion<Vec<u8>> {
        (write(self, &buffer[range]).await, buffer)
    }

    async fn write_shared(&self, body: Bytes, range: Range<usize>) -> Completion<Bytes> {
        (write(self, &body[range]).await, body)
    }

    fn shutdown(&self) {
        // An error means that the peer has already closed.
        let _ = SockRef::from(self).shutdown(std::net::Shutdown::Both);
    }
}

async fn write(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    stream.async_io(Interest::WRITABLE, || stream.try_write(bytes)).await
}
