//! Answers to what a broker sends without being asked, until the writer takes them.
//!
//! A broker may ask faster than it reads. Invariant: what is kept for it is bounded: a repeated
//! `channel.flow-ok` or heartbeat replaces the one before, other answers end the connection above a
//! bound. Not here: what is asked (`connection`), our own requests (one unanswered per channel).

use std::collections::BTreeMap;

use amq_protocol::protocol::{AMQPClass, channel};

use super::ProtoError;
use crate::wire::{HEARTBEAT_FRAME, encode_method_frame};

/// Bytes of answers kept for a peer that does not read: thousands of `basic.cancel-ok`.
const UNREAD_MAX: usize = 1 << 20;

/// Answers that are not yet with the writer.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// The last `channel.flow` of each channel.
    flows: BTreeMap<u16, bool>,
    heartbeat: bool,
    /// Bytes of other answers in the output.
    unread: usize,
}

impl Answers {
    /// Appends an answer to the output.
    pub(super) fn put(
        &mut self,
        output: &mut Vec<u8>,
        channel: u16,
        method: &AMQPClass,
    ) -> Result<(), ProtoError> {
        let before = output.len();
        encode_method_frame(output, channel, method);
        self.unread += output.len() - before;
        if self.unread > UNREAD_MAX { Err(ProtoError::Unread(self.unread)) } else { Ok(()) }
    }

    /// The broker stops or restarts our publications on a channel.
    pub(super) fn flow(&mut self, channel: u16, active: bool) {
        self.flows.insert(channel, active);
    }

    /// The channel has ended: nothing may follow on it.
    pub(super) fn forget(&mut self, channel: u16) {
        self.flows.remove(&channel);
    }

    /// A heartbeat is due.
    pub(super) fn heartbeat(&mut self) {
        self.heartbeat = true;
    }

    /// True when `take` has something to append.
    pub(super) fn is_waiting(&self) -> bool {
        self.heartbeat || !self.flows.is_empty()
    }

    /// The writer takes the output: appends what is kept apart from it.
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
