//! Sends replies, on channels of their own: to the caller's queue through the default exchange, or,
//! to callers of the `pika` dialect, through the exchange of replies.
//!
//! A reply queue may be missing for a moment (its client reconnects), or take nothing (its node
//! dies, it is full), so a returned or refused reply is sent again every quarter of a second, for a
//! minute, under a fresh id; no worker waits meanwhile: a shard sends it, or a thread where that
//! would take long. They are held up to a number and up to a size, which their callers decide.
//! Queues that stayed away are remembered for a while and get nothing. Only queues named like reply
//! queues are ever written to: the name comes from the request, and a request must not make us
//! write anywhere else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use leveret_engine::{Outcome, RefusalSink};

use crate::broker::errors;
use crate::broker::publish::body::Body;
use crate::broker::publish::publisher::{PublishConnection, PublishOptions, Route};
use crate::codec::json::WriteError;
use crate::codec::serialization::Serialization;
use crate::dialect::{DecodeError, Peek, kombu, pika};
use crate::error::Error;
use crate::error::failure::Failure;
use crate::ids::{Hex32, IdSource};
use crate::message::form::WireFormat;
use crate::message::{Answer, Reply};
use crate::runtime::executor::Workers;
use crate::runtime::timer;
use crate::runtime::timer::Timer;
use crate::topology::Exchange;
use crate::transport::reply_sender::returned::{PikaHead, RetryBudget, ReturnedReply};

mod returned;

/// As oslo: how long to wait before a reply that came back is sent again.
const RETRY_DELAY: Duration = Duration::from_millis(250);
/// How long a reply is tried at most, whatever its caller says.
const RETRIED_MAX: Duration = Duration::from_secs(3600);
/// The longest name of a queue, and the longest id of a call: AMQP has no longer ones.
const NAME_BYTES_MAX: usize = 255;
/// Replies up to this size are sent again on the shard, if they are not packed.
const BRIEF_BYTES: usize = 64 << 10;
/// Reply queues whose road is kept rendered.
const ROADS_MAX: usize = 1024;
/// As oslo: missing queues remembered, and for how long.
const GONE_MAX: usize = 200;
const GONE_TTL: Duration = Duration::from_secs(60);

/// A channel exception: a message is too large (AMQP 1.2).
const PRECONDITION_FAILED: u16 = 406;

/// Replies come back where nobody waits, and survive a lost connection.
const REPLY_OPTIONS: PublishOptions = PublishOptions { mandatory: true, retain: true, once: false };

/// Where a reply goes, and in which form.
#[derive(Debug, Clone)]
pub(crate) struct ReplyAddress {
    pub(crate) msg_id: Box<str>,
    pub(crate) queue: Box<str>,
    pub(crate) form: WireFormat,
    /// When its caller gives up, if that is known.
    pub(crate) expires: Option<Instant>,
}

impl ReplyAddress {
    /// Where the answer to this call goes; none where a name is longer than any in AMQP.
    pub(crate) fn new(
        msg_id: &str,
        queue: &str,
        form: WireFormat,
        expires: Option<Instant>,
    ) -> Option<Self> {
        let is_short = msg_id.len().max(queue.len()) <= NAME_BYTES_MAX;
        is_short.then(|| Self { msg_id: msg_id.into(), queue: queue.into(), form, expires })
    }
}

/// How long, and how, replies are tried on queues that are missing.
#[derive(Debug, Clone)]
pub(crate) struct ReplyRetryPolicy {
    /// Replies to missing queues come back.
    pub(crate) mandatory: bool,
    pub(crate) missing_timeout: Duration,
    /// The same of the `pika` dialect, where there is no timeout but that of the call.
    pub(crate) pika_retry: Option<u32>,
    pub(crate) pika_delay: Duration,
}

/// The sender of replies of one transport.
pub(crate) struct ReplySender {
    /// One or several connections, on which reply queues take turns.
    publishing: Vec<Arc<PublishConnection>>,
    ids: Arc<IdSource>,
    timer: Arc<Timer>,
    persistence: ReplyRetryPolicy,
    /// What replies of the `pika` dialect go through.
    exchange: Exchange,
    roads: Mutex<HashMap<Box<str>, Arc<Route>>>,
    gone: Mutex<HashMap<Box<str>, Instant>>,
    refusals: Arc<dyn RefusalSink>,
    /// Where replies are sent again that take long to be rendered.
    resending: Workers<(ReturnedReply, Instant)>,
    start: Instant,
    retrying: RetryBudget,
    dropped: AtomicU64,
    resent: AtomicU64,
}

impl ReplySender {
    /// On one connection at least. Replies of the `pika` dialect go through `exchange`.
    pub(crate) fn new(
        publishing: Vec<Arc<PublishConnection>>,
        ids: Arc<IdSource>,
        timer: Arc<Timer>,
        persistence: ReplyRetryPolicy,
        exchange: Exchange,
    ) -> Arc<Self> {
        Arc::new_cyclic(|answering: &Weak<Self>| Self {
            publishing,
            ids,
            timer,
            persistence,
            exchange,
            roads: Mutex::default(),
            gone: Mutex::default(),
            refusals: Arc::new(Refusals(answering.clone())),
            resending: {
                let answering = answering.clone();
                Workers::new(1, move |(back, deadline)| {
                    if let Some(answering) = answering.upgrade() {
                        answering.resend(back, deadline);
                    }
                })
            },
            start: timer::now(),
            retrying: RetryBudget::default(),
            dropped: AtomicU64::new(0),
            resent: AtomicU64::new(0),
        })
    }

    /// Replies given up: nobody will ever get them.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Replies that came back and were sent again.
    pub(crate) fn resent(&self) -> u64 {
        self.resent.load(Ordering::Relaxed)
    }

    /// What replies are published on.
    pub(crate) fn publishing(&self) -> &[Arc<PublishConnection>] {
        &self.publishing
    }

    /// Ends the connections that are nobody else's.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        let mut outcome = Ok(());
        for publishing in &self.publishing {
            outcome = outcome.and(publishing.close().await);
        }
        outcome
    }

    /// Whom the answer to a call goes to; nobody where a name is too long, and the answer counts as
    /// dropped.
    pub(crate) fn caller(
        &self,
        msg_id: &str,
        queue: &str,
        form: WireFormat,
        expires: Option<Instant>,
    ) -> Option<ReplyAddress> {
        let call = ReplyAddress::new(msg_id, queue, form, expires);
        if call.is_none() {
            self.drop_one("?", "its queue or its call has a name that is too long");
        }
        call
    }

    /// Sends what a method came to: what `answered` renders, or a failure. Waits while the outbox
    /// is full.
    pub(crate) async fn answer<R>(
        self: &Arc<Self>,
        call: ReplyAddress,
        answered: Result<R, Failure>,
    ) where
        R: FnOnce(&mut Vec<u8>, &WireFormat, &str, Hex32) -> Result<(), WriteError>,
    {
        if call.expires.is_some_and(|expires| expires <= timer::now()) {
            return self.drop_one(&call.queue, "its caller has given up");
        }
        let Some(body) = self.render(&call, answered) else { return };
        if let WireFormat::Pika(serialization) = &call.form {
            return Box::pin(self.answer_pika(&call, serialization, &body)).await;
        }
        let Some(road) = self.road(&call.queue) else {
            return self.drop_one(&call.queue, "its queue is gone");
        };
        let timeout = self.persistence.missing_timeout;
        let cookie = self.cookie(timer::deadline_in(timeout));
        if let Err(error) = road.publish_unwatched(timeout, &body, cookie).await {
            self.drop_one(&call.queue, &error.to_string());
        }
    }

    /// Sends a reply through the exchange of replies. It is of use for as long as its caller waits.
    async fn answer_pika(&self, call: &ReplyAddress, serialization: &Serialization, body: &Body) {
        if !is_pika_queue(&call.queue) {
            return self.drop_one(&call.queue, "it is no reply queue");
        }
        let left = call.expires.map(timer::until);
        let timeout = left.unwrap_or(self.persistence.missing_timeout);
        let message_id = self.ids.unique_id();
        let properties = pika::reply_properties(serialization, &call.msg_id, message_id, left);
        let publishing = self.pika_publishing();
        let send = async {
            publishing.keep(&self.exchange).await?;
            let names = (self.exchange.name.as_str(), &*call.queue);
            let refusals = Some(Arc::clone(&self.refusals));
            let road = publishing.kept_road(names, &properties, REPLY_OPTIONS, refusals).await?;
            let cookie = self.cookie(timer::now() + self.patience(timeout));
            road.publish_unwatched(timeout, body, cookie).await
        };
        if let Err(error) = send.await {
            self.drop_one(&call.queue, &error.to_string());
        }
    }

    /// What replies of the `pika` dialect are published on: they need their exchange there.
    fn pika_publishing(&self) -> &PublishConnection {
        &self.publishing[0]
    }

    /// How long a reply of the `pika` dialect is tried whose caller waits for as long as `left`.
    fn patience(&self, left: Duration) -> Duration {
        let ReplyRetryPolicy { pika_retry, pika_delay, .. } = self.persistence;
        let left = left.min(RETRIED_MAX);
        pika_retry.map_or(left, |times| left.min(pika_delay.saturating_mul(times)))
    }

    /// The reply's body. A result that cannot be written becomes a failure; oslo sends nothing
    /// then, and its client waits in vain.
    fn render<R>(&self, call: &ReplyAddress, answered: Result<R, Failure>) -> Option<Body>
    where
        R: FnOnce(&mut Vec<u8>, &WireFormat, &str, Hex32) -> Result<(), WriteError>,
    {
        let unique_id = self.ids.unique_id();
        let failure = match answered {
            Ok(encode) => {
                match Body::render(|body| encode(body, &call.form, &call.msg_id, unique_id)) {
                    Ok(body) => return Some(body),
                    Err(error) => {
                        let text = format!("the result cannot be written: {error}");
                        Failure::builtin("TypeError", text)
                    }
                }
            }
            Err(failure) => failure.under_original_name(),
        };
        self.render_answer(call, Answer::Failure(&failure)).ok()
    }

    fn render_answer(
        &self,
        call: &ReplyAddress,
        answer: Answer<'_, ()>,
    ) -> Result<Body, WriteError> {
        let unique_id = self.ids.unique_id();
        let reply = Reply { msg_id: &call.msg_id, unique_id, answer };
        Body::render(|body| call.form.encode_reply(body, &reply))
    }

    /// Sends a failure without waiting: for the shard, where a request or its answer turned out to
    /// be too large.
    pub(crate) fn refuse_at_once(&self, call: &ReplyAddress, text: String) {
        let failure = Failure::builtin("ValueError", text);
        let Ok(body) = self.render_answer(call, Answer::Failure(&failure)) else { return };
        let timeout = self.persistence.missing_timeout;
        let cookie = self.cookie(timer::deadline_in(timeout));
        let road = match &call.form {
            WireFormat::Pika(serialization) if is_pika_queue(&call.queue) => {
                let message_id = self.ids.unique_id();
                let properties =
                    pika::reply_properties(serialization, &call.msg_id, message_id, None);
                let names = (self.exchange.name.as_str(), &*call.queue);
                let refusals = Some(Arc::clone(&self.refusals));
                let publishing = self.pika_publishing();
                publishing
                    .kept_road_at_once(names, &properties, REPLY_OPTIONS, refusals)
                    .map(Arc::new)
            }
            WireFormat::Pika(_) => None,
            WireFormat::Kombu | WireFormat::Both => self.road(&call.queue),
        };
        match road.map(|road| road.try_publish_unwatched(timeout, &body, cookie)) {
            Some(Ok(true)) => {}
            Some(Ok(false)) => self.drop_one(&call.queue, "too many replies wait to be sent"),
            Some(Err(error)) => self.drop_one(&call.queue, &error.to_string()),
            None => self.drop_one(&call.queue, "its queue is gone"),
        }
    }

    /// A reply that the broker does not take for its size becomes one that says so. True if it was
    /// one.
    fn tell_too_large(&self, outcome: &Outcome) -> bool {
        let Outcome::Refused(error, Some(reply)) = outcome else { return false };
        if error.reply_code() != Some(PRECONDITION_FAILED) {
            return false;
        }
        let form = match reply.exchange() {
            "" => WireFormat::Kombu,
            _ => WireFormat::Pika(Serialization::default()),
        };
        let msg_id = match &form {
            WireFormat::Pika(_) => reply.properties().correlation_id.map(str::to_owned),
            _ => self.msg_id_of(reply.body()),
        };
        let call = msg_id.and_then(|id| ReplyAddress::new(&id, reply.routing_key(), form, None));
        let Some(call) = call else { return false };
        let text = format!("the answer cannot be sent: {error}");
        self.refuse_at_once(&call, text);
        true
    }

    /// The call that a reply of ours is for.
    fn msg_id_of(&self, body: &leveret_engine::Body) -> Option<String> {
        let packed = self.publishing[0].packing().map(|packing| packing.header.1);
        let text = kombu::unpack(packed, body.contiguous()).ok()?;
        let tail = &text[text.len().saturating_sub(kombu::TAIL_BYTES)..];
        match kombu::peek_reply(tail) {
            Peek::Reply(msg_id) => Some(msg_id.as_str().to_owned()),
            Peek::Heartbeat(_) | Peek::Unsure => None,
        }
    }

    /// Sends a sign of life, if there is room. False if there is no use in further ones.
    pub(crate) fn heartbeat(&self, call: &ReplyAddress) -> bool {
        if matches!(call.form, WireFormat::Pika(_)) {
            // Its callers know none, and would take it for their result.
            return false;
        }
        let Ok(body) = self.render_answer(call, Answer::Heartbeat) else { return false };
        let timeout = self.persistence.missing_timeout;
        let sent = self.road(&call.queue).map(|road| road.try_publish(timeout, &body));
        sent.is_some_and(|sent| sent.is_ok())
    }

    /// What a refused reply brings back: until when it is tried again, in microseconds.
    fn cookie(&self, deadline: Instant) -> u64 {
        deadline.saturating_duration_since(self.start).as_micros() as u64
    }

    fn deadline(&self, cookie: u64) -> Instant {
        self.start + Duration::from_micros(cookie)
    }

    /// A reply was refused: sent again if it came back and there is time left. Runs on the shard.
    fn refused(self: &Arc<Self>, outcome: Outcome, deadline: Instant) {
        if self.tell_too_large(&outcome) {
            return;
        }
        let back = match ReturnedReply::of(outcome) {
            Ok(back) => back,
            Err(other) => return self.drop_one("?", &errors::refused(other).to_string()),
        };
        self.send_later(back, deadline);
    }

    /// Sends a reply again after a pause, if there is time left.
    fn send_later(self: &Arc<Self>, back: ReturnedReply, deadline: Instant) {
        let delay = if back.pika.is_some() { self.persistence.pika_delay } else { RETRY_DELAY };
        if timer::now() + delay > deadline {
            return self.give_up(&back);
        }
        if !self.retrying.reserve(back.body.len()) {
            return self.drop_one(&back.queue, "too many replies wait already");
        }
        let this = Arc::downgrade(self);
        self.timer.after(delay, move || {
            let Some(this) = this.upgrade() else { return };
            let is_packed = this.publishing[0].packing().is_some();
            if is_packed || back.body.len() > BRIEF_BYTES {
                this.resending.hand_over(&mut vec![(back, deadline)]);
            } else {
                this.resend(back, deadline);
            }
        });
    }

    fn resend(self: &Arc<Self>, back: ReturnedReply, deadline: Instant) {
        self.retrying.release(back.body.len());
        let sent = match &back.pika {
            Some(head) => self.send_pika_again(&back, head, deadline),
            None => self.send_again(&back, deadline),
        };
        match sent {
            Some(Ok(false)) => self.send_later(back, deadline),
            Some(Ok(true)) => drop(self.resent.fetch_add(1, Ordering::Relaxed)),
            Some(Err(error)) => self.drop_one(&back.queue, &error.to_string()),
            None => self.drop_one(&back.queue, "its queue is gone"),
        }
    }

    /// Sends a reply again; false where there is no room, nothing where its queue is gone.
    fn send_again(&self, back: &ReturnedReply, deadline: Instant) -> Option<Result<bool, Error>> {
        let unique_id = self.ids.unique_id();
        let body = Body::render(|body| {
            let packed = self.publishing[0].packing().map(|packing| packing.header.1);
            body.extend_from_slice(&kombu::unpack(packed, (&back.body).into())?);
            kombu::renew_unique_id(body, unique_id);
            Ok::<_, DecodeError>(())
        });
        let road = self.road(&back.queue)?;
        Some(road.try_publish_unwatched(timer::until(deadline), &body.ok()?, self.cookie(deadline)))
    }

    fn send_pika_again(
        &self,
        back: &ReturnedReply,
        head: &PikaHead,
        deadline: Instant,
    ) -> Option<Result<bool, Error>> {
        let body = Body::render(|body| {
            body.extend_from_slice(&back.body);
            Ok::<_, DecodeError>(())
        });
        let left = timer::until(deadline);
        let expiration = head.expires.then_some(left);
        let (message_id, kind) = (self.ids.unique_id(), &*head.content_type);
        let properties =
            pika::reply_properties_of(kind, &head.correlation_id, message_id, expiration);
        let names = (self.exchange.name.as_str(), &*back.queue);
        let refusals = Some(Arc::clone(&self.refusals));
        let road = self.pika_publishing().kept_road_at_once(
            names,
            &properties,
            REPLY_OPTIONS,
            refusals,
        )?;
        Some(road.try_publish_unwatched(left, &body.ok()?, self.cookie(deadline)))
    }

    fn give_up(&self, ReturnedReply { queue, is_missing, .. }: &ReturnedReply) {
        if !is_missing {
            return self.drop_one(queue, "its queue took nothing: it is full or has failed");
        }
        self.drop_one(
            queue,
            "its queue stayed away; further replies to it are dropped for a while",
        );
        let now = timer::now();
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.retain(|_, since| now < *since + GONE_TTL);
        if gone.len() < GONE_MAX {
            gone.insert(queue.clone(), now);
        }
    }

    fn drop_one(&self, queue: &str, reason: &str) {
        tracing::warn!(name: "leveret.reply.dropped", queue, reason, "a reply is dropped");
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// The rendered road to a reply queue, unless the queue is known to be gone or is no reply
    /// queue.
    fn road(&self, queue: &str) -> Option<Arc<Route>> {
        if !queue.starts_with(kombu::REPLY_PREFIX) || self.is_gone(queue) {
            return None;
        }
        let mut roads = self.roads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(road) = roads.get(queue) {
            return Some(Arc::clone(road));
        }
        if roads.len() >= ROADS_MAX {
            roads.clear();
        }
        let treatment =
            PublishOptions { mandatory: self.persistence.mandatory, retain: true, once: false };
        let (properties, refusals) = (kombu::properties(None), Some(Arc::clone(&self.refusals)));
        let publishing = &self.publishing[roads.len() % self.publishing.len()];
        let road = publishing.default_road(queue, &properties, treatment, refusals).ok()?;
        let road = Arc::new(road);
        roads.insert(queue.into(), Arc::clone(&road));
        Some(road)
    }

    fn is_gone(&self, queue: &str) -> bool {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        !gone.is_empty() && gone.get(queue).is_some_and(|since| timer::now() < *since + GONE_TTL)
    }
}

/// Whether this may be the reply queue of a client that speaks the `pika` dialect, or both.
fn is_pika_queue(name: &str) -> bool {
    name.starts_with(pika::REPLY_PREFIX) || name.starts_with(kombu::REPLY_PREFIX)
}

/// Hears of refused replies while there is somebody to send them again.
struct Refusals(Weak<ReplySender>);

impl RefusalSink for Refusals {
    fn refused(&self, cookie: u64, outcome: Outcome) {
        if let Some(answering) = self.0.upgrade() {
            answering.refused(outcome, answering.deadline(cookie));
        }
    }
}
