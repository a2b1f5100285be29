//! Name resolution and connecting, the same for every backend that has a kernel.
//!
//! Each address of a host is tried in turn; the caller's deadline bounds them all.

use std::io;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpStream, lookup_host};

/// What is asked of a socket before bytes move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketOptions {
    /// How long sent bytes may stay unacknowledged by the peer's kernel (TCP_USER_TIMEOUT); zero
    /// leaves the system's default.
    pub(crate) user_timeout: Duration,
}

pub(super) async fn connect(
    host: &str,
    port: u16,
    options: SocketOptions,
) -> io::Result<TcpStream> {
    let mut last = None;
    for address in lookup_host((host, port)).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                configure(&stream, options)?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}

fn configure(stream: &TcpStream, options: SocketOptions) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    if !options.user_timeout.is_zero() {
        socket.set_tcp_user_timeout(Some(options.user_timeout))?;
    }
    Ok(())
}
