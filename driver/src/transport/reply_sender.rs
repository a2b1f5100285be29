//! Sends replies, on channels of their own: to the caller's queue by its name, or through the
//! exchange of replies.
//!
//! A reply queue may be missing for a moment (its client reconnects), or take nothing (its node
//! dies, it is full), so a returned or refused reply is sent again every quarter of a second, for a
//! minute, under a fresh id. No worker waits meanwhile: a shard sends it, or a thread of its own
//! where that takes long. Queues that stay missing are remembered for a while and get nothing. Only
//! queues that are named like reply queues are ever written to: the name comes from the request,
//! and a request must not make us write anywhere else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use leveret_engine::{FailureSink, Outcome, Properties};

use crate::broker::errors;
use crate::broker::open::open_until;
use crate::broker::publish::body::Body;
use crate::broker::publish::connection::PublishConnection;
use crate::broker::publish::route::{PublishOptions, Route};
use crate::codec::error::WriteError;
use crate::dialect::error::DecodeError;
use crate::dialect::format::{ReplyRouting, WireFormat};
use crate::dialect::replies::{ReplyAddress, ReturnedReply};
use crate::dialect::wire::Wire;
use crate::error::Error;
use crate::error::failure::Failure;
use crate::message::ids::{Hex32, IdSource};
use crate::message::{Reply, ReplyContent};
use crate::runtime::timer::{self, Timer};
use crate::runtime::workers::WorkerPool;
use crate::transport::reply_retry::{MissingQueues, RetryBudget};

/// How long a reply is tried at most, whatever its caller says.
const RETRIED_MAX: Duration = Duration::from_secs(3600);
/// Replies up to this size are sent again on a shard, if they are not compressed.
const SHORT_BYTES: usize = 64 << 10;
/// Reply queues whose routes are kept rendered.
const ROUTES_MAX: usize = 1024;

/// A channel exception: a message is too large (AMQP 1.2).
const PRECONDITION_FAILED: u16 = 406;

/// Replies come back where no queue takes them, and survive a lost connection.
const REPLY_OPTIONS: PublishOptions =
    PublishOptions { mandatory: true, retain: true, once: false, together: true };

const QUEUE_MISSING: &str = "its queue is gone";

/// How long replies are tried on queues that are missing.
#[derive(Debug, Clone)]
pub(super) struct ReplyRetryPolicy {
    /// Replies to missing queues come back.
    pub(super) mandatory: bool,
    pub(super) missing_timeout: Duration,
}

/// The sender of replies of one transport.
pub(crate) struct ReplySender {
    /// One or several connections, over which reply queues are distributed.
    connections: Vec<Arc<PublishConnection>>,
    wire: Arc<Wire>,
    ids: Arc<IdSource>,
    timer: Arc<Timer>,
    policy: ReplyRetryPolicy,
    /// Routes to reply queues by their names.
    routes: Mutex<HashMap<Box<str>, Arc<Route>>>,
    missing: MissingQueues,
    refusals: Arc<dyn FailureSink>,
    /// Sends replies again that take long to render.
    resending: WorkerPool<(ReturnedReply, Instant)>,
    start: Instant,
    budget: RetryBudget,
    dropped: AtomicU64,
    resent: AtomicU64,
}

impl ReplySender {
    /// A sender on these connections, one at least.
    pub(super) fn new(
        connections: Vec<Arc<PublishConnection>>,
        wire: Arc<Wire>,
        ids: Arc<IdSource>,
        timer: Arc<Timer>,
        policy: ReplyRetryPolicy,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| Self {
            connections,
            wire,
            ids,
            timer,
            policy,
            routes: Mutex::default(),
            missing: MissingQueues::default(),
            refusals: Arc::new(Refusals(this.clone())),
            resending: {
                let this = this.clone();
                WorkerPool::new(1, move |(returned, deadline)| {
                    if let Some(this) = this.upgrade() {
                        this.resend(returned, deadline);
                    }
                })
            },
            start: timer::now(),
            budget: RetryBudget::default(),
            dropped: AtomicU64::new(0),
            resent: AtomicU64::new(0),
        })
    }

    /// Replies given up: no caller will get them.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Replies that came back and were sent again.
    pub(super) fn resent(&self) -> u64 {
        self.resent.load(Ordering::Relaxed)
    }

    /// The connections that replies are published on.
    pub(super) fn connections(&self) -> &[Arc<PublishConnection>] {
        &self.connections
    }

    /// Ends the connections that no other purpose shares.
    pub(super) async fn close(&self) -> Result<(), Error> {
        let mut outcome = Ok(());
        for connection in &self.connections {
            outcome = outcome.and(connection.close().await);
        }
        outcome
    }

    /// Where the reply to a call goes; `None` where a name is too long, and the reply counts as
    /// dropped.
    pub(crate) fn address(
        &self,
        msg_id: &str,
        queue: &str,
        format: WireFormat,
        expires: Option<Instant>,
    ) -> Option<ReplyAddress> {
        let address = ReplyAddress::new(msg_id, queue, format, expires);
        if address.is_none() {
            self.drop_one("?", "its queue or its call has a name that is too long");
        }
        address
    }

    /// Sends the result of a method, which `result` encodes, or a failure. Waits while the outbox
    /// is full.
    pub(crate) async fn send<R>(self: &Arc<Self>, to: ReplyAddress, result: Result<R, Failure>)
    where
        R: FnOnce(&mut Vec<u8>, &WireFormat, &str, Hex32) -> Result<(), WriteError>,
    {
        if to.expires.is_some_and(|expires| expires <= timer::now()) {
            return self.drop_one(&to.queue, "its caller has given up");
        }
        let Some(body) = self.render(&to, result) else { return };
        if to.format.reply_routing() == ReplyRouting::ReplyExchange {
            return Box::pin(self.send_through_exchange(&to, &body)).await;
        }
        let Some(route) = self.queue_route(&to.queue) else {
            return self.drop_one(&to.queue, QUEUE_MISSING);
        };
        let timeout = self.policy.missing_timeout;
        let cookie = self.cookie(timer::deadline_in(timeout));
        if let Err(error) = route.publish_and_forget(timeout, &body, cookie).await {
            self.drop_one(&to.queue, &error.to_string());
        }
    }

    /// Sends a reply through the exchange of replies. It is of use for as long as its caller waits.
    async fn send_through_exchange(&self, to: &ReplyAddress, body: &Body) {
        let routing = ReplyRouting::ReplyExchange;
        if !routing.is_reply_queue(&to.queue) {
            return self.drop_one(&to.queue, "it is no reply queue");
        }
        let left = to.expires.map(timer::until);
        let timeout = left.unwrap_or(self.policy.missing_timeout);
        let properties = self.wire.reply_properties(to, self.ids.unique_id(), left);
        let deadline = timer::now() + self.retried_for(routing, timeout);
        let (connection, exchange) = (self.exchange_connection(), self.wire.reply_exchange());
        let anchored = connection.anchored();
        let send = async {
            let anchor = || anchored.anchor(exchange);
            open_until(&self.timer, deadline, anchor, || connection.health().why_down()).await?;
            let names = (exchange.name.as_str(), &*to.queue);
            let refusals = Some(Arc::clone(&self.refusals));
            let route = anchored.route(names, &properties, REPLY_OPTIONS, refusals).await?;
            let cookie = self.cookie(deadline);
            route.publish_and_forget(timeout, body, cookie).await
        };
        if let Err(error) = send.await {
            self.drop_one(&to.queue, &error.to_string());
        }
    }

    /// The connection of replies through the exchange of replies: the exchange is anchored there.
    fn exchange_connection(&self) -> &PublishConnection {
        &self.connections[0]
    }

    /// How long a reply is tried whose caller waits for as long as `left`.
    fn retried_for(&self, routing: ReplyRouting, left: Duration) -> Duration {
        let retry = self.wire.reply_retry(routing);
        let left = left.min(RETRIED_MAX);
        retry.attempts.map_or(left, |attempts| left.min(retry.delay.saturating_mul(attempts)))
    }

    /// The reply's body. A result that cannot be written becomes a failure; oslo sends nothing
    /// then, and its client waits in vain.
    fn render<R>(&self, to: &ReplyAddress, result: Result<R, Failure>) -> Option<Body>
    where
        R: FnOnce(&mut Vec<u8>, &WireFormat, &str, Hex32) -> Result<(), WriteError>,
    {
        let unique_id = self.ids.unique_id();
        let failure = match result {
            Ok(encode) => {
                match Body::render(|body| encode(body, &to.format, &to.msg_id, unique_id)) {
                    Ok(body) => return Some(body),
                    Err(error) => {
                        let text = format!("the result cannot be written: {error}");
                        Failure::builtin("TypeError", text)
                    }
                }
            }
            Err(failure) => failure.without_remote_postfix(),
        };
        self.render_content(to, ReplyContent::Failure(&failure)).ok()
    }

    fn render_content(
        &self,
        to: &ReplyAddress,
        answer: ReplyContent<'_, ()>,
    ) -> Result<Body, WriteError> {
        let unique_id = self.ids.unique_id();
        let reply = Reply { msg_id: &to.msg_id, unique_id, content: answer };
        Body::render(|body| to.format.encode_reply(body, &reply))
    }

    /// Sends a failure without waiting: for the shard, where a request or its reply turned out to
    /// be too large.
    pub(crate) fn try_send_failure(&self, to: &ReplyAddress, text: String) {
        let failure = Failure::builtin("ValueError", text);
        let Ok(body) = self.render_content(to, ReplyContent::Failure(&failure)) else { return };
        let timeout = self.policy.missing_timeout;
        let cookie = self.cookie(timer::deadline_in(timeout));
        let route = match to.format.reply_routing() {
            ReplyRouting::DefaultExchange => self.queue_route(&to.queue),
            routing if routing.is_reply_queue(&to.queue) => {
                let properties = self.wire.reply_properties(to, self.ids.unique_id(), None);
                self.exchange_route_if_open(&to.queue, &properties)
            }
            ReplyRouting::ReplyExchange => None,
        };
        match route.map(|route| route.try_publish_and_forget(timeout, &body, cookie)) {
            Some(Ok(true)) => {}
            Some(Ok(false)) => self.drop_one(&to.queue, "too many replies wait to be sent"),
            Some(Err(error)) => self.drop_one(&to.queue, &error.to_string()),
            None => self.drop_one(&to.queue, QUEUE_MISSING),
        }
    }

    /// Sends a failure in place of a reply that RabbitMQ refused for its size. True if it was one.
    fn replace_if_too_large(&self, outcome: &Outcome) -> bool {
        let Outcome::Refused(error, Some(reply)) = outcome else { return false };
        if error.reply_code() != Some(PRECONDITION_FAILED) {
            return false;
        }
        let compressor = self.connections[0].compressor();
        let Some(to) = ReplyAddress::of_refused(reply, compressor) else { return false };
        self.try_send_failure(&to, format!("the answer cannot be sent: {error}"));
        true
    }

    /// Sends a heartbeat, if there is room. False if further ones are of no use.
    pub(crate) fn try_send_heartbeat(&self, to: &ReplyAddress) -> bool {
        if !to.format.has_heartbeats() {
            return false;
        }
        let Ok(body) = self.render_content(to, ReplyContent::Heartbeat) else { return false };
        let timeout = self.policy.missing_timeout;
        let sent = self.queue_route(&to.queue).map(|route| route.try_publish(timeout, &body));
        sent.is_some_and(|sent| sent.is_ok())
    }

    /// What a refused reply brings back: until when it is tried again, in microseconds.
    fn cookie(&self, deadline: Instant) -> u64 {
        deadline.saturating_duration_since(self.start).as_micros() as u64
    }

    fn deadline(&self, cookie: u64) -> Instant {
        self.start + Duration::from_micros(cookie)
    }

    /// Sends a refused reply again if it came back and there is time left. Runs on the shard.
    fn refused(self: &Arc<Self>, outcome: Outcome, deadline: Instant) {
        if self.replace_if_too_large(&outcome) {
            return;
        }
        match ReturnedReply::of(outcome) {
            Ok(returned) => self.send_later(returned, deadline),
            Err(other) => self.drop_one("?", &errors::from_outcome(other).to_string()),
        }
    }

    /// Sends a reply again after a pause, if there is time left.
    fn send_later(self: &Arc<Self>, returned: ReturnedReply, deadline: Instant) {
        let delay = self.wire.reply_retry(returned.routing()).delay;
        if timer::now() + delay > deadline {
            return self.give_up(&returned);
        }
        if !self.budget.reserve(returned.len()) {
            return self.drop_one(returned.queue(), "too many replies wait already");
        }
        let this = Arc::downgrade(self);
        self.timer.after(delay, move || {
            let Some(this) = this.upgrade() else { return };
            let is_compressed = this.connections[0].compressor().is_some();
            if is_compressed || returned.len() > SHORT_BYTES {
                this.resending.submit(&mut vec![(returned, deadline)]);
            } else {
                this.resend(returned, deadline);
            }
        });
    }

    fn resend(self: &Arc<Self>, returned: ReturnedReply, deadline: Instant) {
        self.budget.release(returned.len());
        match self.try_resend(&returned, deadline) {
            Some(Ok(false)) => self.send_later(returned, deadline),
            Some(Ok(true)) => drop(self.resent.fetch_add(1, Ordering::Relaxed)),
            Some(Err(error)) => self.drop_one(returned.queue(), &error.to_string()),
            None => self.drop_one(returned.queue(), QUEUE_MISSING),
        }
    }

    /// Sends a reply again; false where there is no room, `None` where its queue is gone.
    fn try_resend(
        &self,
        returned: &ReturnedReply,
        deadline: Instant,
    ) -> Option<Result<bool, Error>> {
        let (left, unique_id) = (timer::until(deadline), self.ids.unique_id());
        let compressor = self.connections[0].compressor();
        let body: Result<_, DecodeError> =
            Body::render(|body| returned.rewrite(body, unique_id, compressor));
        let route = match returned.properties(unique_id, left) {
            None => self.queue_route(returned.queue())?,
            Some(properties) => self.exchange_route_if_open(returned.queue(), &properties)?,
        };
        Some(route.try_publish_and_forget(left, &body.ok()?, self.cookie(deadline)))
    }

    fn give_up(&self, returned: &ReturnedReply) {
        let queue = returned.queue();
        if !returned.is_missing() {
            return self.drop_one(queue, "its queue took nothing: it is full or has failed");
        }
        self.drop_one(
            queue,
            "its queue stayed away; further replies to it are dropped for a while",
        );
        self.missing.insert(queue);
    }

    fn drop_one(&self, queue: &str, reason: &str) {
        tracing::warn!(name: "leveret.reply.dropped", queue, reason, "a reply is dropped");
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// A route to a reply queue through the exchange of replies, for callers that must not wait.
    fn exchange_route_if_open(&self, queue: &str, properties: &Properties) -> Option<Arc<Route>> {
        let names = (self.wire.reply_exchange().name.as_str(), queue);
        let refusals = Some(Arc::clone(&self.refusals));
        let anchored = self.exchange_connection().anchored();
        anchored.route_if_open(names, properties, REPLY_OPTIONS, refusals).map(Arc::new)
    }

    /// The rendered route to a reply queue, unless the queue is known to be gone or is no reply
    /// queue.
    fn queue_route(&self, queue: &str) -> Option<Arc<Route>> {
        if !ReplyRouting::DefaultExchange.is_reply_queue(queue) || self.missing.contains(queue) {
            return None;
        }
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = routes.get(queue) {
            return Some(Arc::clone(route));
        }
        if routes.len() >= ROUTES_MAX {
            routes.clear();
        }
        let options = PublishOptions { mandatory: self.policy.mandatory, ..REPLY_OPTIONS };
        let properties = self.wire.queue_reply_properties();
        let refusals = Some(Arc::clone(&self.refusals));
        let connection = &self.connections[routes.len() % self.connections.len()];
        let route = connection.queue_route(queue, &properties, options, refusals).ok()?;
        let route = Arc::new(route);
        routes.insert(queue.into(), Arc::clone(&route));
        Some(route)
    }
}

/// Hears of refused replies while there is a sender to send them again.
struct Refusals(Weak<ReplySender>);

impl FailureSink for Refusals {
    fn publish_failed(&self, cookie: u64, outcome: Outcome) {
        if let Some(sender) = self.0.upgrade() {
            sender.refused(outcome, sender.deadline(cookie));
        }
    }
}
