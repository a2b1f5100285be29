//! A connection and its peer, whatever that sends. What the connection reports is checked.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use amq_protocol::protocol::{AMQPClass, channel, connection};
use zeroize::Zeroizing;

use crate::buffer::BufferPool;
use crate::proto::{
    Connection, Content, Credentials, Event, Ledger, ProtoError, Record, Settings, Settled,
    printable,
};
use crate::wire::{
    Deliver, FrameKind, FrameView, PROTOCOL_HEADER, Parsed, Return, encode_method_frame,
    parse_method,
};

/// The password of every connection: nothing but the login may show it.
pub(super) const PASSWORD: &str = "hunter2hunter2";
/// The largest body that is not dropped.
pub(super) const BODY_MAX: u64 = 20_000;
/// Number of bytes that are kept from the end of a larger body.
pub(super) const TAIL_BYTES: usize = 16 << 10;
pub(super) const FRAME_MAX: u32 = 4096;
pub(super) const CHANNELS: u16 = 3;

/// A connection and its hostile peer.
pub(super) struct Peer {
    pub(super) connection: Connection,
    pub(super) now: Instant,
    pool: BufferPool,
    /// What has happened, in a form that can be compared.
    pub(super) seen: Vec<String>,
    /// The last delivery whose body was not dropped.
    pub(super) last: Option<Content>,
    pub(super) error: Option<ProtoError>,
    is_closed: bool,
    pub(super) opened: usize,
    /// Tokens of requests that were answered.
    pub(super) answered: BTreeSet<u64>,
    ledger: Ledger<()>,
    /// Tags that are not confirmed.
    unconfirmed: BTreeSet<u64>,
}

impl Peer {
    /// A connection that has received nothing.
    #[expect(clippy::disallowed_methods, reason = "any instant will do: time is an argument")]
    pub(super) fn new(credentials: Credentials) -> Self {
        let settings = Settings {
            credentials,
            vhost: "/".into(),
            connection_name: "fuzz".into(),
            frame_max: 8192,
            channel_max: 8,
            heartbeat: Duration::from_secs(10),
            body_max: BODY_MAX,
        };
        let now = Instant::now();
        let mut ledger = Ledger::new();
        let mut unconfirmed = BTreeSet::new();
        for (first, last) in [(1, 1), (2, 4), (5, 20)] {
            ledger.absorb((first..=last).map(record).collect(), ());
            unconfirmed.extend(first..=last);
        }
        Self {
            connection: Connection::new(settings, now),
            now,
            pool: BufferPool::new(1 << 16, 8),
            seen: Vec::new(),
            last: None,
            error: None,
            is_closed: false,
            opened: 0,
            answered: BTreeSet::new(),
            ledger,
            unconfirmed,
        }
    }

    /// An open connection with frames of 4096 bytes at most, and open channels.
    pub(super) fn open() -> Self {
        let mut peer = Self::new(plain());
        peer.receive(&handshake_frames());
        for number in 1..=CHANNELS {
            assert!(peer.connection.open_channel(number, 0));
            let ok = channel::AMQPMethod::OpenOk(channel::OpenOk {});
            let mut frame = Vec::new();
            encode_method_frame(&mut frame, number, &AMQPClass::Channel(ok));
            peer.receive(&frame);
            peer.answered.clear();
        }
        assert_eq!((&peer.error, peer.opened), (&None, 1));
        peer.output();
        peer.seen.clear();
        peer
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_closed || self.error.is_some()
    }

    /// Receives bytes, in pieces whose sizes `cuts` chooses.
    pub(super) fn receive_cut(&mut self, mut bytes: &[u8], cuts: &[u8]) {
        for cut in cuts.iter().cycle() {
            if bytes.is_empty() || self.is_over() {
                return;
            }
            let size = 1 + usize::from(*cut) * usize::from(*cut) / 8;
            let (piece, rest) = bytes.split_at(size.min(bytes.len()));
            self.receive(piece);
            bytes = rest;
        }
        self.receive(bytes);
    }

    pub(super) fn receive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_over() {
            let mut block = self.pool.take(true).expect("a block above the limit");
            let (piece, rest) = bytes.split_at(bytes.len().min(block.len()));
            block[..piece.len()].copy_from_slice(piece);
            if piece.len() == block.len() {
                self.pool.grow();
            }
            let block = self.pool.share(block);
            let mut events = Vec::new();
            let on = &mut |event| events.push(event);
            let result = self.connection.handle_input(&block, piece.len(), self.now, on);
            self.pool.put_back(block);
            events.into_iter().for_each(|event| self.handle(event));
            if let Err(error) = result {
                self.fail(error);
            }
            bytes = rest;
        }
    }

    pub(super) fn fail(&mut self, error: ProtoError) {
        let shown = error.to_string();
        assert!(shown.len() < 1200 && printable(&shown) == shown, "{shown}");
        self.error = Some(error);
    }

    fn handle(&mut self, event: Event) {
        assert!(!self.is_closed, "{event:?} follows the end");
        let line = match event {
            Event::Opened { .. } => {
                self.opened += 1;
                "opened".to_owned()
            }
            Event::Delivery { channel, content } => {
                assert!(content.body().len() as u64 <= BODY_MAX);
                let line = describe(channel, &content, None);
                self.last = Some(content);
                line
            }
            Event::Returned { channel, content } => {
                assert!(content.is_return() && content.body().len() as u64 <= BODY_MAX);
                describe(channel, &content, None)
            }
            Event::Oversized { channel, content, size, body } => {
                assert!(size > BODY_MAX && content.body().len() <= TAIL_BYTES);
                describe(channel, &content, Some((size, body.finalize())))
            }
            Event::Confirmed { channel, tag, multiple, ack } => {
                self.settle(tag, multiple);
                format!("{ack} for {tag} {multiple} on {channel}")
            }
            Event::Reply { token, method } => {
                assert!(self.answered.insert(token), "a request is answered once");
                format!("{token} is answered by {method:?}")
            }
            other => {
                if let Event::Blocked { reason: text }
                | Event::ChannelClosed { text, .. }
                | Event::Closed { text, .. } = &other
                {
                    assert!(text.len() <= 1024 && printable(text) == *text, "{text:?}");
                }
                self.is_closed = matches!(other, Event::Closed { .. });
                format!("{other:?}")
            }
        };
        self.seen.push(line);
    }

    /// Settles publications as the shard does, and compares with a set of tags.
    fn settle(&mut self, tag: u64, multiple: bool) {
        let is_covered = |one: &u64| *one == tag || multiple && (*one < tag || tag == 0);
        let expected: Vec<u64> = self.unconfirmed.iter().copied().filter(is_covered).collect();
        let mut settled = Vec::new();
        let each = |one: Settled, (): &()| settled.push(one.record.token);
        let is_known = self.ledger.settle(tag, multiple, true, each, |_, ()| {});
        assert_eq!(is_known, (1..=20).contains(&tag) || multiple && tag == 0);
        let expected = if is_known { expected } else { Vec::new() };
        assert_eq!(settled, expected);
        self.unconfirmed.retain(|tag| !expected.contains(tag));
        assert_eq!(self.ledger.outstanding(), self.unconfirmed.len());
    }

    /// Takes the output, which must be whole frames.
    pub(super) fn output(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.connection.take_output(&mut out);
        assert!(!self.connection.has_output());
        let mut rest = out.strip_prefix(&PROTOCOL_HEADER).unwrap_or(&out);
        while let Ok(Parsed::Complete { frame, used }) = FrameView::parse(rest, 1 << 17) {
            assert!(frame.kind == FrameKind::Heartbeat || parse_method(frame.payload).is_ok());
            rest = &rest[used..];
        }
        assert!(rest.is_empty(), "whole frames only");
        out
    }
}

fn record(tag: u64) -> Record {
    Record {
        end: 0,
        fingerprint: 0,
        token: tag,
        mandatory: false,
        retain: false,
        settled: false,
        retries: 0,
        maybe_taken: false,
    }
}

fn describe(channel: u16, content: &Content, dropped: Option<(u64, u32)>) -> String {
    let (deliver, returned) = (content.deliver(), content.returned());
    assert_eq!(
        (deliver.is_some(), returned.is_some()),
        (!content.is_return(), content.is_return())
    );
    let properties = content.properties();
    let body = content.body().to_vec();
    assert_eq!(body.len(), content.body().pieces().map(<[u8]>::len).sum::<usize>());
    let line = summary(content.is_return(), channel, &body, dropped);
    match (deliver, returned, properties) {
        (Some(Deliver { delivery_tag: 1, routing_key: "", .. }), _, _)
        | (_, Some(Return { reply_code: 312, reply_text: "", .. }), _) => line,
        other => format!("{line} {other:?}"),
    }
}

pub(super) fn plain() -> Credentials {
    Credentials::Plain { user: "guest".into(), password: Zeroizing::new(PASSWORD.into()) }
}

/// What a broker sends during the handshake.
fn handshake_frames() -> Vec<u8> {
    use connection::AMQPMethod as Method;
    let start = connection::Start {
        version_minor: 9,
        mechanisms: "AMQPLAIN PLAIN".into(),
        ..connection::Start::default()
    };
    let tune = connection::Tune { channel_max: 8, frame_max: FRAME_MAX, heartbeat: 10 };
    let mut frames = Vec::new();
    for method in [Method::Start(start), Method::Tune(tune), Method::OpenOk(connection::OpenOk {})]
    {
        encode_method_frame(&mut frames, 0, &AMQPClass::Connection(method));
    }
    frames
}

/// Describes a content that has arrived. `dropped` are size and checksum of a dropped body.
pub(super) fn summary(
    is_return: bool,
    channel: u16,
    body: &[u8],
    dropped: Option<(u64, u32)>,
) -> String {
    let (len, sum) = (body.len(), crc32fast::hash(body));
    format!("return {is_return} on {channel}: {len} bytes, {sum:#x}, dropped {dropped:?}")
}
