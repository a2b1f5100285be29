//! A peer that only sends, for benches that measure a consumer alone.
//!
//! It accepts every declaration and answers `basic.consume` with endless deliveries, as fast as the
//! socket accepts them, from a buffer rendered once in which only delivery tags change. It reads
//! and ignores acknowledgements and does not enforce the prefetch limit.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use amq_protocol::protocol::{AMQPClass, basic, connection};

use crate::loopback::canned::{FRAME_MAX, consumer_tag, write_response};
use crate::loopback::peer_server::{PeerCounters, PeerServer, bad_frame, read_protocol_header};
use crate::wire::cold::parse_method;
use crate::wire::content::write_body_frames;
use crate::wire::frame::{FrameKind, FrameView, Parsed};
use crate::wire::hot::Deliver;
use crate::wire::properties::Properties;

/// Minimum size of the rendered buffer, and so of a write: enough to keep a loopback socket full.
const RENDERED_BYTES: usize = 256 << 10;

/// Offset of the delivery tag, without the consumer tag's length: frame header, ids, length octet.
const TAG_OFFSET: usize = 7 + 4 + 1;

/// A running source. Dropping it stops it.
#[derive(Debug)]
pub struct Source {
    server: PeerServer,
}

impl Source {
    /// Starts a source on a free port of 127.0.0.1, with deliveries of `body_bytes` bytes each.
    ///
    /// # Errors
    /// The error of binding the port or of starting a thread.
    pub fn start(body_bytes: usize) -> io::Result<Self> {
        let server = PeerServer::start("loopback-source", move |stream, counters| {
            serve_consumer(stream, counters, body_bytes)
        })?;
        Ok(Self { server })
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

    /// Returns the number of deliveries sent so far.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.server.counters.published.load(Ordering::Relaxed)
    }

    /// Returns the bytes of deliveries sent so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.server.counters.bytes.load(Ordering::Relaxed)
    }

    /// Cuts every connection and frees the port before it returns.
    pub fn stop(self) {
        drop(self);
    }
}

/// A row of deliveries, ready to be sent.
struct Rendered {
    bytes: Vec<u8>,
    /// Length of one delivery.
    stride: usize,
    /// Offset of the delivery tag in a delivery.
    tag_offset: usize,
}

impl Rendered {
    fn new(channel: u16, consumer_tag: &str, frame_max: u32, body_bytes: usize) -> Self {
        let deliver = Deliver {
            consumer_tag,
            delivery_tag: 0,
            redelivered: false,
            exchange: "",
            routing_key: "source",
        };
        let properties =
            Properties::new().with_content_type("application/octet-stream").with_delivery_mode(1);
        let mut one = Vec::new();
        deliver.encode_frame(channel, &mut one);
        properties.encode_frame(channel, body_bytes as u64, &mut one);
        write_body_frames(&mut one, channel, &vec![b'x'; body_bytes], frame_max);
        let count = RENDERED_BYTES.div_ceil(one.len());
        Self {
            stride: one.len(),
            tag_offset: TAG_OFFSET + consumer_tag.len(),
            bytes: one.repeat(count),
        }
    }

    /// Numbers the deliveries from `tag` on; returns their count.
    fn set_delivery_tags(&mut self, tag: u64) -> u64 {
        let mut next = tag;
        for one in self.bytes.chunks_exact_mut(self.stride) {
            one[self.tag_offset..][..8].copy_from_slice(&next.to_be_bytes());
            next += 1;
        }
        next - tag
    }
}

/// Serves one connection: answers on this thread, sends deliveries from another.
fn serve_consumer(
    mut stream: TcpStream,
    counters: &PeerCounters,
    body_bytes: usize,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    read_protocol_header(&mut stream)?;
    let writing = Arc::new(Mutex::new(stream.try_clone()?));
    let stopping = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let result = answer_methods(
            &mut stream,
            &writing,
            |channel, frame_max, consume| {
                let rendered = Rendered::new(channel, consumer_tag(consume), frame_max, body_bytes);
                let (writing, stopping) = (Arc::clone(&writing), Arc::clone(&stopping));
                scope.spawn(move || send_until_end(rendered, &writing, &stopping, counters));
            },
            &stopping,
        );
        stopping.store(true, Ordering::Release);
        // Ends a write to a client that no longer reads.
        let _ = stream.shutdown(Shutdown::Both);
        result
    })
}

fn send_until_end(
    mut rendered: Rendered,
    writing: &Mutex<TcpStream>,
    stopping: &AtomicBool,
    counters: &PeerCounters,
) {
    let mut tag = 1;
    while !stopping.load(Ordering::Acquire) {
        let count = rendered.set_delivery_tags(tag);
        tag += count;
        let mut stream = writing.lock().unwrap_or_else(PoisonError::into_inner);
        if stream.write_all(&rendered.bytes).is_err() {
            return;
        }
        drop(stream);
        counters.published.fetch_add(count, Ordering::Relaxed);
        counters.bytes.fetch_add(rendered.bytes.len() as u64, Ordering::Relaxed);
    }
}

/// Reads frames, answers methods, and calls `begin` for each consumer, until the stream ends.
fn answer_methods(
    stream: &mut TcpStream,
    writing: &Mutex<TcpStream>,
    begin: impl Fn(u16, u32, &basic::Consume),
    stopping: &AtomicBool,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut frame_max = FRAME_MAX;
    loop {
        let mut piece = [0; 64 << 10];
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Ok(());
        }
        buffer.extend_from_slice(&piece[..count]);
        let mut used = 0;
        while let Parsed::Complete { frame, used: length } =
            FrameView::parse(&buffer[used..], frame_max).map_err(|it| bad_frame(&it.to_string()))?
        {
            used += length;
            if frame.kind != FrameKind::Method {
                continue;
            }
            let method =
                parse_method(frame.payload).map_err(|error| bad_frame(&error.to_string()))?;
            let mut out = Vec::new();
            match &method {
                AMQPClass::Connection(connection::AMQPMethod::TuneOk(ok)) if ok.frame_max > 0 => {
                    frame_max = ok.frame_max;
                }
                AMQPClass::Connection(connection::AMQPMethod::Close(_))
                | AMQPClass::Channel(amq_protocol::protocol::channel::AMQPMethod::Close(_))
                | AMQPClass::Basic(basic::AMQPMethod::Cancel(_)) => {
                    stopping.store(true, Ordering::Release);
                }
                _ => (),
            }
            write_response(frame.channel, &method, &mut out);
            writing.lock().unwrap_or_else(PoisonError::into_inner).write_all(&out)?;
            if let AMQPClass::Basic(basic::AMQPMethod::Consume(consume)) = &method {
                stopping.store(false, Ordering::Release);
                begin(frame.channel, frame_max, consume);
            }
        }
        buffer.drain(..used);
    }
}
