//! A queue: ordered messages and round-robin consumers.
//!
//! Invariants: messages are sorted by `position`, also after a requeue; a queue with `x-max-length`
//! n never holds more than n messages (it drops the oldest first, RabbitMQ's `drop-head`). Messages
//! expire at the head, as in RabbitMQ's classic queues. Access checks and bindings are elsewhere.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use amq_protocol::types::{AMQPValue, FieldTable};

use crate::loopback::broker::message::Entry;
use crate::loopback::broker::refusal::Refusal;
use crate::loopback::config::{ConnectionId, QueueId};

/// One `basic.consume`.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) id: u64,
    pub(crate) connection: ConnectionId,
    pub(crate) channel: u16,
    pub(crate) tag: Box<str>,
    pub(crate) no_ack: bool,
    pub(crate) exclusive: bool,
    /// Limit of unacknowledged deliveries; 0 means no limit.
    pub(crate) prefetch: u16,
    pub(crate) unacked: u32,
}

impl Consumer {
    /// Returns true if the prefetch limit allows one more delivery.
    pub(crate) fn has_credit(&self) -> bool {
        self.no_ack || self.prefetch == 0 || self.unacked < u32::from(self.prefetch)
    }
}

/// The arguments of a declaration in comparable form.
pub(crate) type Arguments = BTreeMap<String, Argument>;

/// One argument: integers of all widths have one type, as in RabbitMQ's equivalence check.
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

/// Returns the `x-` arguments of a declaration; the broker ignores others.
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

/// The settings that two declarations of the same name must share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct QueueSettings {
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) arguments: Arguments,
}

/// The limits that arguments set.
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
    /// The connection that it is exclusive to.
    pub(crate) owner: Option<ConnectionId>,
    pub(crate) consumers: Vec<Consumer>,
    /// Whether it is listed for dispatch at the end of the batch.
    pub(crate) is_ready: bool,
    bounds: Bounds,
    messages: VecDeque<Entry>,
    next_consumer_index: usize,
    last_position: u64,
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
            next_consumer_index: 0,
            last_position: 0,
            used: now,
        })
    }

    /// Returns the number of messages ready to be delivered.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Records a use, which postpones `x-expires`.
    pub(crate) fn touch(&mut self, now: Instant) {
        self.used = now;
    }

    /// Returns when a message that is added now expires, given its own `expiration`.
    pub(crate) fn deadline(&self, own: Option<Duration>, now: Instant) -> Option<Instant> {
        let ttl = match (own, self.bounds.ttl) {
            (Some(own), Some(ttl)) => own.min(ttl),
            (own, ttl) => own.or(ttl)?,
        };
        now.checked_add(ttl)
    }

    /// Returns the position of the next message.
    pub(crate) fn next_position(&mut self) -> u64 {
        self.last_position += 1;
        self.last_position
    }

    /// Appends a message; a full queue drops its oldest one.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.messages.push_back(entry);
        self.enforce_max_length();
    }

    /// Puts a message back to its position.
    pub(crate) fn requeue(&mut self, entry: Entry) {
        let at = self.messages.partition_point(|other| other.position < entry.position);
        self.messages.insert(at, Entry { redelivered: true, ..entry });
        self.enforce_max_length();
    }

    fn enforce_max_length(&mut self) {
        while self.bounds.max_length.is_some_and(|max| self.messages.len() > max) {
            self.messages.pop_front();
        }
    }

    /// Removes the oldest message that has not expired.
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

    /// Removes all messages and returns their number.
    pub(crate) fn purge(&mut self) -> usize {
        let count = self.messages.len();
        self.messages.clear();
        count
    }

    /// Returns when the queue itself expires unless it is used before (`x-expires`).
    pub(crate) fn expires(&self) -> Option<Instant> {
        if !self.consumers.is_empty() {
            return None;
        }
        self.used.checked_add(self.bounds.expires?)
    }

    /// Returns the earliest deadline of the queue or its first message.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let head = self.messages.front().and_then(|entry| entry.expires);
        [head, self.expires()].into_iter().flatten().min()
    }

    /// Returns the next consumer, round-robin, for which `can_take` is true.
    pub(crate) fn next_consumer(&mut self, can_take: impl Fn(&Consumer) -> bool) -> Option<usize> {
        let count = self.consumers.len();
        let index = (0..count)
            .map(|step| (self.next_consumer_index + step) % count)
            .find(|&index| can_take(&self.consumers[index]))?;
        self.next_consumer_index = (index + 1) % count;
        Some(index)
    }

    /// Returns the consumer with this id, if it still exists.
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
