//! A blocking AMQP connection with one channel: handshake, declarations, and whole frames in and
//! out.
//!
//! Every wait has the socket's timeout, so a dead broker is an error after `BROKER_TIMEOUT`.
//! Invariant: a close by the broker ends every wait with its code and text. Not here: the measured
//! loops.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::frames::{self, Fields, Frame, MethodId, Scanned};
use super::refusal::check_close;
use crate::broker::address::BrokerAddress;
use crate::subject::job::{DRAIN_TIMEOUT, Exchange};

/// Longest wait for a silent broker.
pub(crate) const BROKER_TIMEOUT: Duration = Duration::from_secs(10);
/// The only channel.
pub(crate) const CHANNEL: u16 = 1;
/// Bytes asked for per read.
const BLOCK_BYTES: usize = 256 * 1024;
/// Frame size we ask for, RabbitMQ's own default.
const FRAME_MAX: u32 = 131_072;

/// How a queue is declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueOptions {
    /// The broker drops the oldest messages beyond this number.
    pub(crate) max_length: Option<u32>,
    /// Other connections may declare it as well; it has to be deleted explicitly.
    pub(crate) is_shared: bool,
}

/// An open connection with channel 1 open.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Unread bytes of `buffer`.
    head: usize,
    tail: usize,
    pub(crate) frame_max: usize,
    /// The peer's product and version, if it sends them.
    product: Option<String>,
    version: Option<String>,
}

impl Client {
    /// Connects, logs in, opens the vhost and channel 1.
    pub(crate) fn connect(address: &BrokerAddress) -> Result<Self> {
        let mut resolved = (address.host.as_str(), address.port)
            .to_socket_addrs()
            .with_context(|| format!("{address:?} does not resolve"))?;
        let socket_address =
            resolved.next().with_context(|| format!("{address:?} has no address"))?;
        let stream = TcpStream::connect_timeout(&socket_address, BROKER_TIMEOUT)
            .with_context(|| format!("{address:?} does not answer"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(BROKER_TIMEOUT))?;
        stream.set_write_timeout(Some(BROKER_TIMEOUT))?;
        let buffer = vec![0; BLOCK_BYTES];
        let (product, version) = (None, None);
        let mut client = Self { stream, buffer, head: 0, tail: 0, frame_max: 0, product, version };
        client.handshake(address).with_context(|| format!("no connection to {address:?}"))?;
        Ok(client)
    }

    fn handshake(&mut self, address: &BrokerAddress) -> Result<()> {
        self.stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let start = self.wait_for(frames::CONNECTION_START)?;
        (self.product, self.version) = identity(&start);
        self.send_method(0, frames::CONNECTION_START_OK, |out| {
            frames::long(out, &client_properties());
            frames::short(out, "PLAIN");
            frames::long(out, format!("\0{}\0{}", address.user, address.password).as_bytes());
            frames::short(out, "en_US");
        })?;
        let tune = self.wait_for(frames::CONNECTION_TUNE)?;
        let mut fields = Fields(&tune[4..]);
        let channel_max = fields.u16().context("a short tune")?;
        let offered = fields.u32().context("a short tune")?;
        let frame_max = if offered == 0 { FRAME_MAX } else { offered.min(FRAME_MAX) };
        self.frame_max = frame_max as usize;
        self.send_method(0, frames::CONNECTION_TUNE_OK, |out| {
            out.extend_from_slice(&channel_max.to_be_bytes());
            out.extend_from_slice(&frame_max.to_be_bytes());
            // No heartbeats: the loops below read only when they expect something.
            out.extend_from_slice(&[0, 0]);
        })?;
        self.call(0, frames::CONNECTION_OPEN, frames::CONNECTION_OPEN_OK, |out| {
            frames::short(out, &address.vhost);
            out.extend_from_slice(&[0, 0]);
        })?;
        self.call(CHANNEL, frames::CHANNEL_OPEN, frames::CHANNEL_OPEN_OK, |out| out.push(0))?;
        Ok(())
    }

    /// Declares a queue and returns the number of its messages. The queue is exclusive unless it is
    /// shared.
    pub(crate) fn declare_queue(&mut self, name: &str, options: QueueOptions) -> Result<u32> {
        let declared = self
            .call(CHANNEL, frames::QUEUE_DECLARE, frames::QUEUE_DECLARE_OK, |out| {
                out.extend_from_slice(&[0, 0]);
                frames::short(out, name);
                out.push(if options.is_shared { 0 } else { 0b100 }); // exclusive
                let mut arguments = Vec::new();
                if let Some(length) = options.max_length {
                    frames::short(&mut arguments, "x-max-length");
                    arguments.push(b'I');
                    arguments.extend_from_slice(&length.to_be_bytes());
                }
                frames::long(out, &arguments);
            })
            .with_context(|| format!("queue {name} is refused"))?;
        let mut fields = Fields(&declared[4..]);
        fields.short().and_then(|_| fields.u32()).context("a short answer to a declaration")
    }

    /// Declares a transient exchange.
    pub(crate) fn declare_exchange(&mut self, exchange: &Exchange) -> Result<()> {
        self.call(CHANNEL, frames::EXCHANGE_DECLARE, frames::EXCHANGE_DECLARE_OK, |out| {
            out.extend_from_slice(&[0, 0]);
            frames::short(out, &exchange.name);
            frames::short(out, exchange.kind);
            out.push(if exchange.auto_delete { 0b100 } else { 0 });
            frames::long(out, b"");
        })?;
        Ok(())
    }

    /// Deletes an exchange, whether it exists or not.
    pub(crate) fn delete_exchange(&mut self, name: &str) -> Result<()> {
        self.delete(frames::EXCHANGE_DELETE, frames::EXCHANGE_DELETE_OK, name)
    }

    /// Deletes a queue with all its messages, whether it exists or not.
    pub(crate) fn delete_queue(&mut self, name: &str) -> Result<()> {
        self.delete(frames::QUEUE_DELETE, frames::QUEUE_DELETE_OK, name)
    }

    fn delete(&mut self, id: MethodId, answer: MethodId, name: &str) -> Result<()> {
        self.call(CHANNEL, id, answer, |out| {
            out.extend_from_slice(&[0, 0]);
            frames::short(out, name);
            out.push(0);
        })?;
        Ok(())
    }

    /// Binds a queue to an exchange.
    pub(crate) fn bind_queue(&mut self, queue: &str, exchange: &str, key: &str) -> Result<()> {
        self.call(CHANNEL, frames::QUEUE_BIND, frames::QUEUE_BIND_OK, |out| {
            out.extend_from_slice(&[0, 0]);
            frames::short(out, queue);
            frames::short(out, exchange);
            frames::short(out, key);
            out.push(0);
            frames::long(out, b"");
        })?;
        Ok(())
    }

    /// Consumes from a queue, with acknowledgements if `acks`.
    pub(crate) fn consume(&mut self, queue: &str, acks: bool) -> Result<()> {
        self.call(CHANNEL, frames::BASIC_CONSUME, frames::BASIC_CONSUME_OK, |out| {
            out.extend_from_slice(&[0, 0]);
            frames::short(out, queue);
            frames::short(out, "raw");
            out.push(if acks { 0 } else { 0b10 }); // no_ack
            frames::long(out, b"");
        })?;
        Ok(())
    }

    /// Enables publisher confirms.
    pub(crate) fn confirm_select(&mut self) -> Result<()> {
        self.call(CHANNEL, frames::CONFIRM_SELECT, frames::CONFIRM_SELECT_OK, |out| out.push(0))?;
        Ok(())
    }

    /// Removes the read timeout: a server waits for requests without limit.
    pub(crate) fn disable_read_timeout(&mut self) -> Result<()> {
        Ok(self.stream.set_read_timeout(None)?)
    }

    /// Closes the connection. The broker answers after it has processed everything sent before.
    pub(crate) fn close(mut self) -> Result<()> {
        self.stream.set_read_timeout(Some(DRAIN_TIMEOUT))?;
        self.stream.set_write_timeout(Some(DRAIN_TIMEOUT))?;
        self.call(0, frames::CONNECTION_CLOSE, frames::CONNECTION_CLOSE_OK, |out| {
            out.extend_from_slice(&200_u16.to_be_bytes());
            frames::short(out, "done");
            out.extend_from_slice(&[0; 4]);
        })?;
        Ok(())
    }

    /// Writes bytes that are whole frames.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("the broker does not take what we publish")
    }

    /// The next whole frame of the buffer, if there is one.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame<'_>>> {
        match frames::scan(&self.buffer[self.head..self.tail]) {
            Scanned::Frame(frame) => {
                self.head += frame.wire_bytes();
                Ok(Some(frame))
            }
            Scanned::Incomplete => Ok(None),
            Scanned::Invalid => Err(anyhow!("the peer sent something that is no AMQP frame")),
        }
    }

    /// Makes room in the buffer behind the pending bytes.
    fn make_room(&mut self) {
        if self.head == self.tail {
            (self.head, self.tail) = (0, 0);
        } else if self.tail == self.buffer.len() {
            self.buffer.copy_within(self.head..self.tail, 0);
            (self.head, self.tail) = (0, self.tail - self.head);
        }
    }

    /// Reads the bytes that have arrived, without waiting.
    pub(crate) fn try_fill(&mut self) -> Result<()> {
        self.make_room();
        let free = &mut self.buffer[self.tail..];
        match rustix::net::recv(&self.stream, free, RecvFlags::DONTWAIT) {
            Ok((_, 0)) => bail!("the broker closed the connection"),
            Ok((_, n)) => self.tail += n,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error).context("the connection broke"),
        }
        Ok(())
    }

    /// Reads, and waits for at least one byte.
    pub(crate) fn fill(&mut self) -> Result<()> {
        self.make_room();
        let read = loop {
            match self.stream.read(&mut self.buffer[self.tail..]) {
                // The kernel interrupts a read with a timeout for io_uring's completions.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read.context("the broker is silent")? {
            0 => bail!("the broker closed the connection"),
            n => self.tail += n,
        }
        Ok(())
    }

    /// The unread bytes of the buffer.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.buffer[self.head..self.tail]
    }

    /// Drops `n` unread bytes.
    pub(crate) fn skip(&mut self, n: usize) {
        self.head += n;
    }

    fn send_method(
        &mut self,
        channel: u16,
        id: MethodId,
        arguments: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        let mut out = Vec::new();
        frames::method(&mut out, channel, id, arguments);
        self.write(&out)
    }

    fn call(
        &mut self,
        channel: u16,
        id: MethodId,
        answer: MethodId,
        arguments: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Vec<u8>> {
        self.send_method(channel, id, arguments)?;
        self.wait_for(answer)
    }

    /// Waits for one method and returns its payload. Drops other frames.
    fn wait_for(&mut self, id: MethodId) -> Result<Vec<u8>> {
        loop {
            while let Some(frame) = self.next_frame()? {
                check_close(&frame)?;
                if frame.method_id() == Some(id) {
                    return Ok(frame.payload.to_vec());
                }
            }
            self.fill()?;
        }
    }
}

/// Product and version of the broker at `address`.
pub(crate) fn broker_version(address: &BrokerAddress) -> Result<String> {
    let client = Client::connect(address)?;
    let (product, version) = (client.product.clone(), client.version.clone());
    client.close()?;
    let known: Vec<String> = product.into_iter().chain(version).collect();
    Ok(if known.is_empty() { "unknown".to_owned() } else { known.join(" ") })
}

/// Capabilities of this client. With `authentication_failure_close` the broker gives a reason for a
/// refused login instead of closing the socket.
fn client_properties() -> Vec<u8> {
    let mut capabilities = Vec::new();
    frames::short(&mut capabilities, "authentication_failure_close");
    capabilities.extend_from_slice(b"t\x01");
    let mut table = Vec::new();
    frames::short(&mut table, "capabilities");
    table.push(b'F');
    frames::long(&mut table, &capabilities);
    table
}

/// Product and version of a connection.start, as far as its table has only types that brokers send.
fn identity(start: &[u8]) -> (Option<String>, Option<String>) {
    let mut found = (None, None);
    let mut fields = Fields(start.get(6..).unwrap_or(b""));
    let mut table = Fields(fields.long().unwrap_or(b""));
    while let Some(name) = table.short() {
        let text = match table.u8() {
            Some(b'S' | b'F' | b'x') => table.long(),
            Some(b't' | b'b' | b'B') => table.bytes(1),
            Some(b'I' | b'i') => table.bytes(4),
            _ => break,
        };
        let text = text.map(|text| String::from_utf8_lossy(text).into_owned());
        match name {
            b"product" => found.0 = text,
            b"version" => found.1 = text,
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_names_product_and_version() {
        let mut start = vec![0, 10, 0, 10, 0, 9];
        let mut table = client_properties();
        for (name, value) in [("product", "RabbitMQ"), ("version", "3.10.8")] {
            frames::short(&mut table, name);
            table.push(b'S');
            frames::long(&mut table, value.as_bytes());
        }
        frames::long(&mut start, &table);
        assert_eq!(identity(&start), (Some("RabbitMQ".to_owned()), Some("3.10.8".to_owned())));
        assert_eq!(identity(&start[..8]), (None, None));
    }
}
