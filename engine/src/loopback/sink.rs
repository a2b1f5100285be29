//! A peer that only counts, for benches that measure a publisher alone.
//!
//! It completes handshakes, accepts every declaration, and looks only at the frame headers of what
//! follows. A channel with confirms gets one ack per read for all its publications in that read. It
//! has no routing, no queues and no checks. Bytes that are not frames end the connection and count
//! as an error, so that a bench cannot mistake garbage for speed.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;

use amq_protocol::protocol::{AMQPClass, confirm, connection};

use crate::loopback::canned::write_response;
use crate::loopback::peer_server::{PeerCounters, PeerServer, bad_frame, read_protocol_header};
use crate::wire::cold::parse_method;
use crate::wire::frame::{FRAME_END, FrameHeader, FrameKind};
use crate::wire::hot::Ack;

/// Size of the receive buffer: large, so that the sink's own system calls cost little.
const RECEIVE_BYTES: usize = 1 << 20;

/// Class and method id of `basic.publish` at the start of a payload.
const PUBLISH: [u8; 4] = [0, 60, 0, 40];

/// A running sink. Dropping it stops it.
#[derive(Debug)]
pub struct Sink {
    server: PeerServer,
}

impl Sink {
    /// Starts a sink on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// The error of binding the port or of starting a thread.
    pub fn start() -> io::Result<Self> {
        Self::start_over(Ok)
    }

    /// Starts a sink whose connections `wrap` changes first, such as by TLS.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_over<S: Read + Write>(
        wrap: impl Fn(TcpStream) -> io::Result<S> + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let serve = move |stream: TcpStream, counters: &PeerCounters| {
            stream.set_nodelay(true)?;
            serve_publisher(wrap(stream)?, counters)
        };
        Ok(Self { server: PeerServer::start("loopback-sink", serve)? })
    }

    /// Returns the address it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.server.addr
    }

    /// Returns the address it listens on as an AMQP URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.addr())
    }

    /// Returns the number of publications received so far.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.server.counters.published.load(Ordering::Relaxed)
    }

    /// Returns the number of bytes read so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.server.counters.bytes.load(Ordering::Relaxed)
    }

    /// Returns the number of reads that returned them.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.server.counters.reads.load(Ordering::Relaxed)
    }

    /// Returns the number of connections that ended with an error: bytes that are not frames, or a
    /// reset.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.server.counters.errors.load(Ordering::Relaxed)
    }

    /// Cuts every connection and frees the port before it returns.
    pub fn stop(self) {
        drop(self);
    }
}

/// A channel with confirms: its publications, and how many of them are confirmed.
#[derive(Debug)]
struct ConfirmChannel {
    channel: u16,
    published: u64,
    confirmed: u64,
}

fn serve_publisher(mut stream: impl Read + Write, counters: &PeerCounters) -> io::Result<()> {
    read_protocol_header(&mut stream)?;
    let mut buffer = vec![0; RECEIVE_BYTES];
    let mut filled = 0;
    let mut confirm_channels: Vec<ConfirmChannel> = Vec::new();
    let mut out = Vec::new();
    loop {
        let count = stream.read(&mut buffer[filled..])?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let (used, published) = scan_frames(&buffer[..filled], &mut confirm_channels, &mut out)?;
        counters.bytes.fetch_add(count as u64, Ordering::Relaxed);
        counters.reads.fetch_add(1, Ordering::Relaxed);
        counters.published.fetch_add(published, Ordering::Relaxed);
        buffer.copy_within(used..filled, 0);
        filled -= used;
        if filled == buffer.len() {
            return Err(bad_frame("a frame larger than the receive buffer"));
        }
        for channel in confirm_channels.iter_mut().filter(|it| it.published > it.confirmed) {
            let multiple = channel.published - channel.confirmed > 1;
            channel.confirmed = channel.published;
            let ack = Ack { delivery_tag: channel.published, multiple };
            ack.encode_frame(channel.channel, &mut out);
        }
        if !out.is_empty() {
            stream.write_all(&out)?;
            out.clear();
        }
    }
}

/// Steps from frame header to frame header and answers methods. Returns the bytes used and the
/// number of publications.
fn scan_frames(
    bytes: &[u8],
    confirm_channels: &mut Vec<ConfirmChannel>,
    out: &mut Vec<u8>,
) -> io::Result<(usize, u64)> {
    let (mut used, mut published) = (0, 0);
    while let Some(&[kind, c1, c0, s3, s2, s1, s0]) = bytes[used..].first_chunk() {
        let end = used + FrameHeader::LEN + u32::from_be_bytes([s3, s2, s1, s0]) as usize;
        match bytes.get(end) {
            None => break,
            Some(&FRAME_END) => (),
            Some(_) => return Err(bad_frame("no end octet")),
        }
        if kind == FrameKind::Method as u8 {
            let payload = &bytes[used + FrameHeader::LEN..end];
            let channel = u16::from_be_bytes([c1, c0]);
            if payload.starts_with(&PUBLISH) {
                published += 1;
                if let Some(it) = confirm_channels.iter_mut().find(|it| it.channel == channel) {
                    it.published += 1;
                }
            } else {
                handle_method(channel, payload, confirm_channels, out)?;
            }
        }
        used = end + 1;
    }
    Ok((used, published))
}

fn handle_method(
    channel: u16,
    payload: &[u8],
    confirm_channels: &mut Vec<ConfirmChannel>,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let method = parse_method(payload).map_err(|error| bad_frame(&error.to_string()))?;
    match method {
        AMQPClass::Confirm(confirm::AMQPMethod::Select(_)) => {
            confirm_channels.push(ConfirmChannel { channel, published: 0, confirmed: 0 });
        }
        AMQPClass::Channel(amq_protocol::protocol::channel::AMQPMethod::Open(_)) => {
            confirm_channels.retain(|it| it.channel != channel);
        }
        AMQPClass::Connection(connection::AMQPMethod::Close(_)) => confirm_channels.clear(),
        _ => (),
    }
    write_response(channel, &method, out);
    Ok(())
}
