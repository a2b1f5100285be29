//! One connection on its shard: its channels, who waits for what, and what each event means.
//!
//! Owned by the shard's thread; the cells are never borrowed across an await or a sink. Not here:
//! sockets (`socket`), reconnecting (`redial`).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use amq_protocol::protocol::AMQPClass;
use tokio::sync::{Notify, oneshot};

use super::operation::ConsumeRequest;
use super::seat::Seat;
use super::shared::{ChannelShared, ConnectionShared, ConnectionState};
use super::sink::DeliverySink;
use super::stats::Stats;
use super::ticket::Token;
use super::topology::Topology;
use crate::proto::{self, Event};
use crate::{ConnectionConfig, Error, ErrorKind, Outcome, Returned, reactor};

/// A consumer of a channel.
pub(super) struct ConsumerSeat {
    pub(super) request: ConsumeRequest,
    pub(super) sink: Box<dyn DeliverySink>,
}

type Waiting = oneshot::Sender<Result<AMQPClass, Error>>;

pub(super) struct Conn {
    pub(super) config: ConnectionConfig,
    pub(super) shared: Arc<ConnectionShared>,
    pub(super) stats: Arc<Stats>,
    pub(super) proto: RefCell<Option<proto::Connection>>,
    pub(super) channels: RefCell<BTreeMap<u16, Seat>>,
    pub(super) topology: RefCell<Topology>,
    /// Requests on the wire: the channel they were asked on, and who waits.
    waiting: RefCell<HashMap<u64, (u16, Waiting)>>,
    next_token: Cell<u64>,
    /// Outcomes of the batch that is being read, told under one lock at its end.
    outcomes: RefCell<Vec<(Token, Outcome)>>,
    /// Consumers and channels to be made again, found while reading.
    pub(super) repairs: RefCell<Vec<Repair>>,
    /// Why the present socket is down; set once per socket.
    down: RefCell<Option<Error>>,
    pub(super) opened: Cell<bool>,
    pub(super) blocked: Cell<bool>,
    pub(super) stopping: Cell<bool>,
    pub(super) frame_max: Cell<u32>,
    /// Something that tasks of this shard wait for has changed.
    pub(super) changed: Notify,
}

/// What the broker took away without being asked.
pub(super) enum Repair {
    Channel(u16),
    Consumer(u16, String),
}

impl Conn {
    pub(super) fn new(
        config: ConnectionConfig,
        shared: Arc<ConnectionShared>,
        stats: Arc<Stats>,
    ) -> Rc<Self> {
        Rc::new(Self {
            config,
            shared,
            stats,
            proto: RefCell::default(),
            channels: RefCell::default(),
            topology: RefCell::default(),
            waiting: RefCell::default(),
            next_token: Cell::new(1),
            outcomes: RefCell::default(),
            repairs: RefCell::default(),
            down: RefCell::default(),
            opened: Cell::new(false),
            blocked: Cell::new(false),
            stopping: Cell::new(false),
            frame_max: Cell::new(0),
            changed: Notify::new(),
        })
    }

    // ---- the life of a socket

    /// Forgets the last socket's end before a new one is tried.
    pub(super) fn begin(&self, proto: proto::Connection) {
        self.proto.replace(Some(proto));
        self.down.replace(None);
        self.opened.set(false);
        self.blocked.set(false);
    }

    /// The socket is of no use any more; the first reason counts.
    pub(super) fn fail(&self, error: Error) {
        self.down.borrow_mut().get_or_insert(error);
        self.changed.notify_waiters();
        self.shared.write_bell.ring();
        self.shared.read_bell.ring();
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.borrow().is_some()
    }

    pub(super) fn reason(&self) -> Error {
        self.down.borrow().clone().unwrap_or_else(Error::stopped)
    }

    /// Waits until `test` holds; tested whenever something changed.
    pub(super) async fn until(&self, test: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            if test(self) {
                return;
            }
            changed.await;
        }
    }

    /// Waits until requests may be made.
    pub(super) async fn opened(&self) -> Result<(), Error> {
        self.until(|conn| {
            conn.stopping.get() || conn.shared.state() != ConnectionState::Connecting
        })
        .await;
        if self.stopping.get() || self.shared.state() == ConnectionState::Closed {
            return Err(Error::stopped());
        }
        Ok(())
    }

    /// Ends every request that waits for the socket that is gone.
    pub(super) fn fail_requests(&self, error: &Error) {
        for (_, (_, reply)) in self.waiting.borrow_mut().drain() {
            let _ = reply.send(Err(error.clone()));
        }
    }

    // ---- requests

    /// Asks on a channel and waits for the broker's answer.
    pub(super) async fn request(
        &self,
        channel: u16,
        method: AMQPClass,
    ) -> Result<AMQPClass, Error> {
        self.ask(channel, |proto, token| proto.request(channel, token, method)).await
    }

    pub(super) async fn open_channel(&self, channel: u16) -> Result<AMQPClass, Error> {
        self.ask(channel, |proto, token| proto.open_channel(channel, token)).await
    }

    async fn ask(
        &self,
        channel: u16,
        put: impl FnOnce(&mut proto::Connection, u64) -> bool,
    ) -> Result<AMQPClass, Error> {
        let token = self.next_token.replace(self.next_token.get() + 1);
        let (reply, answer) = oneshot::channel();
        {
            let mut proto = self.proto.borrow_mut();
            let proto = proto.as_mut().filter(|_| !self.is_down()).ok_or_else(|| self.reason())?;
            if !put(proto, token) {
                let text = format!("channel {channel} is not open, or its number is out of range");
                return Err(Error::new(ErrorKind::ChannelClosed, text));
            }
        }
        self.waiting.borrow_mut().insert(token, (channel, reply));
        self.shared.write_bell.ring();
        answer.await.unwrap_or_else(|_| Err(self.reason()))
    }

    // ---- channels and consumers

    pub(super) fn add_channel(&self, shared: Arc<ChannelShared>) {
        self.channels.borrow_mut().insert(shared.number, Seat::new(shared));
    }

    pub(super) fn with_channel<T>(
        &self,
        number: u16,
        act: impl FnOnce(&mut Seat) -> T,
    ) -> Result<T, Error> {
        let mut channels = self.channels.borrow_mut();
        let seat = channels.get_mut(&number).ok_or_else(|| {
            Error::new(ErrorKind::ChannelClosed, format!("channel {number} was closed"))
        })?;
        Ok(act(seat))
    }

    /// The channel itself if it still exists, else any other: declarations belong to the
    /// connection.
    pub(super) fn open_number(&self, wanted: u16) -> Option<u16> {
        let channels = self.channels.borrow();
        channels.contains_key(&wanted).then_some(wanted).or_else(|| channels.keys().next().copied())
    }

    /// Lets publications of a channel that is open on the wire leave.
    pub(super) fn let_flow(&self, number: u16) -> Result<(), Error> {
        let frame_max = self.frame_max.get();
        self.with_channel(number, |seat| seat.open(frame_max))?;
        self.shared.write_bell.ring();
        Ok(())
    }

    pub(super) fn remove_channel(&self, number: u16, error: &Error) {
        let seat = self.channels.borrow_mut().remove(&number);
        if let Some(mut seat) = seat {
            let mut outcomes = self.outcomes.borrow_mut();
            seat.close(error, &mut outcomes);
            drop(outcomes);
            let ended = error.kind() != ErrorKind::Stopped;
            for mut consumer in seat.consumers.drain(..) {
                consumer.sink.ended(ended.then(|| error.clone()));
            }
        }
        self.tell_outcomes();
    }

    pub(super) fn remove_consumer(&self, channel: u16, tag: &str) -> Option<ConsumerSeat> {
        let mut channels = self.channels.borrow_mut();
        let consumers = &mut channels.get_mut(&channel)?.consumers;
        let index = consumers.iter().position(|seat| seat.request.consumer_tag == tag)?;
        Some(consumers.remove(index))
    }

    /// True while a consumer has no room: its connection is then not read.
    pub(super) fn is_full(&self) -> bool {
        let channels = self.channels.borrow();
        channels.values().any(|seat| seat.consumers.iter().any(|consumer| consumer.sink.is_full()))
    }

    // ---- events

    pub(super) fn handle_event(&self, event: Event) {
        match event {
            Event::Opened { frame_max } => {
                self.frame_max.set(frame_max);
                self.opened.set(true);
                self.changed.notify_waiters();
            }
            Event::Reply { token, method } => {
                if let Some((_, reply)) = self.waiting.borrow_mut().remove(&token) {
                    // A caller that timed out meanwhile misses nothing.
                    let _ = reply.send(Ok(method));
                }
            }
            Event::Delivery { channel, content } => {
                if let Some(seat) = self.channels.borrow_mut().get_mut(&channel) {
                    seat.deliver(content);
                }
            }
            Event::Returned { channel, content } => self.returned(channel, Returned::new(content)),
            Event::Confirmed { channel, tag, multiple, ack } => {
                let mut channels = self.channels.borrow_mut();
                let mut outcomes = self.outcomes.borrow_mut();
                let known = channels
                    .get_mut(&channel)
                    .is_none_or(|seat| seat.settle(tag, multiple, ack, &mut outcomes));
                drop((channels, outcomes));
                if !known {
                    self.fail(proto::ProtoError::UnknownTag { tag }.into());
                }
            }
            Event::ConsumerCancelled { channel, consumer_tag } => {
                tracing::warn!(channel, consumer_tag, "the broker cancelled a consumer");
                self.repairs.borrow_mut().push(Repair::Consumer(channel, consumer_tag));
            }
            Event::ChannelClosed { channel, code, text } => {
                self.channel_closed(channel, code, &text)
            }
            Event::Blocked { reason } => {
                tracing::warn!(reason, "the broker blocks publishers");
                self.blocked.set(true);
                self.shared.set_state(ConnectionState::Blocked(reason));
            }
            Event::Unblocked => {
                tracing::info!("the broker accepts publications again");
                self.blocked.set(false);
                self.shared.set_state(ConnectionState::Open);
            }
            Event::Closed { code, text } => self.fail(Error::closed_by_broker(code, &text)),
        }
    }

    fn returned(&self, channel: u16, returned: Returned) {
        let mut channels = self.channels.borrow_mut();
        let Some(seat) = channels.get_mut(&channel) else { return };
        match seat.returned(&returned) {
            Some(token) if token != 0 => {
                let outcome = Outcome::Returned(Box::new(returned));
                self.outcomes.borrow_mut().push((token, outcome));
            }
            _ => {
                self.shared.unwatched_failures.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(?returned, "a publication was returned and nobody waits for it");
            }
        }
    }

    /// The broker ended a channel: whatever is unanswered on it has failed; the number is opened
    /// again.
    fn channel_closed(&self, channel: u16, code: u16, text: &str) {
        let words = format!("the broker closed channel {channel}: {code} {text}");
        let error = Error::with_code(ErrorKind::ChannelClosed, code, words);
        let mut waiting = self.waiting.borrow_mut();
        let failed: Vec<u64> = waiting
            .iter()
            .filter(|(_, (asked_on, _))| *asked_on == channel)
            .map(|(token, _)| *token)
            .collect();
        if failed.is_empty() {
            tracing::warn!(channel, code, text, "the broker closed a channel");
        }
        for token in failed {
            if let Some((_, reply)) = waiting.remove(&token) {
                let _ = reply.send(Err(error.clone()));
            }
        }
        if let Some(seat) = self.channels.borrow_mut().get_mut(&channel) {
            seat.interrupt(&error, &mut self.outcomes.borrow_mut());
            self.repairs.borrow_mut().push(Repair::Channel(channel));
        }
    }

    /// The batch one read brought is over.
    pub(super) fn end_batch(&self) {
        for seat in self.channels.borrow_mut().values_mut() {
            seat.consumers.iter_mut().for_each(|consumer| consumer.sink.flush());
        }
        self.tell_outcomes();
    }

    pub(super) fn tell_outcomes(&self) {
        let mut outcomes = self.outcomes.borrow_mut();
        if !outcomes.is_empty() {
            self.shared.outcomes.complete_all(outcomes.drain(..));
        }
    }

    /// Outcomes of publications that a lost socket decides.
    pub(super) fn interrupt_all(&self, error: &Error) {
        for seat in self.channels.borrow_mut().values_mut() {
            seat.connection_lost(error, &mut self.outcomes.borrow_mut());
        }
        self.tell_outcomes();
    }

    // ---- leaving

    /// Waits until what was published on a channel has left and was confirmed, as far as it can be.
    pub(super) async fn flushed(&self, channel: u16) {
        while self.channels.borrow().get(&channel).is_some_and(Seat::is_busy) && !self.is_down() {
            reactor::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    pub(super) async fn flushed_all(&self) {
        while self.channels.borrow().values().any(Seat::is_busy) && !self.is_down() {
            reactor::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// Closes politely; the supervisor ends when the socket is down.
    pub(super) async fn close(&self) {
        self.stopping.set(true);
        if let Some(proto) = self.proto.borrow_mut().as_mut() {
            proto.close(200, "closed on request");
        }
        self.shared.write_bell.ring();
        self.changed.notify_waiters();
        self.until(|conn| conn.shared.state() == ConnectionState::Closed).await;
    }
}
