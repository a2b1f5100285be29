//! What the broker knows of one client: its connection and its channels.
//!
//! Plain state under the broker's lock. Invariants: `unacked` is sorted by delivery tag; a channel
//! that is closing takes nothing but `close-ok`; bytes in `pending` are whole frames.

use crate::loopback::broker::message::{Entry, Stored};
use crate::loopback::broker::queue::Consumer;
use crate::loopback::config::{ConnectionId, QueueId};
use crate::loopback::connection::outgoing::{OUTGOING_MAX, Outgoing};
use crate::wire::{Ack, Nack, encode_method_frame};
use amq_protocol::protocol::AMQPClass;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// How far a connection has come (AMQP 2.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing but the protocol header may come.
    Header,
    /// `start` is sent.
    Start,
    /// `tune` is sent.
    Tune,
    /// `tune-ok` came.
    Open,
    /// Channels may be used.
    Running,
    /// `close` is sent; only `close-ok` counts.
    Closing,
    /// Nothing is read any more.
    Ended,
}

/// What the client said it understands.
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
    /// Published while the broker was blocked: not read until it is unblocked.
    pub(crate) is_held: bool,
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
            is_held: false,
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

    /// Whether a delivery to this consumer may be handed over now.
    pub(crate) fn can_take(&self, consumer: &Consumer) -> bool {
        let Some(channel) = self.channel(consumer.channel) else { return false };
        if !consumer.has_credit() || !(consumer.no_ack || channel.has_credit()) {
            return false;
        }
        if self.pending.len() + self.out.backlog() > OUTGOING_MAX {
            self.out.starve();
            return false;
        }
        true
    }
}

/// A delivery that was not acknowledged yet.
#[derive(Debug)]
pub(crate) struct Unacked {
    pub(crate) tag: u64,
    pub(crate) queue: QueueId,
    /// The consumer's id, 0 for `basic.get`.
    pub(crate) consumer: u64,
    pub(crate) entry: Entry,
}

/// A publication whose frames have not all come yet.
#[derive(Debug)]
pub(crate) struct PartialContent {
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) mandatory: bool,
    pub(crate) header: Option<Vec<u8>>,
    pub(crate) body_size: usize,
    pub(crate) body: Vec<u8>,
}

/// Publications to be confirmed together: `count` of them up to tag `last`.
#[derive(Clone, Copy, Debug)]
struct ConfirmRun {
    last: u64,
    count: u64,
    is_ack: bool,
}

/// One channel.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    /// `close` is sent.
    pub(crate) is_closing: bool,
    pub(crate) confirms: bool,
    pub(crate) unacked: VecDeque<Unacked>,
    /// `basic.qos` for consumers to come.
    pub(crate) prefetch: u16,
    /// `basic.qos` with `global`, for the whole channel.
    pub(crate) prefetch_global: u16,
    /// Tag, queue and id of each consumer.
    pub(crate) consumers: HashMap<Box<str>, (QueueId, u64)>,
    pub(crate) content: Option<PartialContent>,
    /// The queue declared last, for methods that name none.
    pub(crate) last_queue: String,
    delivered: u64,
    published: u64,
    run: Option<ConfirmRun>,
}

impl Channel {
    /// One that waits for `close-ok` and nothing else.
    pub(crate) fn closing() -> Self {
        Self { is_closing: true, ..Self::default() }
    }

    fn has_credit(&self) -> bool {
        self.prefetch_global == 0 || self.unacked.len() < usize::from(self.prefetch_global)
    }

    /// The tag of the next delivery.
    pub(crate) fn next_delivery_tag(&mut self) -> u64 {
        self.delivered += 1;
        self.delivered
    }

    /// Counts a publication on a confirming channel. The confirm goes out with
    /// [`Channel::flush_confirms`], but where acks turn to nacks the run before goes out first.
    /// True if it began a run.
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

    /// Sends what is to be confirmed as one frame.
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

    /// Takes the deliveries an ack, nack or reject names; false if there is no such delivery.
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
    pub(crate) fn keep(&mut self, tag: u64, queue: QueueId, consumer: u64, entry: Entry) {
        self.unacked.push_back(Unacked { tag, queue, consumer, entry });
    }
}

/// A message that is stored only if somebody must keep it.
pub(crate) struct Lazy<'a> {
    pub(crate) content: crate::loopback::broker::message::Content<'a>,
    pub(crate) stored: Option<Stored>,
}

impl Lazy<'_> {
    pub(crate) fn stored(&mut self, scratch: &mut Vec<u8>) -> Stored {
        self.stored.get_or_insert_with(|| Stored::new(&self.content, scratch)).clone()
    }
}
