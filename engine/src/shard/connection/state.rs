//! The state of a connection on its shard.
//!
//! Only the shard's thread uses it. Invariant: no cell stays borrowed across an await or a call of
//! a sink. Other parts of [`Conn`] are in `requests`, `channels`, `events` and `closing`; sockets
//! are in `socket`, reconnects in `reconnect`.

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
use crate::proto;
use crate::reactor::Background;
use crate::shard::border::shared::ConnectionShared;
use crate::shard::border::slab::Token;
use crate::shard::border::status::ConnectionState;
use crate::shard::connection::channel::state::ChannelState;
use crate::shard::connection::log_limit::LogLimits;
use crate::shard::connection::topology::Topology;
use crate::shard::panics::Foreign;
use crate::shard::stats::Stats;
#[cfg(feature = "tls")]
use crate::tls;

/// A request that the broker has not answered.
pub(crate) struct PendingRequest {
    /// The channel it was sent on.
    pub(crate) channel: u16,
    /// When it was sent, or when the broker last answered on that channel.
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
    /// Unanswered requests, by their tokens.
    pub(crate) pending_requests: RefCell<HashMap<u64, PendingRequest>>,
    next_token: Cell<u64>,
    /// Outcomes of the batch that is being read. Completed under one lock at its end.
    pub(crate) outcomes: RefCell<Vec<(Token, Outcome)>>,
    /// Recovery tasks that the current batch requested.
    pub(crate) recovery_tasks: RefCell<Vec<RecoveryTask>>,
    /// Why the current socket is down. Set once per socket.
    down: RefCell<Option<Error>>,
    /// The current socket is down because the broker left something unanswered.
    pub(crate) was_unresponsive: Cell<bool>,
    pub(crate) opened: Cell<bool>,
    /// Why the broker blocks publishers now.
    pub(crate) blocked: RefCell<Option<String>>,
    /// True once the connection is closing. Deliveries are then dropped, and the broker requeues
    /// them.
    pub(crate) closing: Cell<bool>,
    /// The connection is not to be reopened.
    pub(crate) stopping: Cell<bool>,
    /// The socket is not read now, because a consumer or the block pool has no room.
    pub(crate) paused: Cell<bool>,
    pub(crate) frame_max: Cell<u32>,
    /// What is being sent holds a password, to be overwritten afterwards.
    pub(crate) sends_secret: Cell<bool>,
    /// The number of the channel opened last.
    pub(crate) last_channel: Cell<u16>,
    /// Held while recovery declares on its own channel, or while a deletion must not run beside
    /// that.
    pub(crate) recovery_channel: Mutex<()>,
    /// Notified when something changed that tasks of this shard wait for.
    pub(crate) changed: Notify,
    /// Calls the credentials provider on another thread.
    pub(crate) provider: Background<Result<Credentials, String>>,
    /// Reads the files of TLS on another thread.
    #[cfg(feature = "tls")]
    pub(crate) tls_files: Background<Result<tls::Client, tls::TlsError>>,
    /// The refusals of the last audit.
    pub(crate) refused_intents: RefCell<BTreeSet<String>>,
    /// Notified when something is sent that the broker has to answer (`watchdog`).
    pub(crate) pending: Notify,
    /// Notified when acknowledgements are deferred.
    pub(crate) deferred_acks: Notify,
    /// Notified when publications were written that a later answer of the broker confirms.
    pub(crate) awaits_answer: Notify,
    /// Notified when the broker is to be asked at once.
    pub(crate) ask_now: Notify,
    /// Notified when publications were refused and are sent again later.
    pub(crate) delayed: Notify,
    /// When the broker last stopped blocking publishers.
    pub(crate) unblocked_since: Cell<Option<Instant>>,
    pub(crate) log_limits: LogLimits,
}

/// Something to restore after the broker closed it on its own.
pub(crate) enum RecoveryTask {
    /// A closed channel, and the exchange to declare first if the channel was closed because it is
    /// missing.
    ReopenChannel(u16, Option<String>),
    /// A channel that keeps refusing publications.
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
            sends_secret: Cell::new(false),
            last_channel: Cell::new(0),
            recovery_channel: Mutex::default(),
            changed: Notify::new(),
            provider: Background::default(),
            #[cfg(feature = "tls")]
            tls_files: Background::default(),
            refused_intents: RefCell::default(),
            pending: Notify::new(),
            deferred_acks: Notify::new(),
            awaits_answer: Notify::new(),
            ask_now: Notify::new(),
            delayed: Notify::new(),
            unblocked_since: Cell::new(None),
            log_limits: LogLimits::default(),
        })
    }

    // ---- foreign code

    /// Emits a log event. Contains a panic of the program's subscriber.
    pub(crate) fn log(&self, event: impl FnOnce()) {
        self.stats.panics.log(event);
    }

    /// Sends a response to a handle, and contains a panic of its waker. Returns false if no caller
    /// waits for the response.
    pub(crate) fn answer<T>(&self, reply: oneshot::Sender<T>, answer: T) -> bool {
        let sent = self.stats.panics.contain(Foreign::Waker, || reply.send(answer));
        sent.is_none_or(|sent| sent.is_ok())
    }

    // ---- the life of a socket

    /// Resets the state of the last socket before a new one is opened.
    pub(crate) fn begin_socket(&self, proto: proto::Connection) {
        self.proto.replace(Some(proto));
        self.down.replace(None);
        self.was_unresponsive.set(false);
        self.paused.set(false);
        self.opened.set(false);
        self.blocked.replace(None);
    }

    /// Marks the socket as down and fails all pending requests. The first reason is kept.
    pub(crate) fn fail(&self, error: Error) {
        let error = self.down.borrow_mut().get_or_insert(error).clone();
        for (_, request) in self.pending_requests.borrow_mut().drain() {
            let _ = request.reply.send(Err(error.clone()));
        }
        self.changed.notify_waiters();
        self.shared.write_bell.ring();
        self.shared.read_bell.ring();
    }

    /// Marks the socket as down because it ended or failed.
    pub(crate) fn fail_socket(&self, text: &str) {
        self.fail(Error::new(ErrorKind::ConnectionClosed, text));
    }

    /// The same, because an operation on it failed.
    pub(crate) fn fail_operation(&self, what: &str, error: &std::io::Error) {
        #[cfg(feature = "tls")]
        if let Some(why) = crate::tls::tls_failure(error) {
            return self.fail(Error::new(ErrorKind::Tls, format!("{what} failed: {why}")));
        }
        self.fail_socket(&format!("{what} failed: {error}"));
    }

    /// The same as [`fail`](Self::fail), because the broker left something unanswered. Its host
    /// becomes a suspect.
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

    /// Waits until `test` holds. Tests it whenever `changed` is notified.
    pub(crate) async fn wait_until(&self, test: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            if test(self) {
                return;
            }
            changed.await;
        }
    }

    /// Waits until the connection accepts requests.
    pub(crate) async fn wait_until_open(&self) -> Result<(), Error> {
        self.wait_until(|conn| {
            let open = conn.shared.status.state() != ConnectionState::Connecting && !conn.is_down();
            conn.stopping.get() || open
        })
        .await;
        if self.stopping.get() || self.shared.status.state() == ConnectionState::Closed {
            return Err(Error::stopped());
        }
        Ok(())
    }

    /// Returns a token for a request.
    pub(crate) fn next_token(&self) -> u64 {
        self.next_token.replace(self.next_token.get() + 1)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.get()
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.borrow().is_some()
    }

    /// Reports the connection as open and wakes its waiters.
    pub(crate) fn mark_open(&self) {
        self.shared.status.set_state(ConnectionState::Open);
        self.update_state();
        self.changed.notify_waiters();
    }

    /// Reports whether the connection is open or blocked, unless it is reconnecting.
    pub(crate) fn update_state(&self) {
        if matches!(self.shared.status.state(), ConnectionState::Open | ConnectionState::Blocked(_))
        {
            let blocked = self.blocked.borrow().clone();
            self.shared
                .status
                .set_state(blocked.map_or(ConnectionState::Open, ConnectionState::Blocked));
        }
    }
}
