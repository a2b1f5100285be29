//! Where a reply is sent, and how a returned reply is sent again.

use std::time::{Duration, Instant};

use leveret_engine::wire::PropertiesView;
use leveret_engine::{Body, Nacked, Outcome, Properties};

use crate::codec::compressor::Compressor;
use crate::codec::serialization::Serialization;
use crate::dialect::error::DecodeError;
use crate::dialect::format::{ReplyRouting, WireFormat};
use crate::dialect::kombu;
use crate::dialect::names::NAME_BYTES_MAX;
use crate::dialect::peek::Peek;
use crate::dialect::pika;
use crate::dialect::wire::Wire;
use crate::message::ids::Hex32;
use crate::topology::Exchange;

/// How long to wait before a returned reply is sent again, as in oslo.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// Where a reply is sent, and in which format.
#[derive(Debug, Clone)]
pub(crate) struct ReplyAddress {
    pub(crate) msg_id: Box<str>,
    pub(crate) queue: Box<str>,
    pub(crate) format: WireFormat,
    /// When the caller stops waiting, if the request says so.
    pub(crate) expires: Option<Instant>,
}

/// How a reply that no queue accepted is sent again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplyRetry {
    pub(crate) delay: Duration,
    /// The maximal number of attempts; `None` where only a timeout limits them.
    pub(crate) attempts: Option<u32>,
}

/// A reply that RabbitMQ returned or refused.
pub(crate) struct ReturnedReply {
    queue: Box<str>,
    /// A copy: the returned body would keep a larger receive block in memory.
    body: Vec<u8>,
    /// Its queue is missing; otherwise the queue refused it.
    is_missing: bool,
    /// Its properties, if it went through the exchange of replies.
    head: Option<ReplyHead>,
}

/// The properties of a reply in the `pika` format.
struct ReplyHead {
    content_type: Box<str>,
    correlation_id: Box<str>,
    expires: bool,
}

impl ReplyAddress {
    /// The address of the reply to a call; `None` where a name is too long for AMQP.
    pub(crate) fn new(
        msg_id: &str,
        queue: &str,
        format: WireFormat,
        expires: Option<Instant>,
    ) -> Option<Self> {
        let is_short = msg_id.len().max(queue.len()) <= NAME_BYTES_MAX;
        is_short.then(|| Self { msg_id: msg_id.into(), queue: queue.into(), format, expires })
    }

    /// The address of a reply of ours that RabbitMQ refused, compressed by `compressor`.
    pub(crate) fn of_refused(reply: &Nacked, compressor: Option<&Compressor>) -> Option<Self> {
        if reply.exchange().is_empty() {
            let msg_id = msg_id_of(reply.body(), compressor)?;
            return Self::new(msg_id.as_str(), reply.routing_key(), WireFormat::Kombu, None);
        }
        let format = WireFormat::Pika(Serialization::default());
        Self::new(reply.properties().correlation_id?, reply.routing_key(), format, None)
    }
}

/// Returns the id of the call of a reply of ours.
fn msg_id_of(body: &Body, compressor: Option<&Compressor>) -> Option<Hex32> {
    let label = compressor.map(|compressor| compressor.header.1);
    let text = kombu::compression::decompress(label, body.contiguous()).ok()?;
    let tail = &text[text.len().saturating_sub(kombu::peek::TAIL_BYTES)..];
    match kombu::peek::reply(tail) {
        Peek::Reply(msg_id) => Some(msg_id),
        Peek::Heartbeat(_) | Peek::Unsure => None,
    }
}

impl ReplyRouting {
    /// Whether a queue may be a reply queue by its name. The request names it, and must not make us
    /// publish to any other queue.
    pub(crate) fn is_reply_queue(self, name: &str) -> bool {
        let is_kombu = name.starts_with(kombu::topology::REPLY_PREFIX);
        match self {
            Self::DefaultExchange => is_kombu,
            // The reply queue for requests that both formats read is one of the `rabbit` driver.
            Self::ReplyExchange => is_kombu || name.starts_with(pika::topology::REPLY_PREFIX),
        }
    }
}

impl Wire {
    /// Returns the exchange of replies of this transport's servers.
    pub(crate) const fn reply_exchange(&self) -> &Exchange {
        &self.reply_exchange
    }

    /// Returns the properties of replies through the default exchange. They are the same for all.
    pub(crate) fn queue_reply_properties(&self) -> Properties {
        kombu::properties::message(None)
    }

    /// Returns the properties of one reply, whose caller waits for `left`.
    pub(crate) fn reply_properties(
        &self,
        to: &ReplyAddress,
        message_id: Hex32,
        left: Option<Duration>,
    ) -> Properties {
        match &to.format {
            WireFormat::Pika(serialization) => {
                pika::properties::reply(serialization, &to.msg_id, message_id, left)
            }
            WireFormat::Kombu | WireFormat::Both => self.queue_reply_properties(),
        }
    }

    /// Returns how replies that no queue accepted are sent again.
    pub(crate) fn reply_retry(&self, routing: ReplyRouting) -> ReplyRetry {
        match routing {
            ReplyRouting::DefaultExchange => ReplyRetry { delay: RETRY_DELAY, attempts: None },
            ReplyRouting::ReplyExchange => ReplyRetry {
                delay: self.options.reply_retry_delay,
                attempts: self.options.reply_retry,
            },
        }
    }
}

impl ReturnedReply {
    /// The reply that was returned or refused; any other outcome is the error.
    pub(crate) fn of(outcome: Outcome) -> Result<Self, Outcome> {
        let (queue, body, head) = match &outcome {
            Outcome::Returned(returned) => {
                let has_exchange = !returned.exchange().is_empty();
                let head = has_exchange.then(|| ReplyHead::of(&returned.properties()));
                (returned.routing_key(), returned.body(), head)
            }
            // A refused reply through the default exchange has no properties of its own.
            Outcome::Nacked(Some(nacked)) if nacked.exchange().is_empty() => {
                (nacked.routing_key(), nacked.body(), None)
            }
            _ => return Err(outcome),
        };
        let is_missing = matches!(outcome, Outcome::Returned(_));
        Ok(Self { queue: queue.into(), body: body.to_vec(), is_missing, head })
    }

    /// The queue that did not accept it.
    pub(crate) fn queue(&self) -> &str {
        &self.queue
    }

    /// The length of its body in bytes.
    pub(crate) fn len(&self) -> usize {
        self.body.len()
    }

    /// Whether its queue is missing.
    pub(crate) const fn is_missing(&self) -> bool {
        self.is_missing
    }

    /// How it is routed when it is sent again.
    pub(crate) const fn routing(&self) -> ReplyRouting {
        match self.head {
            Some(_) => ReplyRouting::ReplyExchange,
            None => ReplyRouting::DefaultExchange,
        }
    }

    /// Appends its body, decompressed, with a new id where the body has one: receivers drop a
    /// message whose id they have seen.
    pub(crate) fn rewrite(
        &self,
        out: &mut Vec<u8>,
        unique_id: Hex32,
        compressor: Option<&Compressor>,
    ) -> Result<(), DecodeError> {
        if self.head.is_some() {
            out.extend_from_slice(&self.body);
            return Ok(());
        }
        let label = compressor.map(|compressor| compressor.header.1);
        out.extend_from_slice(&kombu::compression::decompress(label, (&self.body).into())?);
        kombu::encode::renew_unique_id(out, unique_id);
        Ok(())
    }

    /// Returns its properties for another attempt, whose caller waits for `left`; `None` where they
    /// are those of every reply through the default exchange.
    pub(crate) fn properties(&self, message_id: Hex32, left: Duration) -> Option<Properties> {
        let ReplyHead { content_type, correlation_id, expires } = self.head.as_ref()?;
        let left = expires.then_some(left);
        Some(pika::properties::repeated_reply(content_type, correlation_id, message_id, left))
    }
}

impl ReplyHead {
    fn of(head: &PropertiesView<'_>) -> Self {
        Self {
            content_type: head.content_type.unwrap_or_default().into(),
            correlation_id: head.correlation_id.unwrap_or_default().into(),
            expires: head.expiration.is_some(),
        }
    }
}
