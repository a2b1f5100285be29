//! One channel: opening, its requests (one unanswered at a time, AMQP 4.3), flow, closing.
//!
//! Invariant: every request ends once, with a reply or with the end of its channel. `content`
//! handles content frames; the sender of a request knows its meaning.

use std::collections::VecDeque;

use amq_protocol::protocol::{AMQPClass, channel};

use crate::proto::content::Assembly;
use crate::proto::method_pairs::{MethodId, is_answered_by, method_id};

/// `channel.close`.
const CLOSE: MethodId = (20, 40);

#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) assembly: Assembly,
    unanswered: Option<(u64, MethodId)>,
    waiting: VecDeque<(u64, AMQPClass)>,
    closing: bool,
}

impl Channel {
    /// Queues a request; returns the method to write now, if any.
    pub(super) fn request(&mut self, token: u64, method: AMQPClass) -> Option<AMQPClass> {
        self.closing |= matches!(method, AMQPClass::Channel(channel::AMQPMethod::Close(_)));
        self.waiting.push_back((token, method));
        self.next_request()
    }

    /// Returns the next request to write, if none is unanswered.
    pub(super) fn next_request(&mut self) -> Option<AMQPClass> {
        if self.unanswered.is_some() {
            return None;
        }
        let (token, method) = self.waiting.pop_front()?;
        self.unanswered = Some((token, method_id(&method)));
        Some(method)
    }

    /// Returns the token of the request that this method answers, if it answers one.
    pub(super) fn take_answered(&mut self, reply: &AMQPClass) -> Option<u64> {
        let (token, request) = self.unanswered?;
        is_answered_by(request, method_id(reply)).then(|| {
            self.unanswered = None;
            token
        })
    }

    /// Returns true if our close is on the wire and unanswered.
    pub(super) fn awaits_close_ok(&self) -> bool {
        self.unanswered.is_some_and(|(_, request)| request == CLOSE)
    }

    /// Returns true once we have asked to close; methods that still arrive are stale.
    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }
}
