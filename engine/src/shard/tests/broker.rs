//! A simulated broker: one durable queue, publisher confirms, one consumer at a time, and a record
//! of everything it received.
//!
//! It checks what a broker checks (open channels, frame sizes, complete bodies) and records every
//! violation. It delays and coalesces confirms, refuses some publications, blocks publishers at
//! times, and offers each connection a different frame size.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection, queue};
use amq_protocol::types::FieldTable;
use tokio::sync::{Notify, mpsc};

use crate::reactor::sim::PeerEnd;
use crate::wire::{
    Ack, ContentHeader, Deliver, FrameKind, FrameView, HEARTBEAT_FRAME, HotMethod, Nack, Parsed,
    PropertiesView, encode_method_frame, parse_method, write_body_frames,
};

/// A body that starts with its id and is filled with the id's low byte.
pub(super) fn body_of(id: u32, len: usize) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.resize(len.max(4), id as u8);
    body
}

pub(super) fn id_of(body: &[u8]) -> u32 {
    let (id, rest) = body.split_first_chunk().expect("a body begins with its id");
    let id = u32::from_be_bytes(*id);
    assert!(rest.iter().all(|&byte| byte == id as u8), "the body of {id} is not its own");
    id
}

#[derive(Default)]
pub(super) struct BrokerRecord {
    /// Ids as they were published, in order, duplicates included.
    pub(super) received: Vec<u32>,
    pub(super) violations: Vec<String>,
    queue: VecDeque<Vec<u8>>,
}

pub(super) struct Broker {
    pub(super) memory: RefCell<BrokerRecord>,
    rng: RefCell<fastrand::Rng>,
    changed: Notify,
}

impl Broker {
    pub(super) fn new(seed: u64) -> Rc<Self> {
        let rng = RefCell::new(fastrand::Rng::with_seed(seed));
        Rc::new(Self { memory: RefCell::default(), rng, changed: Notify::new() })
    }

    pub(super) async fn accept(self: Rc<Self>, mut accepted: mpsc::UnboundedReceiver<PeerEnd>) {
        while let Some(far) = accepted.recv().await {
            tokio::task::spawn_local(Rc::clone(&self).serve(far));
        }
    }

    fn below(&self, end: u64) -> u64 {
        self.rng.borrow_mut().u64(..end)
    }

    pub(super) async fn serve(self: Rc<Self>, far: PeerEnd) {
        let mut session = Session::new(if self.below(3) == 0 { 8192 } else { 131_072 });
        loop {
            let late = Duration::from_millis(1 + self.below(30));
            tokio::select! {
                bytes = far.read() => match bytes {
                    Some(bytes) => session.input.extend(bytes),
                    None => break,
                },
                () = self.changed.notified() => {}
                () = tokio::time::sleep(late), if session.owes_confirms() => session.confirm(&self),
            }
            session.receive(&self);
            session.deliver(&mut self.memory.borrow_mut());
            if self.below(3) == 0 {
                session.confirm(&self);
            }
            session.toggle_blocked(self.below(40));
            far.write(&std::mem::take(&mut session.output));
            if session.closed {
                break;
            }
        }
        // Unacknowledged messages return to the head of the queue.
        let mut memory = self.memory.borrow_mut();
        session.unacked.into_values().rev().for_each(|body| memory.queue.push_front(body));
        self.changed.notify_waiters();
    }
}

/// A publication that is partly received.
enum PartialPublication {
    Header,
    Body { size: usize, body: Vec<u8> },
}

struct Session {
    frame_max: u32,
    input: Vec<u8>,
    output: Vec<u8>,
    greeted: bool,
    closed: bool,
    blocked: bool,
    channels: BTreeSet<u16>,
    partial: BTreeMap<u16, PartialPublication>,
    /// By channel: number of publications, and number of those confirmed.
    confirms: BTreeMap<u16, (u64, u64)>,
    consumer: Option<(u16, String)>,
    delivered: u64,
    unacked: BTreeMap<u64, Vec<u8>>,
}

impl Session {
    fn new(frame_max: u32) -> Self {
        Self {
            frame_max,
            input: Vec::new(),
            output: Vec::new(),
            greeted: false,
            closed: false,
            blocked: false,
            channels: BTreeSet::new(),
            partial: BTreeMap::new(),
            confirms: BTreeMap::new(),
            consumer: None,
            delivered: 0,
            unacked: BTreeMap::new(),
        }
    }

    fn owes_confirms(&self) -> bool {
        self.blocked || self.confirms.values().any(|(count, done)| done < count)
    }

    /// Confirms everything so far, one publication or many at a time. Sometimes refuses it instead.
    /// A refused publication stays in the queue, because a nack does not say that it was dropped.
    fn confirm(&mut self, broker: &Broker) {
        for (&channel, (count, done)) in &mut self.confirms {
            if done < count {
                let (delivery_tag, multiple) = (*count, *done + 1 < *count);
                if broker.below(20) == 0 {
                    let nack = Nack { delivery_tag, multiple, requeue: false };
                    nack.encode_frame(channel, &mut self.output);
                } else {
                    Ack { delivery_tag, multiple }.encode_frame(channel, &mut self.output);
                }
                *done = *count;
            }
        }
    }

    /// Blocks or unblocks publishers, at times.
    fn toggle_blocked(&mut self, chance: u64) {
        use connection::AMQPMethod as Method;
        if self.channels.is_empty() || self.closed || chance > 2 || (chance == 0) == self.blocked {
            return;
        }
        self.blocked = !self.blocked;
        let reason = "simulated".into();
        self.send(
            0,
            AMQPClass::Connection(match self.blocked {
                true => Method::Blocked(connection::Blocked { reason }),
                false => Method::Unblocked(connection::Unblocked {}),
            }),
        );
    }

    fn send(&mut self, channel: u16, method: AMQPClass) {
        encode_method_frame(&mut self.output, channel, &method);
    }

    fn receive(&mut self, broker: &Broker) {
        if !self.greeted && self.input.len() >= 8 {
            assert_eq!(self.input.drain(..8).collect::<Vec<_>>(), b"AMQP\0\0\x09\x01");
            self.greeted = true;
            self.send(0, AMQPClass::Connection(connection::AMQPMethod::Start(start())));
        }
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        while self.greeted && !self.closed {
            match FrameView::parse(rest, self.frame_max) {
                Ok(Parsed::Complete { frame, used }) => {
                    if let Err(violation) = self.frame(frame, broker) {
                        self.fail(violation, broker);
                    }
                    rest = &rest[used..];
                }
                Ok(Parsed::Incomplete { .. }) => break,
                Err(error) => self.fail(error.to_string(), broker),
            }
        }
        self.input = rest.to_vec();
    }

    fn fail(&mut self, violation: String, broker: &Broker) {
        broker.memory.borrow_mut().violations.push(violation);
        self.closed = true;
    }

    fn frame(&mut self, frame: FrameView<'_>, broker: &Broker) -> Result<(), String> {
        let FrameView { kind, channel, payload } = frame;
        if channel != 0 && !self.channels.contains(&channel) {
            let opens = payload == [0, 20, 0, 10, 0];
            if !opens {
                return Err(format!("{kind:?} on channel {channel}, which is not open"));
            }
        }
        match (kind, self.partial.get_mut(&channel)) {
            (FrameKind::Heartbeat, _) => self.output.extend_from_slice(&HEARTBEAT_FRAME),
            (FrameKind::Method, None) => return self.method(channel, payload, broker),
            (FrameKind::Header, Some(partial @ PartialPublication::Header)) => {
                let header = ContentHeader::parse(payload).map_err(|error| error.to_string())?;
                let size = header.body_size as usize;
                *partial = PartialPublication::Body { size, body: Vec::new() };
            }
            (FrameKind::Body, Some(PartialPublication::Body { size, body })) => {
                body.extend_from_slice(payload);
                if body.len() > *size {
                    return Err("more body than was announced".into());
                }
                if body.len() == *size {
                    let body = std::mem::take(body);
                    self.partial.remove(&channel);
                    self.published(channel, body, broker);
                }
            }
            (kind, _) => return Err(format!("{kind:?} out of order on channel {channel}")),
        }
        Ok(())
    }

    fn published(&mut self, channel: u16, body: Vec<u8>, broker: &Broker) {
        if let Some((count, _)) = self.confirms.get_mut(&channel) {
            *count += 1;
        }
        let mut memory = broker.memory.borrow_mut();
        memory.received.push(id_of(&body));
        memory.queue.push_back(body);
        broker.changed.notify_waiters();
    }

    fn method(&mut self, channel: u16, payload: &[u8], broker: &Broker) -> Result<(), String> {
        match HotMethod::parse(payload).map_err(|error| error.to_string())? {
            Some(HotMethod::Publish(_)) => {
                self.partial.insert(channel, PartialPublication::Header);
            }
            Some(HotMethod::Ack(ack)) => {
                let known = ack.delivery_tag <= self.delivered
                    && (ack.multiple || self.unacked.contains_key(&ack.delivery_tag));
                if !known {
                    return Err(format!("an unknown delivery tag, {}", ack.delivery_tag));
                }
                match ack.multiple {
                    true => self.unacked = self.unacked.split_off(&(ack.delivery_tag + 1)),
                    false => drop(self.unacked.remove(&ack.delivery_tag)),
                }
            }
            Some(HotMethod::Reject(reject)) => {
                let body = self.unacked.remove(&reject.delivery_tag);
                let body = body.ok_or("an unknown delivery tag")?;
                broker.memory.borrow_mut().queue.push_front(body);
            }
            Some(other) => return Err(format!("a client does not send {other:?}")),
            None => {
                let method = parse_method(payload).map_err(|error| error.to_string())?;
                self.request(channel, method)?;
            }
        }
        Ok(())
    }

    fn request(&mut self, channel: u16, method: AMQPClass) -> Result<(), String> {
        use connection::AMQPMethod as Connection;
        let answer = match method {
            AMQPClass::Connection(method) => AMQPClass::Connection(match method {
                Connection::StartOk(_) => Connection::Tune(connection::Tune {
                    channel_max: 2047,
                    frame_max: self.frame_max,
                    heartbeat: 60,
                }),
                Connection::TuneOk(_) => return Ok(()),
                Connection::Open(_) => Connection::OpenOk(connection::OpenOk {}),
                Connection::Close(_) => {
                    self.closed = true;
                    Connection::CloseOk(connection::CloseOk {})
                }
                other => return Err(format!("{other:?}")),
            }),
            AMQPClass::Channel(channel::AMQPMethod::Open(_)) => {
                if !self.channels.insert(channel) {
                    return Err(format!("channel {channel} is open already"));
                }
                AMQPClass::Channel(channel::AMQPMethod::OpenOk(channel::OpenOk {}))
            }
            AMQPClass::Channel(channel::AMQPMethod::Close(_)) => {
                self.channels.remove(&channel);
                self.confirms.remove(&channel);
                AMQPClass::Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {}))
            }
            AMQPClass::Confirm(confirm::AMQPMethod::Select(_)) => {
                self.confirms.insert(channel, (0, 0));
                AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(confirm::SelectOk {}))
            }
            AMQPClass::Queue(queue::AMQPMethod::Declare(declare)) => {
                let queue = declare.queue;
                let ok = queue::DeclareOk { queue, message_count: 0, consumer_count: 0 };
                AMQPClass::Queue(queue::AMQPMethod::DeclareOk(ok))
            }
            AMQPClass::Basic(basic::AMQPMethod::Consume(consume)) => {
                let consumer_tag = consume.consumer_tag;
                if self.consumer.replace((channel, consumer_tag.to_string())).is_some() {
                    return Err("a consumer tag is used twice".into());
                }
                let ok = basic::ConsumeOk { consumer_tag };
                AMQPClass::Basic(basic::AMQPMethod::ConsumeOk(ok))
            }
            AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel)) => {
                self.consumer = None;
                let ok = basic::CancelOk { consumer_tag: cancel.consumer_tag };
                AMQPClass::Basic(basic::AMQPMethod::CancelOk(ok))
            }
            other => return Err(format!("unexpected {other:?}")),
        };
        self.send(channel, answer);
        Ok(())
    }

    /// Delivers messages to the consumer, up to 50 unacknowledged.
    fn deliver(&mut self, memory: &mut BrokerRecord) {
        let Some((channel, consumer_tag)) = &self.consumer else { return };
        while self.unacked.len() < 50
            && let Some(body) = memory.queue.pop_front()
        {
            self.delivered += 1;
            let deliver = Deliver {
                consumer_tag,
                delivery_tag: self.delivered,
                redelivered: false,
                exchange: "",
                routing_key: "q",
            };
            deliver.encode_frame(*channel, &mut self.output);
            let (body_size, properties) = (body.len() as u64, PropertiesView::default());
            ContentHeader { body_size, properties }.encode_frame(*channel, &mut self.output);
            write_body_frames(&mut self.output, *channel, &body, self.frame_max);
            self.unacked.insert(self.delivered, body);
        }
    }
}

fn start() -> connection::Start {
    connection::Start {
        version_major: 0,
        version_minor: 9,
        server_properties: FieldTable::default(),
        mechanisms: "PLAIN".into(),
        locales: "en_US".into(),
    }
}
