//! The broker's state of one client: its connection and its channels.
//!
//! Plain state under the broker's lock. Invariants: `unacked` is sorted by delivery tag; a channel
//! that is closing accepts only `close-ok`; `pending` holds whole frames.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use amq_protocol::protocol::AMQPClass;

use crate::loopback::broker::message::Entry;
use crate::loopback::broker::queue::Consumer;
use crate::loopback::config::{ConnectionId, QueueId};
use crate::loopback::connection::outgoing::{OUTGOING_MAX, Outgoing};
use crate::wire::cold::encode_method_frame;
use crate::wire::hot::{Ack, Nack};

/// The phase of a connection (AMQP 2.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waits for the protocol header.
    Header,
    /// Has sent `start`.
    Start,
    /// Has sent `tune`.
    Tune,
    /// Has received `tune-ok`.
    Open,
    /// Is open.
    Running,
    /// Has sent `close`; accepts only `close-ok`.
    Closing,
    /// Reads no more.
    Ended,
}

/// The capabilities that the client announced.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Capabilities {
    pub(crate) consumer_cancel_notify: bool,
    pub(crate) blocked: bool,
    pub(crate) authentication_failure_close: bool,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) phase: Phase,
    pub(crate) vhost: usize,
    pub(crate) frame_max: u32,
    pub(crate) channel_max: u16,
    pub(crate) capabilities: Capabilities,
    pub(crate) channels: Vec<Option<Box<Channel>>>,
    pub(crate) pending: Vec<u8>,
    pub(crate) is_dirty: bool,
    pub(crate) out: Arc<Outgoing>,
    pub(crate) frames_in: u64,
    /// It published while the broker was blocked, so it is not read until the broker is unblocked.
    pub(crate) is_paused: bool,
}

impl Connection {
    pub(crate) fn new(id: ConnectionId, out: Arc<Outgoing>, frame_max: u32) -> Self {
        Self {
            id,
            phase: Phase::Header,
            vhost: 0,
            frame_max,
            channel_max: 0,
            capabilities: Capabilities::default(),
            channels: Vec::new(),
            pending: Vec::new(),
            is_dirty: false,
            out,
            frames_in: 0,
            is_paused: false,
        }
    }

    /// Appends a method frame.
    pub(crate) fn send(&mut self, channel: u16, method: &AMQPClass) {
        encode_method_frame(&mut self.pending, channel, method);
    }

    pub(crate) fn channel(&self, number: u16) -> Option<&Channel> {
        self.channels.get(usize::from(number))?.as_deref()
    }

    pub(crate) fn channel_mut(&mut self, number: u16) -> Option<&mut Channel> {
        self.channels.get_mut(usize::from(number))?.as_deref_mut()
    }

    /// Returns true if this consumer can accept a delivery now.
    pub(crate) fn can_take(&self, consumer: &Consumer) -> bool {
        let Some(channel) = self.channel(consumer.channel) else { return false };
        if !consumer.has_credit() || !(consumer.no_ack || channel.has_credit()) {
            return false;
        }
        if self.pending.len() + self.out.backlog() > OUTGOING_MAX {
            self.out.request_resume();
            return false;
        }
        true
    }
}

/// A delivery that is not acknowledged yet.
#[derive(Debug)]
pub(crate) struct Unacked {
    pub(crate) tag: u64,
    pub(crate) queue: QueueId,
    /// The consumer's id, 0 for `basic.get`.
    pub(crate) consumer: u64,
    pub(crate) entry: Entry,
}

/// A publication whose frames have not all arrived yet.
#[derive(Debug)]
pub(crate) struct PartialContent {
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) mandatory: bool,
    pub(crate) header: Option<Vec<u8>>,
    pub(crate) body_size: usize,
    pub(crate) body: Vec<u8>,
}

/// Publications that one frame confirms: `count` of them up to tag `last`.
#[derive(Clone, Copy, Debug)]
struct ConfirmRun {
    last: u64,
    count: u64,
    is_ack: bool,
}

/// One channel.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    /// The broker has sent `close`.
    pub(crate) is_closing: bool,
    pub(crate) confirms: bool,
    pub(crate) unacked: VecDeque<Unacked>,
    /// Prefetch limit of later consumers.
    pub(crate) prefetch: u16,
    /// Prefetch limit of the whole channel (`basic.qos` with `global`).
    pub(crate) prefetch_global: u16,
    /// Queue and consumer id, by consumer tag.
    pub(crate) consumers: HashMap<Box<str>, (QueueId, u64)>,
    pub(crate) content: Option<PartialContent>,
    /// The queue declared last, for methods that name none.
    pub(crate) last_queue: String,
    delivered: u64,
    published: u64,
    run: Option<ConfirmRun>,
}

impl Channel {
    /// Creates a channel that waits only for `close-ok`.
    pub(crate) fn closing() -> Self {
        Self { is_closing: true, ..Self::default() }
    }

    fn has_credit(&self) -> bool {
        self.prefetch_global == 0 || self.unacked.len() < usize::from(self.prefetch_global)
    }

    /// Returns the tag of the next delivery.
    pub(crate) fn next_delivery_tag(&mut self) -> u64 {
        self.delivered += 1;
        self.delivered
    }

    /// Counts a publication on a channel with confirms. [`Channel::flush_confirms`] sends the
    /// confirm; if acks change to nacks or back, the previous run is sent first. Returns true if
    /// this began a run.
    pub(crate) fn count_publish(&mut self, number: u16, is_ack: bool, out: &mut Vec<u8>) -> bool {
        self.published += 1;
        let last = self.published;
        if self.run.is_some_and(|run| run.is_ack != is_ack) {
            self.flush_confirms(number, out);
        }
        let begins = self.run.is_none();
        let count = self.run.map_or(1, |run| run.count + 1);
        self.run = Some(ConfirmRun { last, count, is_ack });
        begins
    }

    /// Counts a publication that is never confirmed.
    pub(crate) fn skip_publish(&mut self) {
        self.published += 1;
    }

    /// Sends one frame for all publications to be confirmed.
    pub(crate) fn flush_confirms(&mut self, number: u16, out: &mut Vec<u8>) {
        let Some(ConfirmRun { last: delivery_tag, count, is_ack }) = self.run.take() else {
            return;
        };
        let multiple = count > 1;
        if is_ack {
            Ack { delivery_tag, multiple }.encode_frame(number, out);
        } else {
            Nack { delivery_tag, multiple, requeue: false }.encode_frame(number, out);
        }
    }

    /// Removes the deliveries that an ack, nack or reject names; returns false if there is no such
    /// delivery.
    pub(crate) fn take_unacked(
        &mut self,
        tag: u64,
        multiple: bool,
        taken: &mut Vec<Unacked>,
    ) -> bool {
        if multiple && tag == 0 {
            taken.extend(self.unacked.drain(..));
            return true;
        }
        let Ok(at) = self.unacked.binary_search_by_key(&tag, |unacked| unacked.tag) else {
            return false;
        };
        if multiple {
            taken.extend(self.unacked.drain(..=at));
        } else {
            taken.extend(self.unacked.remove(at));
        }
        true
    }

    /// Keeps a delivery until it is acknowledged.
    pub(crate) fn track_unacked(&mut self, tag: u64, queue: QueueId, consumer: u64, entry: Entry) {
        self.unacked.push_back(Unacked { tag, queue, consumer, entry });
    }
}
