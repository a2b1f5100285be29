//! The client: a target with options, from which calls and casts are made.
//!
//! Cheap to clone and to derive from; clones share the rendered route, and with it the connection
//! and the order of what is sent. Not here: how a call or a cast runs (`call`, `cast`).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::broker::open_once::{OpenOnce, Opened};
use crate::broker::publish::body::Body;
use crate::broker::publish::publisher::{PublishOptions, Route};
use crate::codec::serialization::Serialization;
use crate::config::SendingDialect;
use crate::error::{Error, ErrorKind};
use crate::message::context::Context;
use crate::message::form::WireFormat;
use crate::message::serializer::Serializer;
use crate::message::target::Target;
use crate::message::version::{Version, is_compatible};
use crate::message::{CallPart, Request};
use crate::observe::report::Reported;
use crate::retry::{Attempts, Retry};
use crate::rpc::client::destination::{Attempt, Destination};
use crate::rpc::serialized;
use crate::runtime::timer;
use crate::transport::roads::RouteRequest;
use crate::transport::transport::Transport;

/// Makes calls and casts to a target.
///
/// ```no_run
/// # async fn example() -> Result<(), leveret::Error> {
/// use leveret::{RpcClient, Target, Transport};
///
/// let transport = Transport::connect("rabbit://guest:guest@localhost/").await?;
/// let client = RpcClient::new(&transport, Target::new("compute"));
/// let sum: i64 = client.call((), "add", &serde_json::json!({"value": 1, "increment": 2})).await?;
/// let one = client.prepare().with_server("host1");
/// one.cast((), "note", &serde_json::json!({"text": "hi"})).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RpcClient {
    pub(crate) transport: Transport,
    pub(crate) options: Arc<Options>,
    pub(crate) roads: Arc<Roads>,
}

/// What `prepare` and the builders change.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) target: Target,
    pub(crate) version: Option<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) monitor: Option<Duration>,
    retry: Option<Retry>,
    serialization: Option<Serialization>,
    pub(crate) serializer: Option<Arc<dyn Serializer>>,
    version_cap: Option<Version>,
    at_least_once: bool,
}

/// The routes of one client, rendered when first used.
#[derive(Default)]
pub(crate) struct Roads {
    pub(crate) call: OpenOnce<Destination>,
    cast: OpenOnce<Destination>,
    buffered: OpenOnce<Destination>,
}

impl RpcClient {
    /// A client for `target` with the transport's options. Nothing is sent, and nothing is checked
    /// yet.
    pub fn new(transport: &Transport, target: Target) -> Self {
        let version = target.version().map(ToString::to_string);
        let options = Options {
            target,
            version,
            timeout: None,
            monitor: None,
            retry: None,
            serialization: None,
            serializer: None,
            version_cap: None,
            at_least_once: false,
        };
        let transport = transport.for_sender();
        Self { transport, options: Arc::new(options), roads: Arc::default() }
    }

    /// A copy to change by the builders, as oslo's `prepare`.
    #[must_use]
    pub fn prepare(&self) -> Self {
        self.clone()
    }

    /// The same client with this timeout: of calls until the reply, of casts until the confirm.
    /// Default: the transport's `response_timeout`.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.timeout = Some(timeout))
    }

    /// The same client with calls that also fail after `timeout` without a sign of life from the
    /// server. Signs come every half of it; servers ignore what is below 2 s. Default: none.
    #[must_use]
    pub fn with_call_monitor_timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.monitor = Some(timeout))
    }

    /// The same client with this way to deal with interrupted publications. Default: until the
    /// deadline; in the `pika` dialect the transport's `default_rpc_retry_attempts`.
    ///
    /// In the `pika` dialect it also governs requests that no queue is bound for: they are
    /// published again every `rpc_retry_delay`, unless at-least-once is asked for.
    #[must_use]
    pub fn with_retry(self, retry: Retry) -> Self {
        self.with(|options| options.retry = Some(retry))
    }

    /// The same client, its requests serialised this way; the `pika` dialect only. Default: the
    /// transport's `default_serializer_type`.
    ///
    /// ```
    /// # fn main() -> Result<(), leveret::Error> {
    /// use leveret::{DriverConfig, RpcClient, SendingDialect, Serialization, Target, Transport};
    ///
    /// let mut config = DriverConfig::default();
    /// config.sending = Some(SendingDialect::Pika);
    /// let transport = Transport::builder("fake://").config(config).connect_blocking()?;
    /// let client = RpcClient::new(&transport, Target::new("compute"));
    /// let packed = client.prepare().with_serialization(Serialization::MsgPack);
    /// # transport.close_blocking()
    /// # }
    /// ```
    #[must_use]
    pub fn with_serialization(self, serialization: Serialization) -> Self {
        self.with(|options| options.serialization = Some(serialization))
    }

    /// The same client, passing arguments, contexts and results through this serializer. The
    /// servers need its counterpart. Default: none.
    #[must_use]
    pub fn with_serializer(self, serializer: impl Serializer) -> Self {
        self.with(|options| options.serializer = Some(Arc::new(serializer)))
    }

    /// The same client, refusing to send what this version does not serve.
    #[must_use]
    pub fn with_version_cap(self, cap: Version) -> Self {
        self.with(|options| options.version_cap = Some(cap))
    }

    /// The same client asking for this version.
    #[must_use]
    pub fn with_version(self, version: Version) -> Self {
        self.with(|options| {
            options.version = Some(version.to_string());
            options.target = std::mem::take(&mut options.target).with_version(version);
        })
    }

    /// The same client for this server of the topic.
    #[must_use]
    pub fn with_server(self, server: impl Into<String>) -> Self {
        self.with_target(|target| target.with_server(server))
    }

    /// The same client for all servers of the topic; casts only.
    #[must_use]
    pub fn with_fanout(self, fanout: bool) -> Self {
        self.with_target(|target| target.with_fanout(fanout))
    }

    /// The same client for methods of this namespace.
    #[must_use]
    pub fn with_namespace(self, namespace: impl Into<String>) -> Self {
        self.with_target(|target| target.with_namespace(namespace))
    }

    /// The same client for this topic.
    #[must_use]
    pub fn with_topic(self, topic: impl Into<String>) -> Self {
        self.with_target(|target| target.with_topic(topic))
    }

    /// The same client for this exchange.
    #[must_use]
    pub fn with_exchange(self, exchange: impl Into<String>) -> Self {
        self.with_target(|target| target.with_exchange(exchange))
    }

    /// The same client, told at once (`MessageUndeliverable`) when no queue exists for a message.
    /// Without it a call nobody can get times out, and a cast is lost, as in oslo. Ignored for
    /// fanout.
    #[must_use]
    pub fn with_at_least_once(self, at_least_once: bool) -> Self {
        self.with(|options| options.at_least_once = at_least_once)
    }

    /// The target of this client.
    pub fn target(&self) -> &Target {
        &self.options.target
    }

    /// Whether the target's version may be sent under the version cap.
    pub fn can_send_version(&self) -> bool {
        let options = &self.options;
        is_compatible(options.version_cap.as_ref(), options.target.version())
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(Arc::make_mut(&mut self.options));
        self.roads = Arc::default();
        self
    }

    fn with_target(self, change: impl FnOnce(Target) -> Target) -> Self {
        self.with(|options| options.target = change(std::mem::take(&mut options.target)))
    }

    /// Whether the options ask for reports.
    pub(crate) fn is_reported(&self) -> bool {
        self.transport.collector().is_some()
    }

    /// Reports the begin of a `call` or `cast` where the options say so.
    pub(crate) fn reported<'a>(
        &'a self,
        call_type: &'a str,
        method: &'a str,
    ) -> Option<Reported<'a>> {
        let collector = self.transport.collector()?;
        let Options { target, version, .. } = &*self.options;
        Some(Reported::begin(collector, target, version.as_deref(), (call_type, method)))
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.options.timeout.unwrap_or(self.transport.config().response_timeout)
    }

    /// The body of a request.
    pub(crate) fn render<A: Serialize + ?Sized>(
        &self,
        context: &Context,
        method: &str,
        args: &A,
        call: Option<CallPart<'_>>,
    ) -> Result<Body, Error> {
        if let Some(serializer) = &self.options.serializer {
            let (context, args) = serialized::request(serializer.as_ref(), context, args)?;
            return self.render_as_it_is(&context, method, &args, call);
        }
        self.render_as_it_is(context, method, args, call)
    }

    fn render_as_it_is<A: Serialize + ?Sized>(
        &self,
        context: &Context,
        method: &str,
        args: &A,
        call: Option<CallPart<'_>>,
    ) -> Result<Body, Error> {
        let unique_id = self.transport.ids().unique_id();
        let msg_id = call.as_ref().map(|call| call.msg_id);
        let request = Request {
            method,
            args,
            namespace: self.options.target.namespace(),
            version: self.options.version.as_deref(),
            context,
            unique_id,
            call,
        };
        let form = self.form();
        let body = Body::render(|body| form.encode_request(body, &request))?;
        Ok(body.with_ids(form.request_ids(unique_id, msg_id)))
    }

    /// The form of its requests.
    fn form(&self) -> WireFormat {
        self.transport.form(self.options.serialization.as_ref())
    }

    /// What happens to its requests when they are cut off.
    pub(crate) fn retry(&self) -> Retry {
        let of_pika = self.transport.config().pika.rpc_retry;
        Retry::of_sender(self.options.retry, self.transport.sending(), of_pika)
    }

    /// One attempt, about to be made, and what may follow it.
    pub(crate) fn attempts(&self) -> Attempts {
        let retry = self.retry();
        let waits = self.transport.sending() == SendingDialect::Pika
            && retry != Retry::Never
            && !self.options.at_least_once;
        let delay = waits.then_some(self.transport.config().pika.rpc_retry_delay);
        Attempts::first(retry).waiting_for_a_route(delay)
    }

    pub(crate) fn is_at_least_once(&self) -> bool {
        self.options.at_least_once
    }

    /// The way of calls, opened before `deadline`.
    pub(crate) async fn call_way(
        &self,
        deadline: Instant,
    ) -> Result<Opened<'_, Destination>, Error> {
        match self.roads.call.get() {
            Some(way) => Ok(way),
            None => self.opened(&self.roads.call, deadline, Self::open_call_way).await,
        }
    }

    /// The way of casts, opened before `deadline`.
    pub(crate) async fn cast_way(
        &self,
        deadline: Instant,
    ) -> Result<Opened<'_, Destination>, Error> {
        match self.cast_way_if_open() {
            Some(way) => Ok(way),
            None => self.opened(&self.roads.cast, deadline, Self::open_cast_way).await,
        }
    }

    /// The way of buffered casts, opened before `deadline`.
    pub(crate) async fn buffered_way(
        &self,
        deadline: Instant,
    ) -> Result<Opened<'_, Destination>, Error> {
        match self.buffered_way_if_open() {
            Some(way) => Ok(way),
            None => self.opened(&self.roads.buffered, deadline, Self::open_buffered_way).await,
        }
    }

    async fn opened<'a, F>(
        &self,
        way: &'a OpenOnce<Destination>,
        deadline: Instant,
        open: impl Fn(Self) -> F,
    ) -> Result<Opened<'a, Destination>, Error>
    where
        F: Future<Output = Result<Destination, Error>> + Send + 'static,
    {
        // The ways own what opens them: that must not own them.
        let opener = || Self { roads: Arc::default(), ..self.clone() };
        let opening = || way.get_or_open(|| open(opener()));
        self.transport.opened(deadline, opening).await.map_err(Error::unsent)
    }

    /// The way of casts, if it is open.
    pub(crate) fn cast_way_if_open(&self) -> Option<Opened<'_, Destination>> {
        self.roads.cast.get()
    }

    /// The way of buffered casts, if it is open.
    pub(crate) fn buffered_way_if_open(&self) -> Option<Opened<'_, Destination>> {
        self.roads.buffered.get()
    }

    /// Forgets, after an error, the ways whose connection has ended for good: the next request
    /// opens them again.
    pub(crate) fn forget_lost_ways<T>(&self, result: &Result<T, Error>) {
        if result.is_err() {
            for way in [&self.roads.call, &self.roads.cast, &self.roads.buffered] {
                way.forget_if(Destination::is_gone);
            }
        }
    }

    async fn open_cast_way(self) -> Result<Destination, Error> {
        self.way(None, false).await
    }

    async fn open_buffered_way(self) -> Result<Destination, Error> {
        self.way(None, true).await
    }

    /// All that is wrong with a call's options shows here.
    async fn open_call_way(self) -> Result<Destination, Error> {
        let timeout = self.timeout();
        if self.options.target.is_fanout() {
            let reason = "A call cannot be used with fanout";
            return Err(self.options.target.invalid(reason));
        }
        if timeout.is_zero() {
            return Err(Error::new(
                ErrorKind::ClientSendError,
                "a call needs a timeout above zero, or no reply could ever come in time",
            ));
        }
        self.check()?;
        let reply_queue = self.transport.open_reply_queue().await?;
        self.transport.hear_servers_of(&self.options.target).await?;
        self.way(Some((timeout, &reply_queue)), false).await
    }

    /// What no target and no broker could mend.
    fn check(&self) -> Result<(), Error> {
        let options = &self.options;
        if !self.can_send_version() {
            let version = options.version.as_deref().unwrap_or("None");
            let cap = options.version_cap.map_or_else(String::new, |cap| cap.to_string());
            return Err(Error::new(
                ErrorKind::RpcVersionCapError,
                format!(
                    "Requested message version, {version} is incompatible.  It needs to be equal \
                     in major version and less than or equal in minor version as the specified \
                     version cap {cap}."
                ),
            ));
        }
        self.transport.check_serialization(options.serialization.as_ref())
    }

    /// The way to the target; that of calls has their timeout, and the queue of their replies.
    async fn way(
        &self,
        call: Option<(Duration, &str)>,
        is_buffered: bool,
    ) -> Result<Destination, Error> {
        self.check()?;
        let form = self.form();
        let asked = RouteRequest { is_buffered, ..self.asked(&form, call) };
        match self.transport.sending() {
            SendingDialect::Kombu => Ok(Destination::One(self.transport.kombu_road(&asked).await?)),
            SendingDialect::Pika => Ok(Destination::One(self.transport.pika_road(&asked).await?)),
            SendingDialect::Auto => {
                let (pika, exchange) = self.transport.pika_road_if_there(&asked).await?;
                let kombu = self.transport.kombu_road(&asked).await?;
                Ok(match self.options.target.is_fanout() {
                    true => Destination::Both { pika, kombu, exchange },
                    false => Destination::Either { pika, kombu, exchange },
                })
            }
        }
    }

    /// The road of a call that has less time left than its client gives to calls, if its request
    /// has to say so: in the `pika` dialect servers go by it.
    pub(crate) async fn shorter_road(
        &self,
        leg: Attempt,
        deadline: Instant,
        reply_queue: &str,
    ) -> Result<Option<Route>, Error> {
        if leg != Attempt::Only || self.transport.sending() != SendingDialect::Pika {
            return Ok(None);
        }
        let form = self.form();
        let asked = self.asked(&form, Some((timer::until(deadline), reply_queue)));
        self.transport.pika_road(&asked).await.map(Some)
    }

    fn asked<'a>(
        &'a self,
        form: &'a WireFormat,
        call: Option<(Duration, &'a str)>,
    ) -> RouteRequest<'a> {
        let options = &self.options;
        let is_auto = self.transport.sending() == SendingDialect::Auto;
        let may_be_mandatory = options.at_least_once || is_auto;
        let retry = self.retry();
        let mandatory = may_be_mandatory && !options.target.is_fanout();
        let once = retry == Retry::Never;
        RouteRequest {
            target: &options.target,
            form,
            call,
            once,
            treatment: PublishOptions { mandatory, retain: retry.is_unbounded(), once },
            // Refusals are for the client to think about, where it has a choice.
            may_repeat: self.attempts().may_repeat() || is_auto,
            is_buffered: false,
        }
    }
}

impl fmt::Debug for RpcClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcClient")
            .field("target", &format_args!("{}", self.options.target))
            .field("timeout", &self.timeout())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_moved_for_every_message_is_small() {
        let transport = Transport::connect_blocking("fake:///sizes").unwrap();
        let client = RpcClient::new(&transport, Target::new("t"));
        let cast = size_of_val(&client.cast((), "m", &()));
        let buffered = size_of_val(&client.cast_buffered((), "m", &()));
        let call = size_of_val(&client.call::<()>((), "m", &()));
        // Thousands of casts may wait for their confirms.
        assert!(cast <= 192 && buffered <= 192 && call <= 1024, "{cast} {buffered} {call}");
    }
}
