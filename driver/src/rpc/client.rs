//! The client: a target with options, from which calls and casts are made.
//!
//! Cheap to clone and to derive from; clones share the rendered route, and with it the connection
//! and the order of what is sent. Not here: how a call or a cast runs (`call`, `cast`).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::OnceCell;

use super::serialized;
use crate::broker::{self, Body, Road, Treatment};
use crate::context::Context;
use crate::dialect::kombu;
use crate::error::{Error, ErrorKind};
use crate::message::{CallPart, Request};
use crate::observe::report::Reported;
use crate::retry::Retry;
use crate::serializer::Serializer;
use crate::target::Target;
use crate::transport::Transport;
use crate::version::{Version, is_compatible};

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
    pub(super) transport: Transport,
    pub(super) options: Arc<Options>,
    pub(super) roads: Arc<Roads>,
}

/// What `prepare` and the builders change.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) target: Target,
    pub(super) version: Option<String>,
    pub(super) timeout: Option<Duration>,
    pub(super) monitor: Option<Duration>,
    pub(super) retry: Retry,
    pub(super) serializer: Option<Arc<dyn Serializer>>,
    version_cap: Option<Version>,
    at_least_once: bool,
}

/// The routes of one client, rendered when first used.
#[derive(Default)]
pub(super) struct Roads {
    call: OnceCell<Road>,
    cast: OnceCell<Road>,
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
            retry: Retry::default(),
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

    /// The same client with this way to deal with interrupted publications.
    #[must_use]
    pub fn with_retry(self, retry: Retry) -> Self {
        self.with(|options| options.retry = retry)
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

    /// Reports the begin of a `call` or `cast` where the options say so.
    pub(super) fn reported<'a>(
        &'a self,
        call_type: &'a str,
        method: &'a str,
    ) -> Option<Reported<'a>> {
        let collector = self.transport.collector()?;
        let Options { target, version, .. } = &*self.options;
        Some(Reported::begin(collector, target, version.as_deref(), (call_type, method)))
    }

    pub(super) fn timeout(&self) -> Duration {
        self.options.timeout.unwrap_or(self.transport.config().response_timeout)
    }

    /// The body of a request.
    pub(super) fn render<A: Serialize + ?Sized>(
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
        let request = Request {
            method,
            args,
            namespace: self.options.target.namespace(),
            version: self.options.version.as_deref(),
            context,
            unique_id: self.transport.ids().unique_id(),
            call,
        };
        Ok(Body::render(|body| kombu::encode_request(body, &request))?)
    }

    /// The road of calls, opened before `deadline`.
    pub(super) async fn call_road(&self, deadline: Instant) -> Result<&Road, Error> {
        if let Some(road) = self.roads.call.get() {
            return Ok(road);
        }
        self.opened(&self.roads.call, Some(self.timeout()), deadline).await
    }

    /// The road of casts, opened before `deadline`.
    pub(super) async fn cast_road(&self, deadline: Instant) -> Result<&Road, Error> {
        match self.open_cast_road() {
            Some(road) => Ok(road),
            None => self.opened(&self.roads.cast, None, deadline).await,
        }
    }

    /// The road of casts, if it is open.
    pub(super) fn open_cast_road(&self) -> Option<&Road> {
        self.roads.cast.get()
    }

    async fn opened<'a>(
        &self,
        road: &'a OnceCell<Road>,
        expiration: Option<Duration>,
        deadline: Instant,
    ) -> Result<&'a Road, Error> {
        let open = || road.get_or_try_init(|| self.road(expiration));
        broker::opened(self.transport.timer(), deadline, open).await.map_err(Error::unsent)
    }

    /// The way to the target, its exchange declared. All that is wrong with the options shows here.
    async fn road(&self, expiration: Option<Duration>) -> Result<Road, Error> {
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
        if expiration.is_some() && options.target.is_fanout() {
            let reason = "A call cannot be used with fanout";
            return Err(options.target.invalid(reason));
        }
        if expiration.is_some_and(|timeout| timeout.is_zero()) {
            return Err(Error::new(
                ErrorKind::ClientSendError,
                "a call needs a timeout above zero, or no reply could ever come in time",
            ));
        }
        let mandatory = options.at_least_once && !options.target.is_fanout();
        let treatment = Treatment { mandatory, retain: options.retry.is_unbounded() };
        let may_repeat = options.retry.may_repeat();
        self.transport.road(&options.target, treatment, expiration, may_repeat).await
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
        let sizes = [
            size_of_val(&client.cast_buffered((), "m", &())),
            size_of_val(&client.cast((), "m", &())),
            size_of_val(&client.call::<()>((), "m", &())),
        ];
        assert!(sizes.iter().all(|size| *size <= 1536), "{sizes:?}");
    }
}
