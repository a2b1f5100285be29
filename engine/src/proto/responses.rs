//! Responses to methods that the broker sends unasked, until the writer takes them.
//!
//! A broker may send such methods faster than it reads. Invariant: the responses kept for it are
//! bounded. A repeated `channel.flow-ok` or heartbeat replaces the one before; other responses
//! above the bound end the connection. `connection` decides on the responses; our own requests are
//! bounded otherwise (one unanswered per channel).

use std::collections::BTreeMap;

use amq_protocol::protocol::{AMQPClass, channel};

use crate::proto::error::ProtoError;
use crate::wire::cold::encode_method_frame;
use crate::wire::frame::HEARTBEAT_FRAME;

/// Limit of the bytes of responses kept for a peer that does not read: thousands of
/// `basic.cancel-ok`.
const UNREAD_MAX: usize = 1 << 20;

/// Responses that the writer has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Responses {
    /// The latest `channel.flow` of each channel.
    flows: BTreeMap<u16, bool>,
    heartbeat: bool,
    /// Bytes of other responses in the output.
    unread: usize,
}

impl Responses {
    /// Appends a response to the output.
    ///
    /// # Errors
    /// `Unread` above [`UNREAD_MAX`].
    pub(super) fn put(
        &mut self,
        output: &mut Vec<u8>,
        channel: u16,
        method: &AMQPClass,
    ) -> Result<(), ProtoError> {
        let before = output.len();
        encode_method_frame(output, channel, method);
        self.unread += output.len() - before;
        if self.unread > UNREAD_MAX {
            Err(ProtoError::UnreadResponses(self.unread))
        } else {
            Ok(())
        }
    }

    /// The broker stops or resumes our publications on a channel.
    pub(super) fn flow(&mut self, channel: u16, active: bool) {
        self.flows.insert(channel, active);
    }

    /// The channel has ended, so no response may follow on it.
    pub(super) fn forget(&mut self, channel: u16) {
        self.flows.remove(&channel);
    }

    /// A heartbeat is due.
    pub(super) fn heartbeat(&mut self) {
        self.heartbeat = true;
    }

    /// Returns true if `take` has something to append.
    pub(super) fn is_waiting(&self) -> bool {
        self.heartbeat || !self.flows.is_empty()
    }

    /// Appends the responses that are kept apart from the output. The caller has taken the output.
    pub(super) fn take(&mut self, out: &mut Vec<u8>) {
        self.unread = 0;
        while let Some((number, active)) = self.flows.pop_first() {
            let ok = channel::AMQPMethod::FlowOk(channel::FlowOk { active });
            encode_method_frame(out, number, &AMQPClass::Channel(ok));
        }
        if std::mem::take(&mut self.heartbeat) {
            out.extend_from_slice(&HEARTBEAT_FRAME);
        }
    }
}
