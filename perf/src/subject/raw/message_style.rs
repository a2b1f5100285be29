//! The two styles of the baseline's messages: a plain payload, or all that oslo.messaging's
//! `rabbit` driver adds to it.
//!
//! Both styles use the same loops, so the two baselines differ in the broker's work only. Not here:
//! the loops (`one_way`, `rpc`).

use anyhow::{Context, Result};

use super::client::{BROKER_TIMEOUT, CHANNEL};
use super::envelope;
use super::frames::{self, Publication};
use super::incoming::Incoming;

/// Where a message carries its id and its reply queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyFormat {
    /// In the properties; the body is the payload.
    Bare,
    /// In the body, an envelope around the payload.
    Enveloped,
}

/// How messages are published and consumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessageStyle {
    /// The exchange of requests and casts; replies go through the default exchange.
    pub(crate) exchange: String,
    /// The broker confirms every message.
    pub(crate) confirms: bool,
    /// Deliveries are acknowledged, all of one read at once.
    pub(crate) acks: bool,
    /// Messages without a reply are notifications, not casts.
    notifies: bool,
    format: BodyFormat,
}

impl MessageStyle {
    /// The least that AMQP allows.
    pub(crate) fn bare() -> Self {
        let format = BodyFormat::Bare;
        Self { exchange: String::new(), confirms: false, acks: false, notifies: false, format }
    }

    /// The style of oslo.messaging's `rabbit` driver.
    pub(crate) fn kombu(exchange: String) -> Self {
        Self {
            exchange,
            confirms: true,
            acks: true,
            notifies: false,
            format: BodyFormat::Enveloped,
        }
    }

    /// This style with notifications instead of casts.
    pub(crate) fn notifying(self, notifies: bool) -> Self {
        Self { notifies, ..self }
    }

    /// The name of the reply queue of requests to `queue`.
    pub(crate) fn reply_queue(&self, queue: &str) -> String {
        match self.format {
            BodyFormat::Bare => format!("{queue}-reply"),
            BodyFormat::Enveloped => envelope::reply_queue(),
        }
    }

    /// The frames of a request to `queue`; [`slot`](Self::slot) finds `slot` in its reply.
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

    /// Appends the frames of a message without a reply.
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

    /// Appends the frames of the reply to `request`, which has the same payload. `body` is scratch
    /// memory.
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

    /// The slot of the request that `answer` belongs to.
    pub(crate) fn slot(&self, answer: &Incoming) -> Option<usize> {
        let id = match self.format {
            BodyFormat::Bare => &answer.correlation_id,
            BodyFormat::Enveloped => envelope::answered(&answer.body)?,
        };
        usize::from_str_radix(std::str::from_utf8(id).ok()?, 16).ok()
    }
}
