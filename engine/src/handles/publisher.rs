//! Publishing as callers see it: render in the caller's thread, append to the channel's outbox.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind};
use crate::handles::confirm::Confirm;
use crate::handles::lease::Lease;
use crate::handles::message::{Message, Payload};
use crate::handles::publish_error::PublishError;
use crate::handles::route::Route;
use crate::proto::Record;
use crate::shard::border::block_on::block_on;
use crate::shard::border::outbox::segment::Rendered;
use crate::shard::border::outbox::{Permit, PushError};
use crate::shard::border::shared::ChannelShared;
use crate::shard::border::slab::{TicketError, Token};
use crate::shard::clock::deadline_in;
use crate::shard::connection::channel::fingerprint::fingerprint;
use crate::wire::content::{body_frame_max, open_body, seal_body};
use crate::wire::error::WireError;
use crate::wire::frame::{FRAME_OVERHEAD, FrameHeader};
use crate::wire::hot::Publish;
use crate::wire::properties::Properties;
use crate::wire::template::{Ids, Template};

/// Bodies above this size are sent as counted parts, smaller ones are copied. A copy costs as much
/// as a reference count and one more send at a size between 4 and 16 KiB.
const COPY_MAX: usize = 8 << 10;
/// A scratch buffer that has grown beyond this is freed.
const SCRATCH_BYTES_MAX: usize = 1 << 20;

#[cold]
fn frame_max_error(needs: usize, agreed: u32) -> PushError {
    PushError::Closed(Error::new(
        ErrorKind::Config,
        format!(
            "the properties need a frame of {needs} bytes and the broker agreed to {agreed}; \
             shorten the headers or raise the broker's frame_max"
        ),
    ))
}

/// Publishes to one route with one set of properties. Clones share a channel, so publications of
/// one thread stay in order.
///
/// ```no_run
/// # async fn example(channel: leveret_engine::Channel) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use leveret_engine::{Properties, Route};
///
/// let route = Route { exchange: String::new(), routing_key: "work".into(), mandatory: true };
/// let publisher = channel.publisher(route, &Properties::default())?;
/// let confirm = publisher.publish("hello".as_bytes(), Duration::from_secs(5)).await?;
/// assert!(confirm.await.is_ok());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Publisher {
    inner: Arc<Inner>,
    tracks_outcome: bool,
    retain: bool,
}

struct Inner {
    channel: Arc<ChannelShared>,
    template: Template,
    route: Route,
    _lease: Arc<Lease>,
}

thread_local! {
    /// Boxed, so that taking and returning it moves one pointer.
    static SCRATCH: Cell<Option<Box<Rendered>>> = const { Cell::new(None) };
}

impl Publisher {
    pub(crate) fn new(
        channel: Arc<ChannelShared>,
        lease: Arc<Lease>,
        route: Route,
        properties: &Properties,
    ) -> Result<Self, Error> {
        let config = |text: String| Error::new(ErrorKind::Config, text);
        let publish = Publish {
            exchange: &route.exchange,
            routing_key: &route.routing_key,
            mandatory: route.mandatory,
            immediate: false,
        };
        let template = Template::new(channel.number, &publish, properties)
            .map_err(|error| config(error.to_string()))?;
        if template.frame_len_max() > crate::proto::FRAME_MAX_MIN as usize {
            return Err(config("the properties do not fit one frame of 8192 bytes".into()));
        }
        let inner = Inner { channel, template, route, _lease: lease };
        Ok(Self { inner: Arc::new(inner), tracks_outcome: true, retain: false })
    }

    /// Returns a publisher whose publications no caller waits for: its confirms resolve to `Sent`
    /// at once, and the engine only counts returned or refused publications.
    #[must_use]
    pub fn fire_and_forget(&self) -> Self {
        Self { tracks_outcome: false, ..self.clone() }
    }

    /// Returns a publisher whose unconfirmed publications are sent again after a reconnect, in
    /// order and before newer ones: at least once instead of at most once. Needs a channel with
    /// confirms.
    #[must_use]
    pub fn retained(&self) -> Self {
        Self { retain: true, ..self.clone() }
    }

    /// Returns true if its channel has ended for good, so that it accepts no more messages; see
    /// [`Channel::is_closed`](crate::Channel::is_closed).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner.channel.outbox.is_closed()
    }

    /// Appends a message to the outbox if it has room. The returned confirm ends after `timeout` at
    /// the latest.
    ///
    /// # Errors
    /// `Full`, `Closed`.
    pub fn try_publish<'a>(
        &self,
        message: impl Into<Message<'a>>,
        timeout: Duration,
    ) -> Result<Confirm, PublishError> {
        self.check_no_waiters()?;
        let message = message.into();
        self.attempt(self.deadline(timeout), |token| self.append(token, &message, &mut None))
            .map_err(PublishError::from)
    }

    /// Appends a message to the outbox and waits for room if necessary. `timeout` covers this wait
    /// and the returned confirm. Waiting publications get room in the order of their first poll.
    ///
    /// # Cancel safety
    /// Dropping the future before it resolves publishes nothing and gives up its turn. A future
    /// that is kept and no longer polled keeps its turn, and the room that it was granted.
    ///
    /// # Errors
    /// `TimedOut`, `Closed`.
    pub async fn publish<'a>(
        &self,
        message: impl Into<Message<'a>>,
        timeout: Duration,
    ) -> Result<Confirm, PublishError> {
        let message = message.into();
        let deadline = deadline_in(timeout);
        let attempt = |permit: &mut Option<Permit<'_>>| {
            self.attempt(Some(deadline), |token| self.append(token, &message, permit))
        };
        self.append_when_room(deadline, Some(self.size_of(&message)), attempt).await
    }

    /// Appends a message to the outbox, like [`Publisher::publish`], and blocks the thread while it
    /// waits for room.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub fn publish_blocking<'a>(
        &self,
        message: impl Into<Message<'a>>,
        timeout: Duration,
    ) -> Result<Confirm, PublishError> {
        let message = message.into();
        match self.try_publish(message.clone(), timeout) {
            Err(PublishError::Full) => block_on(self.publish(message, timeout)),
            done => done,
        }
    }

    /// Appends a message whose body `write` appends to a buffer, like [`Publisher::try_publish`].
    /// The buffer belongs to the thread and is reused, so the only copy is the one into the outbox.
    /// `write` runs under no lock; it is called again if the agreed frame size has changed
    /// meanwhile.
    ///
    /// # Errors
    /// `Full`, `Closed`.
    ///
    /// # Panics
    /// If `write` shortens the buffer it is given.
    pub fn try_publish_with(
        &self,
        timeout: Duration,
        write: impl Fn(&mut Vec<u8>),
    ) -> Result<Confirm, PublishError> {
        self.check_no_waiters()?;
        self.attempt(self.deadline(timeout), |token| self.append_with(token, &write, &mut None))
            .map_err(PublishError::from)
    }

    /// Appends a message whose body `write` appends to a buffer, like [`Publisher::publish`];
    /// `write` is called again after every wait for room.
    ///
    /// # Errors
    /// `TimedOut`, `Closed`.
    ///
    /// # Panics
    /// As [`Publisher::try_publish_with`].
    pub async fn publish_with(
        &self,
        timeout: Duration,
        write: impl Fn(&mut Vec<u8>),
    ) -> Result<Confirm, PublishError> {
        let deadline = deadline_in(timeout);
        let attempt = |permit: &mut Option<Permit<'_>>| {
            self.attempt(Some(deadline), |token| self.append_with(token, &write, permit))
        };
        self.append_when_room(deadline, None, attempt).await
    }

    /// Calls `attempt` at once if no publication waits for room, otherwise once room is granted.
    /// `size` is the number of bytes to request before the first attempt.
    pub(crate) async fn append_when_room<T>(
        &self,
        deadline: Instant,
        size: Option<usize>,
        attempt: impl Fn(&mut Option<Permit<'_>>) -> Result<T, PushError>,
    ) -> Result<T, PublishError> {
        let outbox = &self.inner.channel.outbox;
        let mut permit = None;
        let mut wanted = size.filter(|_| outbox.is_contended());
        loop {
            if let Some(bytes) = wanted {
                // If the body has grown during the wait, the publication waits again and gives back
                // the room it was granted.
                drop(permit.take());
                let granted = outbox.acquire(bytes, deadline).await;
                permit = Some(granted.map_err(|error| match error {
                    TicketError::TimedOut => PublishError::TimedOut,
                    TicketError::Aborted => PublishError::Closed(Error::stopped()),
                })?);
            }
            match attempt(&mut permit) {
                Err(PushError::Full { bytes }) => wanted = Some(bytes),
                done => return done.map_err(PublishError::from),
            }
        }
    }

    /// Returns the number of bytes that a message needs in the outbox.
    pub(crate) fn size_of(&self, message: &Message<'_>) -> usize {
        let Inner { channel, template, .. } = &*self.inner;
        let body = message.payload.as_slice().len();
        let frames = body.div_ceil(body_frame_max(channel.outbox.frame_max()));
        template.len() + body + frames.max(1) * FRAME_OVERHEAD as usize
    }

    /// Fails while other publications wait for room, so that none overtakes them.
    #[inline]
    pub(crate) fn check_no_waiters(&self) -> Result<(), PublishError> {
        if self.inner.channel.outbox.is_contended() { Err(PublishError::Full) } else { Ok(()) }
    }

    pub(crate) fn channel(&self) -> &Arc<ChannelShared> {
        &self.inner.channel
    }

    /// Returns the deadline of the outcome; reads the clock only if a caller can wait for it.
    fn deadline(&self, timeout: Duration) -> Option<Instant> {
        self.has_ticket().then(|| deadline_in(timeout))
    }

    fn has_ticket(&self) -> bool {
        self.tracks_outcome && self.inner.channel.options.confirms.are_on()
    }

    /// Appends a publication, with a ticket if a caller can wait for its outcome.
    #[inline]
    fn attempt(
        &self,
        deadline: Option<Instant>,
        append: impl FnOnce(Token) -> Result<(), PushError>,
    ) -> Result<Confirm, PushError> {
        if !self.has_ticket() {
            return append(0).map(|()| Confirm::new(None));
        }
        let channel = &self.inner.channel;
        let ticket = channel.connection.outcomes.open(deadline);
        append(ticket.token())?;
        Ok(Confirm::new(Some((ticket, Arc::clone(channel)))))
    }

    /// Appends an existing body to the outbox; the outcome answers `token`.
    pub(crate) fn append(
        &self,
        token: Token,
        message: &Message<'_>,
        permit: &mut Option<Permit<'_>>,
    ) -> Result<(), PushError> {
        let Inner { channel, template, route, .. } = &*self.inner;
        let Message { payload, ids } = message;
        template.check_ids(ids).map_err(id_mismatch)?;
        let body = payload.as_slice();
        let fingerprint = if route.mandatory {
            fingerprint(&route.exchange, &route.routing_key, std::iter::once(body))
        } else {
            0
        };
        match payload {
            Payload::Shared(shared) if body.len() > COPY_MAX => {
                self.append_rendered(token, permit, |scratch| {
                    scratch.fingerprint = fingerprint;
                    template.render_fitting(body.len() as u64, ids, &mut scratch.frames);
                    scratch.attach(channel.number, shared);
                })
            }
            _ => {
                self.check_frame_max()?;
                let record = self.record(token, fingerprint);
                channel.outbox.push_body(template, (body, ids), record, permit)
            }
        }
    }

    /// Fails if the agreed frame size is smaller than the content header: a broker may agree to
    /// less than the properties need.
    #[inline]
    fn check_frame_max(&self) -> Result<(), PushError> {
        let (needs, agreed) =
            (self.inner.template.frame_len_max(), self.inner.channel.outbox.frame_max());
        if needs > agreed as usize { Err(frame_max_error(needs, agreed)) } else { Ok(()) }
    }

    /// Appends a body that `write` writes.
    fn append_with(
        &self,
        token: Token,
        write: &impl Fn(&mut Vec<u8>),
        permit: &mut Option<Permit<'_>>,
    ) -> Result<(), PushError> {
        self.append_rendered(token, permit, |scratch| self.render_with(scratch, write))
    }

    /// Renders into the thread's scratch buffer and appends the result to the outbox.
    fn append_rendered(
        &self,
        token: Token,
        permit: &mut Option<Permit<'_>>,
        render: impl Fn(&mut Rendered),
    ) -> Result<(), PushError> {
        self.check_frame_max()?;
        let channel = &self.inner.channel;
        // Taken out of the cell, because `write` may itself publish elsewhere.
        let mut scratch = SCRATCH.with(Cell::take).unwrap_or_default();
        let pushed = loop {
            scratch.clear(channel.outbox.frame_max());
            render(&mut scratch);
            match channel.outbox.push(&scratch, self.record(token, scratch.fingerprint), permit) {
                Err(PushError::FrameMax) => {}
                pushed => break pushed,
            }
        };
        scratch.clear(0);
        if scratch.frames.capacity() <= SCRATCH_BYTES_MAX {
            SCRATCH.with(|cell| cell.set(Some(scratch)));
        }
        pushed
    }

    fn record(&self, token: Token, fingerprint: u32) -> Record {
        let (mandatory, retain) = (self.inner.route.mandatory, self.retain);
        let (end, retries, settled, maybe_taken) = (0, 0, false, false);
        Record { end, fingerprint, token, mandatory, retain, settled, retries, maybe_taken }
    }

    fn render_with(&self, scratch: &mut Rendered, write: &impl Fn(&mut Vec<u8>)) {
        let Inner { channel, template, route, .. } = &*self.inner;
        let (number, frame_max) = (channel.number, scratch.frame_max);
        let frames = &mut scratch.frames;
        let head = template.len();
        if route.mandatory {
            // The fingerprint covers the body alone, so compute it before the body is cut into
            // frames.
            template.render(0, frames);
            let start = open_body(frames);
            write(frames);
            let body = frames[head + FrameHeader::LEN..].iter().as_slice();
            let pieces = std::iter::once(body);
            scratch.fingerprint = fingerprint(&route.exchange, &route.routing_key, pieces);
            let len = seal_body(frames, start, number, frame_max);
            template.patch_body_size(frames, len as u64);
        } else {
            template
                .render_body(&Ids::default(), frame_max, frames, write)
                .expect("no identifier is replaced");
        }
        if scratch.frames.len() - head > COPY_MAX {
            scratch.detach(head);
        }
    }
}

#[cold]
fn id_mismatch(error: WireError) -> PushError {
    let text = format!("{error}: an identifier replaces one of the publisher's properties");
    PushError::Closed(Error::new(ErrorKind::Config, text))
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("route", &self.inner.route).finish_non_exhaustive()
    }
}
