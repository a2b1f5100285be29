//! The connection: routes frames by channel number, responds where the protocol requires it, and
//! keeps the two heartbeat deadlines.
//!
//! Invariant: the output holds whole frames only, so the writer may put publications before or
//! after it. Elsewhere: publications (their callers render them), confirms (`confirms`),
//! acknowledgements (`unacked`), responses that wait for a peer that does not read (`responses`).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use amq_protocol::protocol::{AMQPClass, basic, channel, connection};
use bytes::BytesMut;
use zeroize::Zeroize as _;

use crate::buffer::Block;
use crate::proto::channel::Channel;
use crate::proto::content::{Completed, Piece};
use crate::proto::error::ProtoError;
use crate::proto::event::Event;
use crate::proto::handshake;
use crate::proto::handshake::{Credentials, FRAME_MAX_BEFORE_TUNE, Settings, short};
use crate::proto::heartbeat::Heartbeat;
use crate::proto::inbound::{Inbound, Item};
use crate::proto::responses::Responses;
use crate::proto::text::printable;
use crate::wire::cold::{encode_method_frame, parse_method};
use crate::wire::frame::{FrameKind, FrameView, PROTOCOL_HEADER};
use crate::wire::hot::HotMethod;

/// Room for what may follow a frame with a secret.
const OUTPUT_SPARE: usize = 16 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    AwaitStart,
    AwaitTune,
    AwaitOpen,
    Open,
    Closing,
    Closed,
}

type OnEvent<'a> = &'a mut dyn FnMut(Event);

/// One connection, from its first byte to its last.
pub(crate) struct Connection {
    state: State,
    settings: Settings,
    inbound: Inbound,
    frames: Frames,
    has_greeting: bool,
    /// The broker supports `connection.update-secret`.
    supports_update_secret: bool,
}

/// All state but the framing, so that a frame can stay borrowed from the framing.
struct Frames {
    channels: BTreeMap<u16, Channel>,
    arena: BytesMut,
    output: Vec<u8>,
    /// The output holds a password.
    has_secret: bool,
    responses: Responses,
    heartbeat: Heartbeat,
    frame_max: u32,
    channel_max: u16,
    body_max: u64,
}

impl Connection {
    pub(crate) fn new(settings: Settings, now: Instant) -> Self {
        let frames = Frames {
            channels: BTreeMap::new(),
            arena: BytesMut::new(),
            output: PROTOCOL_HEADER.to_vec(),
            has_secret: false,
            responses: Responses::default(),
            heartbeat: Heartbeat::new(Duration::ZERO, now),
            frame_max: FRAME_MAX_BEFORE_TUNE,
            channel_max: 0,
            body_max: settings.body_max,
        };
        let inbound = Inbound::new(FRAME_MAX_BEFORE_TUNE);
        let (state, has_greeting, supports_update_secret) = (State::AwaitStart, false, false);
        Self { state, settings, inbound, frames, has_greeting, supports_update_secret }
    }

    /// Handles the first `filled` bytes of a block.
    pub(crate) fn handle_input(
        &mut self,
        block: &Block,
        filled: usize,
        now: Instant,
        on: OnEvent<'_>,
    ) -> Result<(), ProtoError> {
        self.frames.heartbeat.received(now);
        let input = &block[..filled];
        if !std::mem::replace(&mut self.has_greeting, true) {
            check_greeting(input)?;
        }
        let mut at = 0;
        while let Some(item) = self.inbound.next(input, &mut at)? {
            let frame = match item {
                Item::Piece { channel, start, len, left } => {
                    let piece = Piece { block, start, len, left };
                    self.frames.handle_body_piece(channel, piece, on)?;
                    continue;
                }
                Item::Frame(frame) => frame,
            };
            match frame.kind {
                FrameKind::Heartbeat => {}
                FrameKind::Method if frame.channel == 0 => {
                    let method = parse_method(frame.payload)?;
                    self.handle_connection_method(method, now, on)?;
                }
                FrameKind::Method => self.frames.handle_method(frame, on)?,
                FrameKind::Header => self.frames.handle_header(frame, on)?,
                FrameKind::Body => return Err(unexpected("body frame", frame.channel)),
            }
            if self.state == State::Closed {
                break;
            }
        }
        Ok(())
    }

    /// Handles a method on channel 0.
    fn handle_connection_method(
        &mut self,
        method: AMQPClass,
        now: Instant,
        on: OnEvent<'_>,
    ) -> Result<(), ProtoError> {
        use connection::AMQPMethod as Method;
        let AMQPClass::Connection(method) = method else {
            return Err(unexpected("method", 0));
        };
        match (self.state, method) {
            (State::AwaitStart, Method::Start(start)) => {
                let reply = handshake::start_ok(&start, &self.settings)?;
                self.supports_update_secret =
                    handshake::supports_update_secret(&start.server_properties);
                self.frames.encode(0, &reply);
                // The credentials are not needed again.
                let used = std::mem::replace(&mut self.settings.credentials, Credentials::External);
                self.frames.write_secret(&used.response(), handshake::LOCALE);
                self.state = State::AwaitTune;
            }
            (State::AwaitTune, Method::Tune(tune)) => {
                let tuned = handshake::tune(&tune, &self.settings)?;
                self.frames.encode(0, &handshake::tune_ok(tuned));
                self.frames.encode(0, &handshake::open(&self.settings.vhost));
                self.inbound.set_frame_max(tuned.frame_max);
                self.frames.frame_max = tuned.frame_max;
                self.frames.channel_max = tuned.channel_max;
                self.frames.heartbeat = Heartbeat::new(tuned.heartbeat, now);
                self.state = State::AwaitOpen;
            }
            (State::AwaitOpen, Method::OpenOk(_)) => {
                self.state = State::Open;
                on(Event::Opened { frame_max: self.frames.frame_max });
            }
            (State::Open, Method::Blocked(blocked)) => {
                on(Event::Blocked { reason: printable(blocked.reason.as_str()).into_owned() });
            }
            (State::Open, Method::Unblocked(_)) => on(Event::Unblocked),
            (State::Open, Method::UpdateSecretOk(_)) => {}
            (State::Closing, Method::CloseOk(_)) => {
                self.state = State::Closed;
                on(Event::Closed { code: 200, text: "closed on request".into() });
            }
            (_, Method::Close(close)) => {
                self.frames
                    .encode(0, &AMQPClass::Connection(Method::CloseOk(connection::CloseOk {})));
                self.state = State::Closed;
                let text = printable(close.reply_text.as_str()).into_owned();
                on(Event::Closed { code: close.reply_code, text });
            }
            (State::Closing, _) => {}
            _ => return Err(unexpected("connection method", 0)),
        }
        Ok(())
    }

    /// Opens a channel; `channel.open-ok` answers `token`. Returns false if the number is out of
    /// range or in use.
    pub(crate) fn open_channel(&mut self, channel: u16, token: u64) -> bool {
        let frames = &mut self.frames;
        if channel == 0 || channel > frames.channel_max || frames.channels.contains_key(&channel) {
            return false;
        }
        frames.channels.insert(channel, Channel::default());
        self.request(
            channel,
            token,
            AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {})),
        )
    }

    /// Returns the largest channel number that both sides agreed to; zero before that.
    pub(crate) fn channel_max(&self) -> u16 {
        self.frames.channel_max
    }

    /// Returns true if this number is in use on the wire, which it is until `channel.close-ok`.
    pub(crate) fn has_channel(&self, channel: u16) -> bool {
        self.frames.channels.contains_key(&channel)
    }

    /// Sends a request that has a reply. Returns false if the channel is not open.
    pub(crate) fn request(&mut self, channel: u16, token: u64, method: AMQPClass) -> bool {
        let Some(open) = self.frames.channels.get_mut(&channel) else { return false };
        if let Some(method) = open.request(token, method) {
            self.frames.encode(channel, &method);
        }
        true
    }

    /// Sends the broker a new password (RabbitMQ extension). Returns false if the broker does not
    /// support that.
    pub(crate) fn update_secret(&mut self, secret: &str) -> bool {
        if self.state != State::Open || !self.supports_update_secret {
            return false;
        }
        let reason = "renewed";
        let new_secret = vec![0; secret.len()].into();
        let update = connection::UpdateSecret { new_secret, reason: short(reason) };
        self.frames.encode(0, &AMQPClass::Connection(connection::AMQPMethod::UpdateSecret(update)));
        self.frames.write_secret(secret.as_bytes(), reason);
        true
    }

    /// Starts to close the connection; `Event::Closed` follows.
    pub(crate) fn close(&mut self, code: u16, text: &str) {
        let close = connection::Close {
            reply_code: code,
            reply_text: short(text),
            class_id: 0,
            method_id: 0,
        };
        self.frames.encode(0, &AMQPClass::Connection(connection::AMQPMethod::Close(close)));
        self.state = State::Closing;
    }

    /// Returns when `handle_timeout` must be called.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.frames.heartbeat.next_deadline()
    }

    /// Sends a heartbeat that is due, or reports a dead peer.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), ProtoError> {
        match self.frames.heartbeat.check(now) {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.frames.responses.heartbeat();
                Ok(())
            }
            Err(silence) => Err(ProtoError::HeartbeatMissed(silence)),
        }
    }

    /// Records that bytes were sent to the peer.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.frames.heartbeat.sent(now);
    }

    /// Sets whether we read from this peer; while we do not, its silence has no meaning.
    pub(crate) fn set_reading(&mut self, is_reading: bool, now: Instant) {
        self.frames.heartbeat.set_reading(is_reading, now);
    }

    /// Appends the frames to be sent to `out` and removes them here.
    pub(crate) fn take_output(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.frames.output);
        if std::mem::take(&mut self.frames.has_secret) {
            std::mem::take(&mut self.frames.output).zeroize();
        }
        self.frames.responses.take(out);
    }

    /// Returns true if the output holds a password. The caller that takes it has to overwrite it.
    pub(crate) fn has_secret_output(&self) -> bool {
        self.frames.has_secret
    }

    pub(crate) fn has_output(&self) -> bool {
        !self.frames.output.is_empty() || self.frames.responses.is_waiting()
    }

    /// Returns true while the body of a large message is arriving.
    pub(crate) fn is_mid_body(&self) -> bool {
        self.frames.channels.values().any(|channel| channel.assembly.is_unfinished())
    }
}

impl Frames {
    fn encode(&mut self, channel: u16, method: &AMQPClass) {
        encode_method_frame(&mut self.output, channel, method);
    }

    /// Writes a secret over the zeros in the last frame of the output, which a short string
    /// follows: encoding would leave copies of it in memory.
    fn write_secret(&mut self, secret: &[u8], followed_by: &str) {
        // What is encoded before the output is taken must not move it.
        self.output.reserve(OUTPUT_SPARE);
        let end = self.output.len() - 1 - (1 + followed_by.len());
        self.output[end - secret.len()..end].copy_from_slice(secret);
        self.has_secret = true;
    }

    /// Responds to a method that the broker sent unasked.
    fn respond(&mut self, channel: u16, method: &AMQPClass) -> Result<(), ProtoError> {
        self.responses.put(&mut self.output, channel, method)
    }

    fn channel(&mut self, number: u16) -> Result<&mut Channel, ProtoError> {
        self.channels.get_mut(&number).ok_or(ProtoError::UnknownChannel(number))
    }

    fn handle_method(&mut self, frame: FrameView<'_>, on: OnEvent<'_>) -> Result<(), ProtoError> {
        let number = frame.channel;
        let channel = self.channel(number)?;
        if !channel.assembly.is_idle() {
            return Err(unexpected("method inside a content", number));
        }
        match HotMethod::parse(frame.payload)? {
            Some(HotMethod::Deliver(_) | HotMethod::Return(_)) => {
                channel.assembly.begin(frame.payload);
            }
            Some(HotMethod::Ack(ack)) => {
                let (tag, multiple) = (ack.delivery_tag, ack.multiple);
                on(Event::Confirmed { channel: number, tag, multiple, ack: true });
            }
            Some(HotMethod::Nack(nack)) => {
                let (tag, multiple) = (nack.delivery_tag, nack.multiple);
                on(Event::Confirmed { channel: number, tag, multiple, ack: false });
            }
            Some(_) => return Err(unexpected("client's method", number)),
            None => self.handle_cold_method(number, parse_method(frame.payload)?, on)?,
        }
        Ok(())
    }

    fn handle_cold_method(
        &mut self,
        number: u16,
        method: AMQPClass,
        on: OnEvent<'_>,
    ) -> Result<(), ProtoError> {
        let channel = self.channel(number)?;
        if let Some(token) = channel.take_answered(&method) {
            let closed = matches!(method, AMQPClass::Channel(channel::AMQPMethod::CloseOk(_)));
            if let Some(next) = channel.next_request() {
                self.encode(number, &next);
            }
            if closed {
                self.channels.remove(&number);
                self.responses.forget(number);
            }
            on(Event::Reply { token, method });
            return Ok(());
        }
        match method {
            AMQPClass::Channel(channel::AMQPMethod::Close(close)) => {
                // Both sides closed at once: RabbitMQ still answers our close, and the number is in
                // use until then.
                if !channel.awaits_close_ok() {
                    self.channels.remove(&number);
                }
                self.responses.forget(number);
                let reply = channel::AMQPMethod::CloseOk(channel::CloseOk {});
                self.respond(number, &AMQPClass::Channel(reply))?;
                let text = printable(close.reply_text.as_str()).into_owned();
                let (code, cause) = (close.reply_code, (close.class_id, close.method_id));
                on(Event::ChannelClosed { channel: number, code, text, cause });
            }
            // RabbitMQ sends publishers no flow since 2.0. The response is what AMQP requires; TCP
            // limits the publisher.
            AMQPClass::Channel(channel::AMQPMethod::Flow(flow)) => {
                self.responses.flow(number, flow.active);
            }
            AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel)) => {
                let consumer_tag = cancel.consumer_tag.to_string();
                if !cancel.nowait {
                    let reply = basic::CancelOk { consumer_tag: cancel.consumer_tag };
                    self.respond(number, &AMQPClass::Basic(basic::AMQPMethod::CancelOk(reply)))?;
                }
                on(Event::ConsumerCancelled { channel: number, consumer_tag });
            }
            _ if channel.is_closing() => {}
            _ => return Err(unexpected("method", number)),
        }
        Ok(())
    }

    fn handle_header(&mut self, frame: FrameView<'_>, on: OnEvent<'_>) -> Result<(), ProtoError> {
        let number = frame.channel;
        let channel = self.channels.get_mut(&number).ok_or(ProtoError::UnknownChannel(number))?;
        let content =
            channel.assembly.header(number, frame.payload, self.body_max, &mut self.arena)?;
        if let Some(content) = content {
            emit_content(number, content, on);
        }
        Ok(())
    }

    fn handle_body_piece(
        &mut self,
        number: u16,
        piece: Piece<'_>,
        on: OnEvent<'_>,
    ) -> Result<(), ProtoError> {
        let channel = self.channels.get_mut(&number).ok_or(ProtoError::UnknownChannel(number))?;
        if let Some(content) = channel.assembly.piece(number, piece, &mut self.arena)? {
            emit_content(number, content, on);
        }
        Ok(())
    }
}

fn emit_content(channel: u16, completed: Completed, on: OnEvent<'_>) {
    let content = match completed {
        Completed::Content(content) => content,
        Completed::Oversized { content, size, body } => {
            return on(Event::Oversized { channel, content, size, body });
        }
    };
    on(if content.is_return() {
        Event::Returned { channel, content }
    } else {
        Event::Delivery { channel, content }
    });
}

fn unexpected(what: &'static str, channel: u16) -> ProtoError {
    ProtoError::Unexpected { what, channel }
}

/// Checks the first bytes: a peer that refuses our protocol header answers with its own (AMQP
/// 4.2.2), and a peer that is no AMQP server answers in its own protocol.
fn check_greeting(input: &[u8]) -> Result<(), ProtoError> {
    match input {
        [b'A', b'M', b'Q', b'P', rest @ ..] => match rest {
            [_, major, minor, revision, ..] => {
                Err(ProtoError::Version { major: *major, minor: *minor, revision: *revision })
            }
            _ => Err(ProtoError::NotAmqp("a cut AMQP header".into())),
        },
        // TLS record of type 21 (alert), protocol 3.x.
        [21, 3, ..] => Err(ProtoError::TlsPort),
        [1, 0, 0, ..] | [1, 0] | [1] | [] => Ok(()),
        other => {
            let shown = &other[..other.len().min(32)];
            Err(ProtoError::NotAmqp(shown.escape_ascii().to_string()))
        }
    }
}
