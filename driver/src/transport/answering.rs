//! Sends replies: to the caller's queue, through the default exchange, on channels of their own.
//!
//! A reply queue may be missing for a moment (its client reconnects), so a returned reply is sent
//! again every quarter of a second, for a minute, under a fresh id; no worker waits meanwhile.
//! Queues that stayed away are remembered for a while and get nothing. Only queues named like reply
//! queues are ever written to: the name comes from the request, and a request must not make us
//! write anywhere else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use leveret_engine::{Outcome, RefusalSink, Returned};

use crate::broker::{self, Body, Publishing, Road, Treatment};
use crate::dialect::{DecodeError, kombu};
use crate::error::Error;
use crate::ids::{Hex32, IdSource};
use crate::json::WriteError;
use crate::message::{Answer, Failure, Reply};
use crate::timer::{self, Timer};

/// As oslo: how long to wait before a returned reply is sent again.
const RETRY_DELAY: Duration = Duration::from_millis(250);
/// Replies waiting to be sent again; more are dropped.
const RETRIES_MAX: usize = 10_000;
/// Reply queues whose road is kept rendered.
const ROADS_MAX: usize = 1024;
/// As oslo: missing queues remembered, and for how long.
const GONE_MAX: usize = 200;
const GONE_TTL: Duration = Duration::from_secs(60);

/// Where a reply goes.
#[derive(Debug, Clone)]
pub(crate) struct CallRef {
    pub(crate) msg_id: Box<str>,
    pub(crate) queue: Box<str>,
}

/// The sender of replies of one transport.
pub(crate) struct Answering {
    /// One or several connections, on which reply queues take turns.
    publishing: Vec<Arc<Publishing>>,
    ids: Arc<IdSource>,
    timer: Arc<Timer>,
    mandatory: bool,
    missing_timeout: Duration,
    roads: Mutex<HashMap<Box<str>, Arc<Road>>>,
    gone: Mutex<HashMap<Box<str>, Instant>>,
    refusals: Arc<dyn RefusalSink>,
    start: Instant,
    retrying: AtomicUsize,
    dropped: AtomicU64,
    resent: AtomicU64,
}

impl Answering {
    /// On one connection at least. `mandatory` replies to a missing queue are tried again for
    /// `missing_timeout`.
    pub(crate) fn new(
        publishing: Vec<Arc<Publishing>>,
        ids: Arc<IdSource>,
        timer: Arc<Timer>,
        mandatory: bool,
        missing_timeout: Duration,
    ) -> Arc<Self> {
        Arc::new_cyclic(|answering: &Weak<Self>| Self {
            publishing,
            ids,
            timer,
            mandatory,
            missing_timeout,
            roads: Mutex::default(),
            gone: Mutex::default(),
            refusals: Arc::new(Refusals(answering.clone())),
            start: timer::now(),
            retrying: AtomicUsize::new(0),
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
    pub(crate) fn publishing(&self) -> &[Arc<Publishing>] {
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

    /// Sends what a method came to: what `answered` renders, or a failure. Waits while the outbox
    /// is full.
    pub(crate) async fn answer<R>(self: &Arc<Self>, call: CallRef, answered: Result<R, Failure>)
    where
        R: FnOnce(&mut Vec<u8>, &str, Hex32) -> Result<(), WriteError>,
    {
        let Some(body) = self.render(&call.msg_id, answered) else { return };
        let Some(road) = self.road(&call.queue) else {
            return self.drop_one(&call.queue, "its queue is gone");
        };
        let deadline = timer::deadline_in(self.missing_timeout);
        let cookie = self.cookie(deadline);
        if let Err(error) = road.publish_unwatched(self.missing_timeout, &body, cookie).await {
            self.drop_one(&call.queue, &error.to_string());
        }
    }

    /// The reply's body. A result that is no JSON becomes a failure; oslo sends nothing then, and
    /// its client waits in vain.
    fn render<R>(&self, msg_id: &str, answered: Result<R, Failure>) -> Option<Body>
    where
        R: FnOnce(&mut Vec<u8>, &str, Hex32) -> Result<(), WriteError>,
    {
        let unique_id = self.ids.unique_id();
        let failure = match answered {
            Ok(encode) => match Body::render(|body| encode(body, msg_id, unique_id)) {
                Ok(body) => return Some(body),
                Err(error) => {
                    Failure::builtin("TypeError", format!("the result is no JSON: {error}"))
                }
            },
            Err(failure) => failure.under_original_name(),
        };
        self.render_answer(msg_id, Answer::Failure(&failure)).ok()
    }

    fn render_answer(&self, msg_id: &str, answer: Answer<'_, ()>) -> Result<Body, WriteError> {
        let unique_id = self.ids.unique_id();
        Body::render(|body| kombu::encode_reply(body, &Reply { msg_id, unique_id, answer }))
    }

    /// Sends a sign of life, if there is room. False if there is no use in further ones.
    pub(crate) fn heartbeat(&self, call: &CallRef) -> bool {
        let Ok(body) = self.render_answer(&call.msg_id, Answer::Heartbeat) else { return false };
        let sent = self.road(&call.queue).map(|road| road.try_publish(self.missing_timeout, &body));
        sent.is_some_and(|sent| sent.is_ok())
    }

    /// What a refused reply brings back: until when it is tried again, in microseconds.
    fn cookie(&self, deadline: Instant) -> u64 {
        deadline.saturating_duration_since(self.start).as_micros() as u64
    }

    fn deadline(&self, cookie: u64) -> Instant {
        self.start + Duration::from_micros(cookie)
    }

    /// A reply was refused: sent again if its queue was missing and there is time left. Runs on the
    /// shard.
    fn refused(self: &Arc<Self>, outcome: Outcome, deadline: Instant) {
        let returned = match outcome {
            Outcome::Returned(returned) => returned,
            other => return self.drop_one("?", &broker::refused(other).to_string()),
        };
        if timer::now() + RETRY_DELAY > deadline {
            return self.give_up(&returned);
        }
        if self.retrying.fetch_add(1, Ordering::Relaxed) >= RETRIES_MAX {
            self.retrying.fetch_sub(1, Ordering::Relaxed);
            return self.drop_one(returned.routing_key(), "too many replies wait already");
        }
        let this = Arc::downgrade(self);
        self.timer.after(RETRY_DELAY, move || {
            let Some(this) = this.upgrade() else { return };
            this.retrying.fetch_sub(1, Ordering::Relaxed);
            this.send_again(&returned, deadline);
        });
    }

    fn send_again(self: &Arc<Self>, returned: &Returned, deadline: Instant) {
        let unique_id = self.ids.unique_id();
        let body = Body::render(|body| {
            let packed = self.publishing[0].packing().map(|packing| packing.header.1);
            body.extend_from_slice(&kombu::unpack(packed, returned.body().contiguous())?);
            kombu::renew_unique_id(body, unique_id);
            Ok::<_, DecodeError>(())
        });
        let queue = returned.routing_key();
        let (Ok(body), Some(road)) = (body, self.road(queue)) else {
            return self.drop_one(queue, "its queue is gone");
        };
        let (left, cookie) = (timer::until(deadline), self.cookie(deadline));
        match road.try_publish_unwatched(left, &body, cookie) {
            Ok(()) => drop(self.resent.fetch_add(1, Ordering::Relaxed)),
            Err(error) => self.drop_one(queue, &error.to_string()),
        }
    }

    fn give_up(&self, returned: &Returned) {
        let queue = returned.routing_key();
        self.drop_one(
            queue,
            "its queue stayed away; further replies to it are dropped for a while",
        );
        let now = timer::now();
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.retain(|_, since| now < *since + GONE_TTL);
        if gone.len() < GONE_MAX {
            gone.insert(queue.into(), now);
        }
    }

    fn drop_one(&self, queue: &str, reason: &str) {
        tracing::warn!(queue, reason, "a reply is dropped");
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// The rendered road to a reply queue, unless the queue is known to be gone or is no reply
    /// queue.
    fn road(&self, queue: &str) -> Option<Arc<Road>> {
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
        let treatment = Treatment { mandatory: self.mandatory, retain: true };
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

/// Hears of refused replies while there is somebody to send them again.
struct Refusals(Weak<Answering>);

impl RefusalSink for Refusals {
    fn refused(&self, cookie: u64, outcome: Outcome) {
        if let Some(answering) = self.0.upgrade() {
            answering.refused(outcome, answering.deadline(cookie));
        }
    }
}
