//! A blocking peer whose every byte the test writes, one frame after the other.
//!
//! It panics on its own thread on anything unexpected; the test then sees its connection end.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection, exchange, queue};
use amq_protocol::types::FieldTable;
use leveret_engine::ConnectionConfig;
use leveret_engine::wire::{FrameKind, FrameView, Parsed, encode_method_frame, parse_method};

use crate::support::setup::WAIT;

pub(crate) struct Peer {
    stream: TcpStream,
    buffer: Vec<u8>,
    is_over: bool,
}

/// Listens on a free port and calls `act` for every client, one after another. Closes the stream
/// when `act` returns.
pub(crate) fn peer(act: impl Fn(&mut Peer) + Send + 'static) -> ConnectionConfig {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(WAIT)).unwrap();
            act(&mut Peer { stream, buffer: Vec::new(), is_over: false });
        }
    });
    ConnectionConfig::to("127.0.0.1", port)
}

/// Encodes a method as a frame.
pub(crate) fn frame(channel: u16, method: AMQPClass) -> Vec<u8> {
    let mut out = Vec::new();
    encode_method_frame(&mut out, channel, &method);
    out
}

pub(crate) fn on_connection(method: connection::AMQPMethod) -> Vec<u8> {
    frame(0, AMQPClass::Connection(method))
}

/// Returns `connection.start`, the first method of a broker.
pub(crate) fn start() -> Vec<u8> {
    on_connection(connection::AMQPMethod::Start(connection::Start {
        version_major: 0,
        version_minor: 9,
        server_properties: FieldTable::default(),
        mechanisms: "PLAIN".into(),
        locales: "en_US".into(),
    }))
}

pub(crate) fn tune() -> Vec<u8> {
    let tune = connection::Tune { channel_max: 2047, frame_max: 131_072, heartbeat: 0 };
    on_connection(connection::AMQPMethod::Tune(tune))
}

pub(crate) fn open_ok() -> Vec<u8> {
    on_connection(connection::AMQPMethod::OpenOk(connection::OpenOk {}))
}

/// Returns the positive reply to a request, or `None` for a method without a reply.
pub(crate) fn answer(number: u16, method: &AMQPClass) -> Option<Vec<u8>> {
    let answer = match method {
        AMQPClass::Channel(channel::AMQPMethod::Open(_)) => {
            AMQPClass::Channel(channel::AMQPMethod::OpenOk(channel::OpenOk {}))
        }
        AMQPClass::Channel(channel::AMQPMethod::Close(_)) => {
            AMQPClass::Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {}))
        }
        AMQPClass::Confirm(confirm::AMQPMethod::Select(_)) => {
            AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(confirm::SelectOk {}))
        }
        AMQPClass::Exchange(exchange::AMQPMethod::Declare(_)) => {
            AMQPClass::Exchange(exchange::AMQPMethod::DeclareOk(exchange::DeclareOk {}))
        }
        AMQPClass::Queue(queue::AMQPMethod::Declare(declare)) => {
            let ok = queue::DeclareOk { queue: declare.queue.clone(), ..Default::default() };
            AMQPClass::Queue(queue::AMQPMethod::DeclareOk(ok))
        }
        AMQPClass::Basic(basic::AMQPMethod::Consume(consume)) => {
            let ok = basic::ConsumeOk { consumer_tag: consume.consumer_tag.clone() };
            AMQPClass::Basic(basic::AMQPMethod::ConsumeOk(ok))
        }
        AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel)) => {
            let ok = basic::CancelOk { consumer_tag: cancel.consumer_tag.clone() };
            AMQPClass::Basic(basic::AMQPMethod::CancelOk(ok))
        }
        AMQPClass::Connection(connection::AMQPMethod::Close(_)) => {
            AMQPClass::Connection(connection::AMQPMethod::CloseOk(connection::CloseOk {}))
        }
        _ => return None,
    };
    Some(frame(number, answer))
}

impl Peer {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // A client that has closed the stream needs no more bytes.
        self.try_send(bytes);
    }

    /// Sends bytes; returns false if the client has closed the stream.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Reads the protocol header.
    pub(crate) fn read_header(&mut self) {
        let mut header = [0; 8];
        self.stream.read_exact(&mut header).unwrap();
        assert_eq!(header, *b"AMQP\0\0\x09\x01");
    }

    /// Returns the next method and its channel, or `None` at the end of the stream. Skips
    /// heartbeats.
    pub(crate) fn read_method(&mut self) -> Option<(u16, AMQPClass)> {
        loop {
            let parsed = FrameView::parse(&self.buffer, 131_072).unwrap();
            if let Parsed::Complete { frame, used } = parsed {
                let heard = (!frame.payload.is_empty())
                    .then(|| (frame.channel, parse_method(frame.payload).unwrap()));
                self.buffer.drain(..used);
                if heard.is_some() {
                    return heard;
                }
                continue;
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Ok(0) | Err(_) => {
                    self.is_over = true;
                    return None;
                }
                Ok(count) => self.buffer.extend_from_slice(&piece[..count]),
            }
        }
    }

    /// Returns the next method, like [`Self::read_method`], within `limit`.
    pub(crate) fn read_method_within(&mut self, limit: Duration) -> Option<(u16, AMQPClass)> {
        self.stream.set_read_timeout(Some(limit)).unwrap();
        let heard = self.read_method();
        self.stream.set_read_timeout(Some(WAIT)).unwrap();
        heard
    }

    /// Reads the header and the body of a message with one body frame.
    pub(crate) fn skip_content(&mut self) {
        let mut left = 2;
        while left > 0 {
            let parsed = FrameView::parse(&self.buffer, 131_072).unwrap();
            if let Parsed::Complete { frame, used } = parsed {
                assert_ne!(frame.kind, FrameKind::Method);
                self.buffer.drain(..used);
                left -= 1;
                continue;
            }
            let mut piece = [0; 4096];
            let count = self.stream.read(&mut piece).unwrap();
            assert_ne!(count, 0, "the message is cut off");
            self.buffer.extend_from_slice(&piece[..count]);
        }
    }

    /// Returns true if the client has closed the stream.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Performs the handshake up to an open connection.
    pub(crate) fn open_connection(&mut self) {
        self.read_header();
        self.send(&start());
        self.read_method();
        self.send(&tune());
        self.read_method();
        self.read_method();
        self.send(&open_ok());
    }

    /// Keeps the stream open until the client closes it.
    pub(crate) fn wait_for_end(&mut self) {
        let mut piece = [0; 4096];
        while self.stream.read(&mut piece).is_ok_and(|count| count > 0) {}
    }
}
