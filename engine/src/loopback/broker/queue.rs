//! A queue: messages in order, consumers in turn.
//!
//! Invariants: messages are sorted by `place`, also after a requeue; a queue of `x-max-length` n
//! never holds more than n (the oldest goes first, RabbitMQ's `drop-head`). Messages expire at
//! the head, as RabbitMQ's classic queues do. Not here: who may use it, and where it is bound.

use crate::loopback::broker::message::Entry;
use crate::loopback::broker::refusal::Refusal;
use crate::loopback::config::{ConnectionId, QueueId};
use amq_protocol::types::{AMQPValue, FieldTable};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One `basic.consume`.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) id: u64,
    pub(crate) connection: ConnectionId,
    pub(crate) channel: u16,
    pub(crate) tag: Box<str>,
    pub(crate) no_ack: bool,
    pub(crate) exclusive: bool,
    /// Most deliveries unacknowledged at a time; 0 is no bound.
    pub(crate) prefetch: u16,
    pub(crate) unacked: u32,
}

impl Consumer {
    /// Whether its prefetch leaves room for one more delivery.
    pub(crate) fn has_credit(&self) -> bool {
        self.no_ack || self.prefetch == 0 || self.unacked < u32::from(self.prefetch)
    }
}

/// The arguments of a declaration in a comparable form.
pub(crate) type Arguments = BTreeMap<String, Argument>;

/// One argument: integers of all widths are one type, as in RabbitMQ's equivalence check.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Argument {
    Int(i64),
    Text(Vec<u8>),
    Other(AMQPValue),
}

impl std::fmt::Display for Argument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(value) => write!(f, "the value '{value}' of type 'signedint'"),
            Self::Text(bytes) => {
                write!(f, "the value '{}' of type 'longstr'", String::from_utf8_lossy(bytes))
            }
            Self::Other(value) => write!(f, "the value '{value:?}'"),
        }
    }
}

/// The `x-` arguments of a declaration; others mean nothing to the broker.
pub(crate) fn arguments(table: &FieldTable) -> Arguments {
    let known = table.into_iter().filter(|(key, _)| key.as_str().starts_with("x-"));
    known.map(|(key, value)| (key.to_string(), argument(value))).collect()
}

fn argument(value: &AMQPValue) -> Argument {
    match value {
        AMQPValue::ShortShortInt(value) => Argument::Int((*value).into()),
        AMQPValue::ShortShortUInt(value) => Argument::Int((*value).into()),
        AMQPValue::ShortInt(value) => Argument::Int((*value).into()),
        AMQPValue::ShortUInt(value) => Argument::Int((*value).into()),
        AMQPValue::LongInt(value) => Argument::Int((*value).into()),
        AMQPValue::LongUInt(value) => Argument::Int((*value).into()),
        AMQPValue::LongLongInt(value) => Argument::Int(*value),
        AMQPValue::LongString(text) => Argument::Text(text.as_bytes().to_vec()),
        other => Argument::Other(other.clone()),
    }
}

/// What makes two declarations of one name the same.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct QueueSettings {
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) arguments: Arguments,
}

/// The bounds that arguments set.
#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    max_length: Option<usize>,
    ttl: Option<Duration>,
    expires: Option<Duration>,
}

/// A queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) id: QueueId,
    pub(crate) name: Arc<str>,
    pub(crate) vhost: usize,
    pub(crate) settings: QueueSettings,
    /// The connection it is exclusive to.
    pub(crate) owner: Option<ConnectionId>,
    pub(crate) consumers: Vec<Consumer>,
    /// Whether it is listed to be dispatched when the batch ends.
    pub(crate) is_ready: bool,
    bounds: Bounds,
    messages: VecDeque<Entry>,
    turn: usize,
    next_place: u64,
    used: Instant,
}

impl Queue {
    pub(crate) fn new(
        id: QueueId,
        name: &str,
        vhost: usize,
        settings: QueueSettings,
        owner: Option<ConnectionId>,
        now: Instant,
    ) -> Result<Self, Refusal> {
        let bounds = bounds(name, &settings.arguments)?;
        Ok(Self {
            id,
            name: name.into(),
            vhost,
            settings,
            owner,
            consumers: Vec::new(),
            is_ready: false,
            bounds,
            messages: VecDeque::new(),
            turn: 0,
            next_place: 0,
            used: now,
        })
    }

    /// Messages ready to be delivered.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Notes a use, which puts `x-expires` off.
    pub(crate) fn touch(&mut self, now: Instant) {
        self.used = now;
    }

    /// When a message put in now will expire, given its own `expiration`.
    pub(crate) fn deadline(&self, own: Option<Duration>, now: Instant) -> Option<Instant> {
        let ttl = match (own, self.bounds.ttl) {
            (Some(own), Some(ttl)) => own.min(ttl),
            (own, ttl) => own.or(ttl)?,
        };
        now.checked_add(ttl)
    }

    /// The place of the next message.
    pub(crate) fn take_place(&mut self) -> u64 {
        self.next_place += 1;
        self.next_place
    }

    /// Appends a message; the oldest one gives way where the queue is full.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.messages.push_back(entry);
        self.keep_length();
    }

    /// Puts a message back where it was.
    pub(crate) fn requeue(&mut self, entry: Entry) {
        let at = self.messages.partition_point(|other| other.place < entry.place);
        self.messages.insert(at, Entry { redelivered: true, ..entry });
        self.keep_length();
    }

    fn keep_length(&mut self) {
        while self.bounds.max_length.is_some_and(|max| self.messages.len() > max) {
            self.messages.pop_front();
        }
    }

    /// Takes the oldest message that has not expired.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Entry> {
        self.drop_expired(now);
        self.messages.pop_front()
    }

    /// Drops expired messages at the head.
    pub(crate) fn drop_expired(&mut self, now: Instant) {
        let expired = |entry: &Entry| entry.expires.is_some_and(|at| at <= now);
        while self.messages.front().is_some_and(expired) {
            self.messages.pop_front();
        }
    }

    /// Empties the queue and says how many messages that were.
    pub(crate) fn purge(&mut self) -> usize {
        let count = self.messages.len();
        self.messages.clear();
        count
    }

    /// When the queue itself expires, if it is not used until then (`x-expires`).
    pub(crate) fn expires(&self) -> Option<Instant> {
        if !self.consumers.is_empty() {
            return None;
        }
        self.used.checked_add(self.bounds.expires?)
    }

    /// When something here expires next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let head = self.messages.front().and_then(|entry| entry.expires);
        [head, self.expires()].into_iter().flatten().min()
    }

    /// The next consumer in turn that `can_take` a delivery.
    pub(crate) fn next_consumer(&mut self, can_take: impl Fn(&Consumer) -> bool) -> Option<usize> {
        let count = self.consumers.len();
        let index = (0..count)
            .map(|step| (self.turn + step) % count)
            .find(|&index| can_take(&self.consumers[index]))?;
        self.turn = (index + 1) % count;
        Some(index)
    }

    /// The consumer with this id, if it is still there.
    pub(crate) fn consumer_mut(&mut self, id: u64) -> Option<&mut Consumer> {
        self.consumers.iter_mut().find(|consumer| consumer.id == id)
    }
}

fn bounds(queue: &str, arguments: &Arguments) -> Result<Bounds, Refusal> {
    let number = |key: &str, least: i64| match arguments.get(key) {
        None => Ok(None),
        Some(Argument::Int(value)) if *value >= least => Ok(Some(value.unsigned_abs())),
        Some(_) => Err(Refusal::new(406, format!("invalid arg '{key}' for queue '{queue}'"))),
    };
    if arguments.get("x-queue-type") == Some(&Argument::Text(b"stream".to_vec())) {
        return Err(Refusal::not_implemented("streams"));
    }
    Ok(Bounds {
        max_length: number("x-max-length", 0)?
            .map(|max| usize::try_from(max).unwrap_or(usize::MAX)),
        ttl: number("x-message-ttl", 0)?.map(Duration::from_millis),
        expires: number("x-expires", 1)?.map(Duration::from_millis),
    })
}
