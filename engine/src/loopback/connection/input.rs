//! Converts received bytes to methods and contents, and checks their order (AMQP 2.2.4, 4.2).
//!
//! Invariant: any bytes lead to a response, a refusal or the end of this one connection, never to a
//! panic and never to an effect on another client's connection.

use amq_protocol::protocol::AMQPClass;

use crate::loopback::broker::message::Content;
use crate::loopback::broker::refusal::Refusal;
use crate::loopback::broker::state::Broker;
use crate::loopback::config::ConnectionId;
use crate::loopback::connection::state::{Connection, PartialContent, Phase};
use crate::wire::cold::parse_method;
use crate::wire::error::WireError;
use crate::wire::frame::{FrameKind, FrameView, PROTOCOL_HEADER, Parsed};
use crate::wire::hot::{HotMethod, Publish};
use crate::wire::properties::ContentHeader;

/// Largest body accepted: `max_message_size` of RabbitMQ 3.10.
const BODY_MAX: u64 = 128 << 20;

/// What the reader does after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextRead {
    /// Keep reading.
    Continue,
    /// Keep reading once the broker is no longer blocked.
    Hold,
    /// Send what is pending and close.
    End,
}

impl Broker {
    /// Handles as many whole frames as `input` holds; returns the number of bytes used.
    pub(crate) fn handle_input(&mut self, id: ConnectionId, input: &[u8]) -> (usize, NextRead) {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            if !rest.is_empty() && self.is_silent(id) {
                return (input.len(), NextRead::Continue);
            }
            let connection = self.connection_mut(id);
            let step = match connection.phase {
                Phase::Ended => return (input.len(), NextRead::End),
                Phase::Header => self.handle_protocol_header(id, rest),
                _ => match FrameView::parse(rest, connection.frame_max) {
                    Ok(Parsed::Incomplete { .. }) => 0,
                    Ok(Parsed::Complete { frame, used }) => {
                        used + self.handle_frames(id, &frame, &rest[used..])
                    }
                    Err(error) => {
                        self.refuse_bytes(id, &error);
                        rest.len()
                    }
                },
            };
            if step == 0 {
                break;
            }
            used += step;
        }
        let next = match self.connection_mut(id) {
            Connection { phase: Phase::Ended, .. } => NextRead::End,
            Connection { is_paused: true, .. } => NextRead::Hold,
            _ => NextRead::Continue,
        };
        (used, next)
    }

    /// Returns true if the script silences this connection.
    fn is_silent(&mut self, id: ConnectionId) -> bool {
        let Some(limit) = self.script.silent_after_frames else { return false };
        let connection = self.connection_mut(id);
        if connection.frames_in < limit || (connection.phase == Phase::Header && limit > 0) {
            return false;
        }
        // The responses to earlier frames are still sent.
        connection.out.enqueue(&mut connection.pending);
        connection.out.mute();
        true
    }

    fn handle_protocol_header(&mut self, id: ConnectionId, input: &[u8]) -> usize {
        let seen = &input[..input.len().min(PROTOCOL_HEADER.len())];
        let connection = self.connection_mut(id);
        if seen != &PROTOCOL_HEADER[..seen.len()] {
            // AMQP 4.2.2: answer with the supported protocol version, and close.
            connection.pending.extend_from_slice(&PROTOCOL_HEADER);
            connection.phase = Phase::Ended;
            self.mark_dirty(id);
            return input.len();
        }
        if seen.len() < PROTOCOL_HEADER.len() {
            return 0;
        }
        connection.phase = Phase::Start;
        self.send_start(id);
        PROTOCOL_HEADER.len()
    }

    /// Refuses bytes that are not a frame, and stops reading.
    fn refuse_bytes(&mut self, id: ConnectionId, error: &WireError) {
        if self.connection_mut(id).phase == Phase::Running {
            self.close_connection(id, (0, 0), &Refusal::new(501, error.to_string()));
        }
        self.connection_mut(id).phase = Phase::Ended;
    }

    /// Handles one frame, and the frames after it if it begins a publication that is whole in
    /// `rest`; returns the number of bytes used of `rest`.
    fn handle_frames(&mut self, id: ConnectionId, frame: &FrameView<'_>, rest: &[u8]) -> usize {
        self.stats.frames_in += 1;
        let connection = self.connection_mut(id);
        connection.frames_in += 1;
        let channel = connection.channel(frame.channel);
        let is_open = channel.is_some_and(|it| !it.is_closing && it.content.is_none());
        let result = match find_whole_publication(frame, rest, connection.frame_max) {
            Some(whole) if is_open && connection.phase == Phase::Running => {
                connection.frames_in += whole.frames;
                let result = self.publish(id, frame.channel, &whole.publish, &whole.content);
                if let Err(refusal) = result {
                    self.refuse(id, frame.channel, (60, 40), &refusal);
                }
                return whole.used;
            }
            _ => self.handle_frame(id, frame),
        };
        if let Err(refusal) = result {
            self.refuse(id, frame.channel, method_ids_of(frame), &refusal);
        }
        0
    }

    fn handle_frame(&mut self, id: ConnectionId, frame: &FrameView<'_>) -> Result<(), Refusal> {
        let phase = self.connection_mut(id).phase;
        match (frame.kind, frame.channel) {
            (FrameKind::Heartbeat, 0) => Ok(()),
            (FrameKind::Heartbeat, _) => Err(Refusal::new(501, "heartbeat on a channel")),
            (FrameKind::Method, 0) => {
                let method = parse_method(frame.payload).map_err(|error| undecodable(&error))?;
                self.handle_connection_method(id, phase, method)
            }
            _ if phase == Phase::Closing => Ok(()),
            _ if phase != Phase::Running => {
                Err(Refusal::new(504, "channel frame before the connection is open"))
            }
            (FrameKind::Method, number) => self.handle_channel_method(id, number, frame.payload),
            (FrameKind::Header, number) => self.handle_header(id, number, frame.payload),
            (FrameKind::Body, number) => self.handle_body(id, number, frame.payload),
        }
    }

    fn handle_channel_method(
        &mut self,
        id: ConnectionId,
        number: u16,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        if let Some(channel) = self.connection_mut(id).channel_mut(number)
            && channel.content.is_some()
            && !channel.is_closing
        {
            return Err(Refusal::new(505, "expected a content header or body, got a method"));
        }
        let hot = HotMethod::parse(payload).map_err(|error| undecodable(&error))?;
        let Some(hot) = hot else {
            let method = parse_method(payload).map_err(|error| undecodable(&error))?;
            return self.handle_cold_method(id, number, method);
        };
        let channel = self.connection_mut(id).channel_mut(number);
        let channel = channel.ok_or_else(|| Refusal::new(504, "expected 'channel.open'"))?;
        if channel.is_closing {
            return Ok(());
        }
        match hot {
            HotMethod::Publish(publish) => {
                refuse_immediate(&publish)?;
                channel.content = Some(PartialContent {
                    exchange: publish.exchange.to_owned(),
                    routing_key: publish.routing_key.to_owned(),
                    mandatory: publish.mandatory,
                    header: None,
                    body_size: 0,
                    body: Vec::new(),
                });
                Ok(())
            }
            HotMethod::Ack(ack) => self.settle(id, number, ack.delivery_tag, ack.multiple, false),
            HotMethod::Nack(nack) => {
                self.settle(id, number, nack.delivery_tag, nack.multiple, nack.requeue)
            }
            HotMethod::Reject(reject) => {
                self.settle(id, number, reject.delivery_tag, false, reject.requeue)
            }
            HotMethod::Deliver(_) | HotMethod::Return(_) => {
                Err(Refusal::new(503, "a client does not send this method"))
            }
        }
    }

    fn handle_header(
        &mut self,
        id: ConnectionId,
        number: u16,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        let header = ContentHeader::parse(payload).map_err(|error| undecodable(&error))?;
        let unexpected = || Refusal::new(505, "a content header without its method");
        let channel = self.connection_mut(id).channel_mut(number).ok_or_else(unexpected)?;
        if channel.is_closing {
            return Ok(());
        }
        let content = channel.content.as_mut().filter(|content| content.header.is_none());
        let content = content.ok_or_else(unexpected)?;
        if header.body_size > BODY_MAX {
            channel.content = None;
            let text = format!("message size {} is larger than {BODY_MAX}", header.body_size);
            return Err(Refusal::new(406, text));
        }
        content.header = Some(payload.to_vec());
        content.body_size = usize::try_from(header.body_size).expect("it is within BODY_MAX");
        self.finish_content(id, number)
    }

    fn handle_body(
        &mut self,
        id: ConnectionId,
        number: u16,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        let unexpected = || Refusal::new(505, "a body without its content header");
        let channel = self.connection_mut(id).channel_mut(number).ok_or_else(unexpected)?;
        if channel.is_closing {
            return Ok(());
        }
        let content = channel.content.as_mut().filter(|content| content.header.is_some());
        let content = content.ok_or_else(unexpected)?;
        if payload.len() > content.body_size - content.body.len() {
            return Err(Refusal::new(501, "a body larger than its header says"));
        }
        if content.body.is_empty() {
            content.body.reserve_exact(content.body_size.min(1 << 20));
        }
        content.body.extend_from_slice(payload);
        self.finish_content(id, number)
    }

    /// Publishes the content that a channel has collected, if it is whole.
    fn finish_content(&mut self, id: ConnectionId, number: u16) -> Result<(), Refusal> {
        let channel = self.connection_mut(id).channel_mut(number).expect("it just took a frame");
        let whole = channel.content.take_if(|content| content.body.len() == content.body_size);
        let Some(PartialContent { exchange, routing_key, mandatory, header, body, .. }) = whole
        else {
            return Ok(());
        };
        let header = header.expect("a body is only taken after its header");
        let publish =
            Publish { exchange: &exchange, routing_key: &routing_key, mandatory, immediate: false };
        let content = Content {
            exchange: &exchange,
            routing_key: &routing_key,
            header: &header,
            body: &body,
        };
        let result = self.publish(id, number, &publish, &content);
        if let Err(refusal) = result {
            self.refuse(id, number, (60, 40), &refusal);
        }
        Ok(())
    }

    fn handle_cold_method(
        &mut self,
        id: ConnectionId,
        number: u16,
        method: AMQPClass,
    ) -> Result<(), Refusal> {
        if let AMQPClass::Channel(method) = method {
            return self.handle_channel_class(id, number, &method);
        }
        let channel = self.connection_mut(id).channel_mut(number);
        let channel = channel.ok_or_else(|| Refusal::new(504, "expected 'channel.open'"))?;
        if channel.is_closing {
            return Ok(());
        }
        match method {
            AMQPClass::Exchange(method) => self.handle_exchange(id, number, method),
            AMQPClass::Queue(method) => self.handle_queue(id, number, method),
            AMQPClass::Basic(method) => self.handle_basic(id, number, method),
            AMQPClass::Confirm(method) => self.handle_confirm(id, number, &method),
            AMQPClass::Tx(_) => Err(Refusal::not_implemented("transactions")),
            AMQPClass::Access(_) => Err(Refusal::not_implemented("access tickets")),
            AMQPClass::Connection(_) => Err(Refusal::new(503, "a connection method on a channel")),
            AMQPClass::Channel(_) => unreachable!("taken above"),
        }
    }
}

/// Refuses `immediate`, which RabbitMQ dropped in 3.0.
pub(crate) fn refuse_immediate(publish: &Publish<'_>) -> Result<(), Refusal> {
    match publish.immediate {
        true => Err(Refusal::not_implemented("immediate=true")),
        false => Ok(()),
    }
}

fn undecodable(error: &WireError) -> Refusal {
    match error {
        WireError::BadMethod { .. } => Refusal::not_implemented(&error.to_string()),
        _ => Refusal::new(502, error.to_string()),
    }
}

/// Returns the class and method id for the close that a refusal sends.
fn method_ids_of(frame: &FrameView<'_>) -> (u16, u16) {
    match (frame.kind, frame.payload) {
        (FrameKind::Method, [c1, c0, m1, m0, ..]) => {
            (u16::from_be_bytes([*c1, *c0]), u16::from_be_bytes([*m1, *m0]))
        }
        (FrameKind::Header | FrameKind::Body, _) => (60, 40),
        _ => (0, 0),
    }
}

/// A publication that lies whole in the receive buffer.
struct WholePublication<'a> {
    publish: Publish<'a>,
    content: Content<'a>,
    /// Bytes and frames after the method frame.
    used: usize,
    frames: u64,
}

/// Returns the publication whose method is `frame` and whose header and only body frame are in
/// `rest`. Every other case goes through the slow path, which reports each error.
fn find_whole_publication<'a>(
    frame: &FrameView<'a>,
    rest: &'a [u8],
    frame_max: u32,
) -> Option<WholePublication<'a>> {
    if frame.kind != FrameKind::Method {
        return None;
    }
    let Ok(Some(HotMethod::Publish(publish))) = HotMethod::parse(frame.payload) else {
        return None;
    };
    let next = |input: &'a [u8], kind: FrameKind| match FrameView::parse(input, frame_max) {
        Ok(Parsed::Complete { frame: found, used })
            if found.kind == kind && found.channel == frame.channel =>
        {
            Some((found.payload, used))
        }
        _ => None,
    };
    let (header, mut used) = next(rest, FrameKind::Header)?;
    let body_size = ContentHeader::parse(header).ok()?.body_size;
    let mut body: &[u8] = &[];
    let mut frames = 1;
    if body_size > 0 {
        let (payload, length) = next(&rest[used..], FrameKind::Body)?;
        if payload.len() as u64 != body_size {
            return None;
        }
        body = payload;
        used += length;
        frames = 2;
    }
    let Publish { exchange, routing_key, .. } = publish;
    let content = Content { exchange, routing_key, header, body };
    Some(WholePublication { publish, content, used, frames })
}
