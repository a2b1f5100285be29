//! One connection on its shard: its channels, and who waits for what.
//!
//! Owned by the shard's thread; the cells are never borrowed across an await or a sink. Not here:
//! what events mean (`events`), sockets (`socket`), reconnecting (`reconnect`).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use amq_protocol::protocol::AMQPClass;
use tokio::sync::{Mutex, Notify, oneshot};

use crate::config::ConnectionConfig;
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::outcome::Outcome;
use crate::reactor::Background;
use crate::shard::border::shared::{ChannelShared, ConnectionShared};
use crate::shard::border::slab::Token;
use crate::shard::border::status::ConnectionState;
use crate::shard::connection::channel_state::ChannelState;
use crate::shard::connection::consumer::ChannelConsumer;
use crate::shard::connection::log_limit::LogLimits;
use crate::shard::connection::topology::Topology;
use crate::shard::panics::Foreign;
use crate::shard::stats::Stats;
use crate::{proto, reactor};

/// A request on the wire.
pub(crate) struct PendingRequest {
    /// The channel it was asked on.
    pub(crate) channel: u16,
    /// When it was asked, or the broker last answered on that channel.
    pub(crate) since: Instant,
    pub(crate) reply: oneshot::Sender<Result<AMQPClass, Error>>,
}

pub(crate) struct Conn {
    pub(crate) config: ConnectionConfig,
    pub(crate) shared: Arc<ConnectionShared>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) proto: RefCell<Option<proto::Connection>>,
    pub(crate) channels: RefCell<BTreeMap<u16, ChannelState>>,
    pub(crate) topology: RefCell<Topology>,
    /// Requests on the wire, by their tokens.
    pub(crate) pending_requests: RefCell<HashMap<u64, PendingRequest>>,
    next_token: Cell<u64>,
    /// Outcomes of the batch that is being read, told under one lock at its end.
    pub(crate) outcomes: RefCell<Vec<(Token, Outcome)>>,
    /// Consumers and channels to be made again, found while reading.
    pub(crate) recovery_tasks: RefCell<Vec<RecoveryTask>>,
    /// Why the present socket is down; set once per socket.
    down: RefCell<Option<Error>>,
    /// The present socket is down because the broker left something unanswered.
    pub(crate) was_unresponsive: Cell<bool>,
    pub(crate) opened: Cell<bool>,
    /// Why the broker takes no publications now.
    pub(crate) blocked: RefCell<Option<String>>,
    /// Asked to end: what is still delivered goes back with the connection.
    pub(crate) closing: Cell<bool>,
    /// Not to be made again.
    pub(crate) stopping: Cell<bool>,
    /// Nothing is read now, because a consumer or the block pool has no room.
    pub(crate) paused: Cell<bool>,
    pub(crate) frame_max: Cell<u32>,
    /// The number of the channel opened last.
    last_channel: Cell<u16>,
    /// Repairs declare on a channel of their own, one at a time.
    pub(crate) recovery_channel: Mutex<()>,
    /// Something that tasks of this shard wait for has changed.
    pub(crate) changed: Notify,
    /// Asks the provider of credentials, off the shard.
    pub(crate) provider: Background<Result<Credentials, String>>,
    /// What the last audit was refused.
    pub(crate) refused_intents: RefCell<BTreeSet<String>>,
    /// Something was sent that the broker is to answer (`watchdog`).
    pub(crate) pending: Notify,
    /// Acknowledgements are kept back for company.
    pub(crate) deferred_acks: Notify,
    /// Publications were refused, and are to be sent again later.
    pub(crate) delayed: Notify,
    /// Since when publishers are not blocked.
    pub(crate) unblocked_since: Cell<Option<Instant>>,
    pub(crate) log_limits: LogLimits,
}

/// What the broker took away without being asked.
pub(crate) enum RecoveryTask {
    /// With the exchange that is declared again first, if that is why it was closed.
    ReopenChannel(u16, Option<String>),
    /// It goes on refusing what it is given.
    RenewChannel(u16),
    Resubscribe(u16, String),
}

impl Conn {
    pub(crate) fn new(
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
            pending_requests: RefCell::default(),
            next_token: Cell::new(1),
            outcomes: RefCell::default(),
            recovery_tasks: RefCell::default(),
            down: RefCell::default(),
            was_unresponsive: Cell::new(false),
            opened: Cell::new(false),
            blocked: RefCell::default(),
            closing: Cell::new(false),
            stopping: Cell::new(false),
            paused: Cell::new(false),
            frame_max: Cell::new(0),
            last_channel: Cell::new(0),
            recovery_channel: Mutex::default(),
            changed: Notify::new(),
            provider: Background::default(),
            refused_intents: RefCell::default(),
            pending: Notify::new(),
            deferred_acks: Notify::new(),
            delayed: Notify::new(),
            unblocked_since: Cell::new(None),
            log_limits: LogLimits::default(),
        })
    }

    // ---- foreign code

    /// Emits an event. The program's subscriber may panic in it.
    pub(crate) fn log(&self, event: impl FnOnce()) {
        self.stats.panics.log(event);
    }

    /// Answers a handle, whose waker may panic; false if nobody waits for the answer.
    pub(crate) fn answer<T>(&self, reply: oneshot::Sender<T>, answer: T) -> bool {
        let sent = self.stats.panics.contain(Foreign::Waker, || reply.send(answer));
        sent.is_none_or(|sent| sent.is_ok())
    }

    // ---- the life of a socket

    /// Forgets the last socket's end before a new one is tried.
    pub(crate) fn begin_socket(&self, proto: proto::Connection) {
        self.proto.replace(Some(proto));
        self.down.replace(None);
        self.was_unresponsive.set(false);
        self.paused.set(false);
        self.opened.set(false);
        self.blocked.replace(None);
    }

    /// The socket is of no use any more, and whoever waits for an answer on it is told; the first
    /// reason counts.
    pub(crate) fn fail(&self, error: Error) {
        let error = self.down.borrow_mut().get_or_insert(error).clone();
        for (_, request) in self.pending_requests.borrow_mut().drain() {
            let _ = request.reply.send(Err(error.clone()));
        }
        self.changed.notify_waiters();
        self.shared.write_bell.ring();
        self.shared.read_bell.ring();
    }

    /// [`fail`](Self::fail) because the broker left something unanswered: its host is a suspect.
    pub(crate) fn fail_unresponsive(&self, error: Error) {
        if !self.is_down() {
            self.was_unresponsive.set(true);
        }
        self.fail(error);
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down.borrow().is_some()
    }

    pub(crate) fn reason(&self) -> Error {
        self.down.borrow().clone().unwrap_or_else(Error::stopped)
    }

    /// Waits until `test` holds; tested whenever something changed.
    pub(crate) async fn wait_until(&self, test: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            if test(self) {
                return;
            }
            changed.await;
        }
    }

    /// Waits until requests may be made.
    pub(crate) async fn wait_until_open(&self) -> Result<(), Error> {
        self.wait_until(|conn| {
            let open = conn.shared.state() != ConnectionState::Connecting && !conn.is_down();
            conn.stopping.get() || open
        })
        .await;
        if self.stopping.get() || self.shared.state() == ConnectionState::Closed {
            return Err(Error::stopped());
        }
        Ok(())
    }

    /// Waits until a channel that the broker closed is open again.
    pub(crate) async fn wait_for_channel(&self, channel: u16) -> Result<(), Error> {
        let settled = |conn: &Self| {
            conn.is_down() || conn.with_channel(channel, |state| state.is_open()).unwrap_or(true)
        };
        self.wait_until(settled).await;
        if self.is_down() { Err(self.reason()) } else { self.with_channel(channel, |_| ()) }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.get()
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.borrow().is_some()
    }

    /// The connection is usable: whoever waits for that is told.
    pub(crate) fn mark_open(&self) {
        self.shared.set_state(ConnectionState::Open);
        self.update_state();
        self.changed.notify_waiters();
    }

    /// Open or blocked; neither while the connection is still being made again.
    pub(crate) fn update_state(&self) {
        if matches!(self.shared.state(), ConnectionState::Open | ConnectionState::Blocked(_)) {
            let blocked = self.blocked.borrow().clone();
            self.shared.set_state(blocked.map_or(ConnectionState::Open, ConnectionState::Blocked));
        }
    }

    // ---- requests

    /// Asks on a channel and waits for the broker's answer.
    pub(crate) async fn request(
        &self,
        channel: u16,
        method: AMQPClass,
    ) -> Result<AMQPClass, Error> {
        self.ask(channel, |proto, token| proto.request(channel, token, method)).await
    }

    pub(crate) async fn open_channel(&self, channel: u16) -> Result<AMQPClass, Error> {
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
                let max = proto.channel_max();
                let text = if channel > max {
                    format!("channel {channel} is above the broker's channel_max of {max}")
                } else {
                    format!("channel {channel} is not open")
                };
                return Err(Error::new(ErrorKind::ChannelClosed, text));
            }
        }
        let request = PendingRequest { channel, since: reactor::now(), reply };
        self.pending_requests.borrow_mut().insert(token, request);
        self.pending.notify_one();
        self.shared.write_bell.ring();
        answer.await.unwrap_or_else(|_| Err(self.reason()))
    }

    // ---- channels and consumers

    /// A number that no channel has, here or at the broker; not that of the channel closed last,
    /// if there is another.
    pub(crate) fn free_channel(&self) -> Result<u16, Error> {
        let (proto, channels) = (self.proto.borrow(), self.channels.borrow());
        let max = proto.as_ref().map_or(0, |proto| proto.channel_max());
        let is_free = |number: &u16| {
            !channels.contains_key(number)
                && proto.as_ref().is_some_and(|proto| !proto.has_channel(*number))
        };
        let last = self.last_channel.get().min(max);
        let number =
            (last.saturating_add(1)..=max).chain(1..=last).find(is_free).ok_or_else(|| {
                let text = format!("all {max} channels that this connection may have are open");
                Error::new(ErrorKind::ChannelClosed, text)
            })?;
        self.last_channel.set(number);
        Ok(number)
    }

    pub(crate) fn add_channel(&self, shared: Arc<ChannelShared>) {
        let state = ChannelState::new(Arc::clone(&shared), self.config.nack_retry);
        self.channels.borrow_mut().insert(shared.number, state);
    }

    pub(crate) fn with_channel<T>(
        &self,
        number: u16,
        act: impl FnOnce(&mut ChannelState) -> T,
    ) -> Result<T, Error> {
        let mut channels = self.channels.borrow_mut();
        let state = channels.get_mut(&number).ok_or_else(|| {
            Error::new(ErrorKind::ChannelClosed, format!("channel {number} was closed"))
        })?;
        Ok(act(state))
    }

    /// The channel itself if it still exists, else any other: declarations belong to the
    /// connection.
    pub(crate) fn existing_channel(&self, wanted: u16) -> Option<u16> {
        let channels = self.channels.borrow();
        channels.contains_key(&wanted).then_some(wanted).or_else(|| channels.keys().next().copied())
    }

    /// The epoch of a channel: it ends with the channel on the wire, so with the socket at the
    /// latest.
    pub(crate) fn epoch(&self, number: u16) -> Result<u32, Error> {
        self.with_channel(number, |state| state.epoch())
    }

    /// Whether that epoch of a channel is over.
    pub(crate) fn is_epoch_over(&self, number: u16, epoch: u32) -> bool {
        self.is_down() || self.epoch(number).ok() != Some(epoch)
    }

    /// Lets publications of a channel leave that was opened on the wire in this epoch. If that is
    /// over, the next socket may be in its handshake.
    pub(crate) fn start_publishing(&self, number: u16, epoch: u32) -> Result<(), Error> {
        if self.is_epoch_over(number, epoch) {
            let text = "the connection was lost while a channel was being opened";
            return Err(Error::new(ErrorKind::ConnectionClosed, text));
        }
        let frame_max = self.frame_max.get();
        self.with_channel(number, |state| state.open(frame_max, reactor::now()))?;
        self.changed.notify_waiters();
        self.shared.write_bell.ring();
        Ok(())
    }

    pub(crate) fn remove_channel(&self, number: u16, error: &Error) {
        let state = self.channels.borrow_mut().remove(&number);
        if let Some(mut state) = state {
            let mut outcomes = self.outcomes.borrow_mut();
            state.close(error, &mut outcomes);
            drop(outcomes);
            let ended = error.kind() != ErrorKind::Stopped;
            for mut consumer in state.deliveries.consumers.drain(..) {
                consumer.sink.closed(ended.then(|| error.clone()));
            }
        }
        self.changed.notify_waiters();
        self.complete_outcomes();
    }

    pub(crate) fn with_consumer<T>(
        &self,
        channel: u16,
        tag: &str,
        act: impl FnOnce(&mut ChannelConsumer) -> T,
    ) -> Option<T> {
        let mut channels = self.channels.borrow_mut();
        let consumers = &mut channels.get_mut(&channel)?.deliveries.consumers;
        consumers.iter_mut().find(|consumer| consumer.request.consumer_tag == tag).map(act)
    }

    pub(crate) fn remove_consumer(&self, channel: u16, tag: &str) -> Option<ChannelConsumer> {
        let mut channels = self.channels.borrow_mut();
        let consumers = &mut channels.get_mut(&channel)?.deliveries.consumers;
        let index = consumers.iter().position(|consumer| consumer.request.consumer_tag == tag)?;
        Some(consumers.remove(index))
    }

    /// An auto-delete queue went with the last consumer we had on it; it is not to be brought back.
    pub(crate) fn forget_unused_queue(&self, queue: &str) {
        let channels = self.channels.borrow();
        let mut consumers = channels.values().flat_map(|state| &state.deliveries.consumers);
        if consumers.all(|consumer| consumer.request.queue != queue) {
            self.topology.borrow_mut().forget_auto_delete(queue);
        }
    }

    /// True while a consumer has no room: its connection is then not read.
    pub(crate) fn is_full(&self) -> bool {
        let channels = self.channels.borrow();
        !self.closing.get() && channels.values().any(|state| state.deliveries.is_full())
    }

    // ---- closing

    /// Waits until what was published on a channel has left and was confirmed, as far as it can be.
    pub(crate) async fn wait_until_flushed(&self, channel: u16) {
        while self.channels.borrow().get(&channel).is_some_and(ChannelState::is_busy)
            && !self.is_down()
        {
            reactor::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// While the connection is being made again there is nobody to flush to.
    pub(crate) async fn wait_until_all_flushed(&self) {
        while self.channels.borrow().values().any(ChannelState::is_busy)
            && !self.is_down()
            && self.shared.state() != ConnectionState::Connecting
        {
            reactor::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// True while publications are waiting to leave or to be confirmed.
    pub(crate) fn has_unsettled(&self) -> bool {
        self.channels.borrow().values().any(|state| state.publications.has_unsettled())
    }

    /// Nothing new is published, and nobody takes deliveries any more: none of them stops the
    /// reading.
    pub(crate) fn begin_closing(&self) {
        self.closing.set(true);
        for state in self.channels.borrow().values() {
            state.shared.outbox.stop_accepting(Error::stopped());
        }
        self.shared.read_bell.ring();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Closes politely; the supervisor ends when the socket is down.
    pub(crate) async fn close(&self) {
        self.stopping.set(true);
        if let Some(proto) = self.proto.borrow_mut().as_mut().filter(|_| self.opened.get()) {
            proto.close(200, "closed on request");
        }
        self.shared.write_bell.ring();
        self.changed.notify_waiters();
        self.wait_until_closed().await;
    }

    /// Ends the socket without another word.
    pub(crate) fn abandon(&self) {
        self.stopping.set(true);
        self.fail(Error::stopped());
    }

    pub(crate) async fn wait_until_closed(&self) {
        self.wait_until(|conn| conn.shared.state() == ConnectionState::Closed).await;
    }
}
