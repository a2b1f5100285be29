//! A minimal blocking client: reads one frame after the other and panics on anything unexpected.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection, exchange, queue};
use amq_protocol::types::{AMQPValue, FieldTable};

use crate::loopback::config::LoopbackConfig;
use crate::loopback::server::Loopback;
use crate::wire::cold::{encode_method_frame, parse_method};
use crate::wire::content::write_body_frames;
use crate::wire::frame::{FrameKind, FrameView, PROTOCOL_HEADER, Parsed};
use crate::wire::hot::{HotMethod, Publish};
use crate::wire::properties::{ContentHeader, Properties};

/// Longest wait; only a failing test waits that long.
const WAIT: Duration = Duration::from_secs(10);

pub(super) fn start() -> Loopback {
    Loopback::start(LoopbackConfig::default()).unwrap()
}

/// A frame as received.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) kind: FrameKind,
    pub(super) channel: u16,
    pub(super) payload: Vec<u8>,
}

/// A message as received.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    pub(super) tag: u64,
    pub(super) redelivered: bool,
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) properties: Properties,
    pub(super) body: Vec<u8>,
}

pub(super) struct Client {
    pub(super) stream: TcpStream,
    buffer: Vec<u8>,
    pub(super) frame_max: u32,
}

impl Client {
    /// Connects a socket and sends nothing.
    pub(super) fn raw(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new(), frame_max: 131_072 }
    }

    /// Opens a connection to `/`.
    pub(super) fn connect(addr: SocketAddr) -> Self {
        let mut client = Self::raw(addr);
        client.start("PLAIN", b"\0guest\0guest");
        client.tune(0);
        client.open("/");
        client.expect_connection_open();
        client
    }

    /// Opens a connection and channel 1.
    pub(super) fn with_channel(addr: SocketAddr) -> Self {
        let mut client = Self::connect(addr);
        client.open_channel(1);
        client
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(super) fn send(&mut self, channel: u16, method: AMQPClass) {
        let mut out = Vec::new();
        encode_method_frame(&mut out, channel, &method);
        self.write(&out);
    }

    /// Returns the next frame, or `None` at the end of the stream.
    pub(super) fn try_frame(&mut self) -> Option<Frame> {
        loop {
            let parsed = FrameView::parse(&self.buffer, self.frame_max).unwrap();
            if let Parsed::Complete { frame, used } = parsed {
                let FrameView { kind, channel, payload } = frame;
                let frame = Frame { kind, channel, payload: payload.to_vec() };
                self.buffer.drain(..used);
                return Some(frame);
            }
            let mut piece = [0; 65_536];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(count) => self.buffer.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    pub(super) fn frame(&mut self) -> Frame {
        self.try_frame().expect("a frame, not the end of the stream")
    }

    pub(super) fn method(&mut self, channel: u16) -> AMQPClass {
        let frame = self.frame();
        assert_eq!((frame.kind, frame.channel), (FrameKind::Method, channel), "{frame:?}");
        parse_method(&frame.payload).unwrap()
    }

    pub(super) fn expect_end(&mut self) {
        assert_eq!(self.try_frame(), None);
    }

    /// Reads bytes, frames or not, until `is_enough`.
    pub(super) fn read_until(&mut self, is_enough: impl Fn(&[u8]) -> bool) {
        while !is_enough(&self.buffer) {
            let mut piece = [0; 65_536];
            let count = self.stream.read(&mut piece).unwrap();
            assert!(count > 0, "the stream ended with {}", crate::wire::print(&self.buffer));
            self.buffer.extend_from_slice(&piece[..count]);
        }
    }

    /// Reads until the stream ends and returns the bytes.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.buffer);
        self.stream.read_to_end(&mut bytes).unwrap();
        bytes
    }

    pub(super) fn start(&mut self, mechanism: &str, response: &[u8]) {
        self.write(&PROTOCOL_HEADER);
        let AMQPClass::Connection(connection::AMQPMethod::Start(start)) = self.method(0) else {
            panic!("expected connection.start");
        };
        assert!(start.mechanisms.to_string().split(' ').any(|offered| offered == "PLAIN"));
        let mut capabilities = FieldTable::default();
        for name in ["authentication_failure_close", "consumer_cancel_notify", "connection.blocked"]
        {
            capabilities.insert(name.into(), AMQPValue::Boolean(true));
        }
        let mut client_properties = FieldTable::default();
        client_properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
        let ok = connection::StartOk {
            client_properties,
            mechanism: mechanism.into(),
            response: response.into(),
            locale: "en_US".into(),
        };
        self.send(0, AMQPClass::Connection(connection::AMQPMethod::StartOk(ok)));
    }

    pub(super) fn tune(&mut self, heartbeat: u16) {
        let AMQPClass::Connection(connection::AMQPMethod::Tune(tune)) = self.method(0) else {
            panic!("expected connection.tune");
        };
        self.frame_max = tune.frame_max;
        let ok = connection::TuneOk {
            channel_max: tune.channel_max,
            frame_max: tune.frame_max,
            heartbeat,
        };
        self.send(0, AMQPClass::Connection(connection::AMQPMethod::TuneOk(ok)));
    }

    pub(super) fn open(&mut self, vhost: &str) {
        let open = connection::Open { virtual_host: vhost.into() };
        self.send(0, AMQPClass::Connection(connection::AMQPMethod::Open(open)));
    }

    pub(super) fn expect_connection_open(&mut self) {
        let ok = connection::AMQPMethod::OpenOk(connection::OpenOk {});
        assert_eq!(self.method(0), AMQPClass::Connection(ok));
    }

    pub(super) fn open_channel(&mut self, number: u16) {
        self.send(number, AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {})));
        let ok = channel::AMQPMethod::OpenOk(channel::OpenOk {});
        assert_eq!(self.method(number), AMQPClass::Channel(ok));
    }

    /// Expects the broker to close the channel, answers, and returns code and text.
    pub(super) fn expect_channel_close(&mut self, number: u16) -> (u16, String) {
        let method = self.method(number);
        let AMQPClass::Channel(channel::AMQPMethod::Close(close)) = method else {
            panic!("expected channel.close, got {method:?}");
        };
        self.send(number, AMQPClass::Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {})));
        (close.reply_code, close.reply_text.to_string())
    }

    /// Expects the broker to close the connection, answers, and returns code and text.
    pub(super) fn expect_connection_close(&mut self) -> (u16, String) {
        let method = self.method(0);
        let AMQPClass::Connection(connection::AMQPMethod::Close(close)) = method else {
            panic!("expected connection.close, got {method:?}");
        };
        let ok = connection::AMQPMethod::CloseOk(connection::CloseOk {});
        self.send(0, AMQPClass::Connection(ok));
        (close.reply_code, close.reply_text.to_string())
    }

    pub(super) fn send_queue(&mut self, method: queue::AMQPMethod) {
        self.send(1, AMQPClass::Queue(method));
    }

    pub(super) fn send_exchange(&mut self, method: exchange::AMQPMethod) {
        self.send(1, AMQPClass::Exchange(method));
    }

    pub(super) fn send_basic(&mut self, method: basic::AMQPMethod) {
        self.send(1, AMQPClass::Basic(method));
    }

    pub(super) fn declare(&mut self, declare: queue::Declare) -> queue::DeclareOk {
        self.send_queue(queue::AMQPMethod::Declare(declare));
        match self.method(1) {
            AMQPClass::Queue(queue::AMQPMethod::DeclareOk(ok)) => ok,
            other => panic!("expected queue.declare-ok, got {other:?}"),
        }
    }

    pub(super) fn declare_queue(&mut self, name: &str) {
        self.declare(queue::Declare { queue: name.into(), ..queue::Declare::default() });
    }

    pub(super) fn declare_exchange(&mut self, name: &str, kind: &str) {
        let declare = exchange::Declare {
            exchange: name.into(),
            kind: kind.into(),
            ..exchange::Declare::default()
        };
        self.send_exchange(exchange::AMQPMethod::Declare(declare));
        let ok = exchange::AMQPMethod::DeclareOk(exchange::DeclareOk {});
        assert_eq!(self.method(1), AMQPClass::Exchange(ok));
    }

    pub(super) fn bind(&mut self, queue: &str, exchange: &str, routing_key: &str) {
        self.send_queue(queue::AMQPMethod::Bind(queue::Bind {
            queue: queue.into(),
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            ..queue::Bind::default()
        }));
        let ok = queue::AMQPMethod::BindOk(queue::BindOk {});
        assert_eq!(self.method(1), AMQPClass::Queue(ok));
    }

    pub(super) fn confirm_select(&mut self) {
        self.send(1, AMQPClass::Confirm(confirm::AMQPMethod::Select(confirm::Select::default())));
        let ok = confirm::AMQPMethod::SelectOk(confirm::SelectOk {});
        assert_eq!(self.method(1), AMQPClass::Confirm(ok));
    }

    pub(super) fn qos(&mut self, prefetch_count: u16, global: bool) {
        self.send_basic(basic::AMQPMethod::Qos(basic::Qos { prefetch_count, global }));
        let ok = basic::AMQPMethod::QosOk(basic::QosOk {});
        assert_eq!(self.method(1), AMQPClass::Basic(ok));
    }

    pub(super) fn consume(&mut self, queue: &str, tag: &str, no_ack: bool) {
        self.send_basic(basic::AMQPMethod::Consume(basic::Consume {
            queue: queue.into(),
            consumer_tag: tag.into(),
            no_ack,
            ..basic::Consume::default()
        }));
        let ok = basic::ConsumeOk { consumer_tag: tag.into() };
        assert_eq!(self.method(1), AMQPClass::Basic(basic::AMQPMethod::ConsumeOk(ok)));
    }

    pub(super) fn publish(&mut self, exchange: &str, routing_key: &str, body: &[u8]) {
        let publish = Publish { exchange, routing_key, ..Publish::default() };
        self.publish_with(&publish, &Properties::new(), body);
    }

    pub(super) fn publish_with(
        &mut self,
        publish: &Publish<'_>,
        properties: &Properties,
        body: &[u8],
    ) {
        let mut out = Vec::new();
        publish.encode_frame(1, &mut out);
        properties.encode_frame(1, body.len() as u64, &mut out);
        write_body_frames(&mut out, 1, body, self.frame_max);
        self.write(&out);
    }

    /// Reads header and body of a content whose method was already read.
    pub(super) fn content(&mut self) -> (Properties, Vec<u8>) {
        let frame = self.frame();
        assert_eq!(frame.kind, FrameKind::Header);
        let header = ContentHeader::parse(&frame.payload).unwrap();
        let mut body = Vec::new();
        while (body.len() as u64) < header.body_size {
            let frame = self.frame();
            assert_eq!(frame.kind, FrameKind::Body);
            body.extend_from_slice(&frame.payload);
        }
        (header.properties.to_owned(), body)
    }

    /// Reads the next delivery to any consumer.
    pub(super) fn delivery(&mut self) -> Message {
        let frame = self.frame();
        let Ok(Some(HotMethod::Deliver(deliver))) = HotMethod::parse(&frame.payload) else {
            panic!("expected basic.deliver, got {}", crate::wire::print(&frame.payload));
        };
        let (properties, body) = self.content();
        Message {
            tag: deliver.delivery_tag,
            redelivered: deliver.redelivered,
            exchange: deliver.exchange.to_owned(),
            routing_key: deliver.routing_key.to_owned(),
            properties,
            body,
        }
    }

    /// Sends `basic.get`; returns `None` if the queue is empty.
    pub(super) fn get(&mut self, queue: &str, no_ack: bool) -> Option<Message> {
        self.send_basic(basic::AMQPMethod::Get(basic::Get { queue: queue.into(), no_ack }));
        match self.method(1) {
            AMQPClass::Basic(basic::AMQPMethod::GetEmpty(_)) => None,
            AMQPClass::Basic(basic::AMQPMethod::GetOk(ok)) => {
                let (properties, body) = self.content();
                Some(Message {
                    tag: ok.delivery_tag,
                    redelivered: ok.redelivered,
                    exchange: ok.exchange.to_string(),
                    routing_key: ok.routing_key.to_string(),
                    properties,
                    body,
                })
            }
            other => panic!("expected basic.get-ok or get-empty, got {other:?}"),
        }
    }

    /// Waits until the broker has handled everything sent so far.
    pub(super) fn sync(&mut self) {
        self.qos(0, true);
    }
}

/// Creates a table of integers.
pub(super) fn arguments(entries: &[(&str, i32)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in entries {
        table.insert((*key).into(), AMQPValue::LongInt(*value));
    }
    table
}
