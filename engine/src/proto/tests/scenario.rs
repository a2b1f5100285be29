//! A connection in any state; tests pass bytes to it and check its events and its output.
//!
//! Time stands still unless a test advances it. Each call passes its bytes in one block;
//! `receive_bytewise` passes them one at a time.

use std::time::{Duration, Instant};

use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection};
use amq_protocol::types::FieldTable;
use zeroize::Zeroizing;

use crate::buffer::BufferPool;
use crate::proto::connection::Connection;
use crate::proto::error::ProtoError;
use crate::proto::event::Event;
use crate::proto::handshake::{Credentials, Settings};
use crate::wire::cold::{encode_method_frame, parse_method};
use crate::wire::content::write_body_frames;
use crate::wire::frame::{FrameView, Parsed};
use crate::wire::hot::Deliver;
use crate::wire::properties::{ContentHeader, PropertiesView};

/// An event in a form that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EventSummary {
    Opened { frame_max: u32 },
    Reply { token: u64, method: (u16, u16) },
    Delivery { channel: u16, tag: u64, key: String, body: Vec<u8> },
    Returned { channel: u16, code: u16, key: String, body: Vec<u8> },
    Oversized { size: u64, tail: Vec<u8>, sum: u32 },
    Confirmed { channel: u16, tag: u64, multiple: bool, ack: bool },
    ConsumerCancelled { channel: u16, tag: String },
    ChannelClosed { channel: u16, code: u16, text: String },
    Blocked(String),
    Unblocked,
    Closed { code: u16, text: String },
}

impl From<Event> for EventSummary {
    fn from(event: Event) -> Self {
        match event {
            Event::Opened { frame_max } => Self::Opened { frame_max },
            Event::Reply { token, method } => {
                let method = (method.get_amqp_class_id(), method.get_amqp_method_id());
                Self::Reply { token, method }
            }
            Event::Delivery { channel, content } => {
                let deliver = content.deliver().unwrap();
                assert!(content.returned().is_none());
                let (tag, key) = (deliver.delivery_tag, deliver.routing_key.to_owned());
                Self::Delivery { channel, tag, key, body: content.body().to_vec() }
            }
            Event::Returned { channel, content } => {
                let returned = content.returned().unwrap();
                let (code, key) = (returned.reply_code, returned.routing_key.to_owned());
                Self::Returned { channel, code, key, body: content.into_body().to_vec() }
            }
            Event::Oversized { content, size, body, .. } => {
                Self::Oversized { size, tail: content.body().to_vec(), sum: body.finalize() }
            }
            Event::Confirmed { channel, tag, multiple, ack } => {
                Self::Confirmed { channel, tag, multiple, ack }
            }
            Event::ConsumerCancelled { channel, consumer_tag: tag } => {
                Self::ConsumerCancelled { channel, tag }
            }
            Event::ChannelClosed { channel, code, text, .. } => {
                Self::ChannelClosed { channel, code, text }
            }
            Event::Blocked { reason } => Self::Blocked(reason),
            Event::Unblocked => Self::Unblocked,
            Event::Closed { code, text } => Self::Closed { code, text },
        }
    }
}

pub(super) struct Scenario {
    pub(super) connection: Connection,
    pub(super) now: Instant,
    pool: BufferPool,
    events: Vec<EventSummary>,
}

pub(super) fn settings() -> Settings {
    Settings {
        credentials: Credentials::Plain {
            user: "guest".into(),
            password: Zeroizing::new("secret".into()),
        },
        vhost: "/".into(),
        connection_name: "scenario".into(),
        frame_max: 131_072,
        channel_max: 2047,
        heartbeat: Duration::from_secs(10),
        body_max: 1 << 20,
    }
}

impl Scenario {
    /// Creates a connection that has received nothing.
    pub(super) fn greeting(settings: Settings) -> Self {
        let now = Instant::now();
        let connection = Connection::new(settings, now);
        Self { connection, now, pool: BufferPool::new(1 << 16, 8), events: Vec::new() }
    }

    /// Creates a connection that has sent `start-ok`.
    pub(super) fn starting() -> Self {
        let mut scenario = Self::greeting(settings());
        scenario.receive(&start("PLAIN AMQPLAIN"));
        scenario.sent();
        scenario
    }

    /// Creates a connection that has sent `tune-ok` and `open`.
    pub(super) fn opening() -> Self {
        let mut scenario = Self::starting();
        scenario.receive(&tune(2047, 131_072, 60));
        scenario.sent();
        scenario
    }

    /// Creates an open connection, with frames of 4096 bytes at most.
    pub(super) fn open() -> Self {
        let mut scenario = Self::starting();
        scenario.receive(&tune(2047, 4096, 60));
        scenario.receive(&open_ok());
        scenario.sent();
        assert_eq!(scenario.events(), [EventSummary::Opened { frame_max: 4096 }]);
        scenario
    }

    /// Creates an open connection, with channels 1 and 2 open.
    pub(super) fn with_channels() -> Self {
        let mut scenario = Self::open();
        for number in [1, 2] {
            assert!(scenario.connection.open_channel(number, 100 + u64::from(number)));
            scenario.receive(&on(number, channel::AMQPMethod::OpenOk(channel::OpenOk {})));
        }
        scenario.sent();
        scenario.events();
        scenario
    }

    /// Receives bytes that must be valid.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.try_receive(bytes).unwrap();
    }

    pub(super) fn try_receive(&mut self, bytes: &[u8]) -> Result<(), ProtoError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut block = self.pool.take(true).unwrap();
            let piece = rest.split_off(..rest.len().min(block.len())).unwrap();
            block[..piece.len()].copy_from_slice(piece);
            if piece.len() == block.len() {
                self.pool.grow();
            }
            let block = self.pool.share(block);
            let (connection, events) = (&mut self.connection, &mut self.events);
            let on = &mut |event: Event| events.push(event.into());
            let result = connection.handle_input(&block, piece.len(), self.now, on);
            self.pool.put_back(block);
            result?;
        }
        Ok(())
    }

    /// Receives one byte at a time.
    pub(super) fn receive_bytewise(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.receive(&[byte]));
    }

    /// Returns the error with which these bytes end the connection.
    pub(super) fn refuses(mut self, bytes: &[u8]) -> ProtoError {
        self.try_receive(bytes).unwrap_err()
    }

    /// Returns the events since the last call.
    pub(super) fn events(&mut self) -> Vec<EventSummary> {
        std::mem::take(&mut self.events)
    }

    /// Returns the output since the last call.
    pub(super) fn output(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.connection.take_output(&mut out);
        assert!(!self.connection.has_output());
        out
    }

    /// Returns the methods in the output since the last call, each with its channel.
    pub(super) fn sent(&mut self) -> Vec<(u16, AMQPClass)> {
        let out = self.output();
        let mut rest = out.strip_prefix(b"AMQP\0\0\x09\x01").unwrap_or(&out);
        let mut methods = Vec::new();
        while let Parsed::Complete { frame, used } = FrameView::parse(rest, 131_072).unwrap() {
            methods.push((frame.channel, parse_method(frame.payload).unwrap()));
            rest = &rest[used..];
        }
        assert!(rest.is_empty(), "whole frames only");
        methods
    }

    /// Returns the methods like `sent`, as class and method ids.
    pub(super) fn sent_ids(&mut self) -> Vec<(u16, u16, u16)> {
        let ids = |(channel, method): (u16, AMQPClass)| {
            (channel, method.get_amqp_class_id(), method.get_amqp_method_id())
        };
        self.sent().into_iter().map(ids).collect()
    }

    /// Advances the time and handles the timeout.
    pub(super) fn wait(&mut self, seconds: u64) -> Result<(), ProtoError> {
        self.now += Duration::from_secs(seconds);
        self.connection.handle_timeout(self.now)
    }
}

// ---- frames of a broker

/// Parses hexadecimal bytes, written as in the specification, with any spaces.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

pub(super) trait Method {
    fn class(self) -> AMQPClass;
}

macro_rules! methods {
    ($($module:ident $class:ident),*) => {
        $(impl Method for $module::AMQPMethod {
            fn class(self) -> AMQPClass {
                AMQPClass::$class(self)
            }
        })*
    };
}

methods!(basic Basic, channel Channel, confirm Confirm, connection Connection);

/// Encodes a method frame on a channel.
pub(super) fn on(channel: u16, method: impl Method) -> Vec<u8> {
    let mut out = Vec::new();
    encode_method_frame(&mut out, channel, &method.class());
    out
}

pub(super) fn start(mechanisms: &str) -> Vec<u8> {
    on(
        0,
        connection::AMQPMethod::Start(connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties: FieldTable::default(),
            mechanisms: mechanisms.as_bytes().to_vec().into(),
            locales: "en_US".into(),
        }),
    )
}

pub(super) fn tune(channel_max: u16, frame_max: u32, heartbeat: u16) -> Vec<u8> {
    let tune = connection::Tune { channel_max, frame_max, heartbeat };
    on(0, connection::AMQPMethod::Tune(tune))
}

pub(super) fn open_ok() -> Vec<u8> {
    on(0, connection::AMQPMethod::OpenOk(connection::OpenOk {}))
}

pub(super) fn close(code: u16, text: &str) -> Vec<u8> {
    let (class_id, method_id) = (0, 0);
    let close =
        connection::Close { reply_code: code, reply_text: text.into(), class_id, method_id };
    on(0, connection::AMQPMethod::Close(close))
}

pub(super) fn close_ok() -> Vec<u8> {
    on(0, connection::AMQPMethod::CloseOk(connection::CloseOk {}))
}

pub(super) fn channel_close(number: u16, code: u16, text: &str) -> Vec<u8> {
    let (class_id, method_id) = (0, 0);
    let close = channel::Close { reply_code: code, reply_text: text.into(), class_id, method_id };
    on(number, channel::AMQPMethod::Close(close))
}

/// Encodes `basic.deliver` alone.
pub(super) fn deliver(channel: u16, tag: u64) -> Vec<u8> {
    let deliver = Deliver {
        consumer_tag: "c",
        delivery_tag: tag,
        redelivered: false,
        exchange: "",
        routing_key: "key",
    };
    let mut out = Vec::new();
    deliver.encode_frame(channel, &mut out);
    out
}

/// Encodes a content header alone.
pub(super) fn header(channel: u16, size: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let properties = PropertiesView::default();
    ContentHeader { body_size: size, properties }.encode_frame(channel, &mut out);
    out
}

/// Encodes body frames of at most 4096 bytes.
pub(super) fn body(channel: u16, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_body_frames(&mut out, channel, bytes, 4096);
    out
}

/// Encodes a whole delivery.
pub(super) fn delivery(channel: u16, tag: u64, bytes: &[u8]) -> Vec<u8> {
    [deliver(channel, tag), header(channel, bytes.len() as u64), body(channel, bytes)].concat()
}

/// Returns the event of a whole delivery.
pub(super) fn delivered(channel: u16, tag: u64, bytes: &[u8]) -> EventSummary {
    EventSummary::Delivery { channel, tag, key: "key".into(), body: bytes.to_vec() }
}
