//! The reactor on plain tokio, for machines where io_uring is denied.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use socket2::SockRef;
use tokio::net::TcpStream;

use super::{Done, Reactor, SocketOptions, Stream, connect};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoll;

impl Reactor for Epoll {
    type Stream = TcpStream;

    async fn connect(
        &self,
        host: &str,
        port: u16,
        options: SocketOptions,
    ) -> io::Result<TcpStream> {
        connect::connect(host, port, options).await
    }
}

impl Stream for TcpStream {
    async fn read(&self, mut block: Vec<u8>) -> Done<Vec<u8>> {
        loop {
            match self.try_read(&mut block) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return (done, block),
            }
            if let Err(error) = self.readable().await {
                return (Err(error), block);
            }
        }
    }

    async fn write(&self, buffer: Vec<u8>, range: Range<usize>) -> Done<Vec<u8>> {
        (write(self, &buffer[range]).await, buffer)
    }

    async fn write_shared(&self, body: Bytes, range: Range<usize>) -> Done<Bytes> {
        (write(self, &body[range]).await, body)
    }

    fn shutdown(&self) {
        // An error means the peer was faster.
        let _ = SockRef::from(self).shutdown(std::net::Shutdown::Both);
    }
}

async fn write(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match stream.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
        stream.writable().await?;
    }
}
