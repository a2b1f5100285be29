//! What the floor's messages have beside their payload: plainly nothing, or all that
//! oslo.messaging's `rabbit` driver gives them.
//!
//! Both manners go through the same loops, so what differs between the two floors is the broker's
//! work and not ours. Not here: when what is sent.

use anyhow::{Context, Result};

use super::client::{BROKER_TIMEOUT, CHANNEL};
use super::envelope;
use super::frames::{self, Publication};
use super::incoming::Incoming;

/// Where the ids and the reply queue of a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyFormat {
    /// In its properties; its body is the payload.
    Bare,
    /// In its body, an envelope around the payload.
    Enveloped,
}

/// How messages are sent and taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessageStyle {
    /// Where requests and casts go; answers go through the default exchange.
    pub(crate) exchange: String,
    /// The broker confirms every message.
    pub(crate) confirms: bool,
    /// Deliveries are acknowledged, all of one read at once.
    pub(crate) acks: bool,
    /// What nobody answers is a notification, not a cast.
    notifies: bool,
    format: BodyFormat,
}

impl MessageStyle {
    /// As little as AMQP allows.
    pub(crate) fn bare() -> Self {
        let format = BodyFormat::Bare;
        Self { exchange: String::new(), confirms: false, acks: false, notifies: false, format }
    }

    /// As oslo.messaging's `rabbit` driver has it.
    pub(crate) fn kombu(exchange: String) -> Self {
        Self {
            exchange,
            confirms: true,
            acks: true,
            notifies: false,
            format: BodyFormat::Enveloped,
        }
    }

    /// The same, for notifications instead of casts.
    pub(crate) fn notifying(self, notifies: bool) -> Self {
        Self { notifies, ..self }
    }

    /// The name of the queue that answers to requests to `queue` come back through.
    pub(crate) fn reply_queue(&self, queue: &str) -> String {
        match self.format {
            BodyFormat::Bare => format!("{queue}-reply"),
            BodyFormat::Enveloped => envelope::reply_queue(),
        }
    }

    /// The frames of a request to `queue` whose answer [`slot`](Self::slot) will know as `slot`.
    pub(crate) fn request(
        &self,
        queue: &str,
        reply_queue: &str,
        slot: usize,
        payload: &[u8],
        frame_max: usize,
    ) -> Vec<u8> {
        let mut out = Vec::new();
        let to = Publication { exchange: &self.exchange, key: queue, ..Publication::default() };
        match self.format {
            BodyFormat::Bare => {
                let id = format!("{slot:x}");
                let (reply_to, correlation_id) = (Some(reply_queue), Some(id.as_str()));
                let to = Publication { reply_to, correlation_id, ..to };
                frames::publish(&mut out, CHANNEL, to, payload, frame_max);
            }
            BodyFormat::Enveloped => {
                let expiration = BROKER_TIMEOUT.as_millis().to_string();
                let to = Publication { is_described: true, expiration: Some(&expiration), ..to };
                let body = envelope::call(payload, &envelope::id(slot), reply_queue);
                frames::publish(&mut out, CHANNEL, to, &body, frame_max);
            }
        }
        out
    }

    /// Appends the frames of a message that nobody answers.
    pub(crate) fn cast(&self, out: &mut Vec<u8>, key: &str, payload: &[u8], frame_max: usize) {
        let to = Publication { exchange: &self.exchange, key, ..Publication::default() };
        match self.format {
            BodyFormat::Bare => frames::publish(out, CHANNEL, to, payload, frame_max),
            BodyFormat::Enveloped => {
                let to = Publication { is_described: true, ..to };
                let id = envelope::id(0);
                let body = match self.notifies {
                    true => envelope::notification(payload, &id),
                    false => envelope::cast(payload, &id),
                };
                frames::publish(out, CHANNEL, to, &body, frame_max);
            }
        }
    }

    /// Appends the frames of the answer to `request`: its own payload. `body` is room to work in.
    pub(crate) fn answer(
        &self,
        out: &mut Vec<u8>,
        request: &Incoming,
        body: &mut Vec<u8>,
        frame_max: usize,
    ) -> Result<()> {
        let name = |bytes| std::str::from_utf8(bytes).context("a reply queue in UTF-8");
        match self.format {
            BodyFormat::Bare => {
                let correlation_id = std::str::from_utf8(&request.correlation_id).ok();
                let key = name(&request.reply_to)?;
                let to = Publication { key, correlation_id, ..Publication::default() };
                frames::publish(out, CHANNEL, to, &request.body, frame_max);
            }
            BodyFormat::Enveloped => {
                let call = envelope::open_call(&request.body).context("a short request")?;
                let to = Publication {
                    key: name(call.reply_queue)?,
                    is_mandatory: true,
                    is_described: true,
                    ..Publication::default()
                };
                body.clear();
                envelope::write_reply(body, &call);
                frames::publish(out, CHANNEL, to, body, frame_max);
            }
        }
        Ok(())
    }

    /// Which request `answer` answers.
    pub(crate) fn slot(&self, answer: &Incoming) -> Option<usize> {
        let id = match self.format {
            BodyFormat::Bare => &answer.correlation_id,
            BodyFormat::Enveloped => envelope::answered(&answer.body)?,
        };
        usize::from_str_radix(std::str::from_utf8(id).ok()?, 16).ok()
    }
}
