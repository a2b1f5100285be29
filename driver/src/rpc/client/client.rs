//! The client: a target with options, from which calls and casts are made.
//!
//! Cheap to clone and to derive from; clones share the rendered routes, and with them the
//! connection and the order of what is sent. Not here: how a call or a cast runs (`call`, `cast`),
//! how a request is rendered (`request`), where it goes (`destination`).

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::codec::serialization::Serialization;
use crate::dialect::format::WireFormat;
use crate::error::Error;
use crate::message::retry::Retry;
use crate::message::serializer::Serializer;
use crate::message::target::Target;
use crate::message::version::{Version, is_compatible};
use crate::observe::report::InvocationReport;
use crate::rpc::client::destination::{
    AddressChoice, Destination, Destinations, RefusalPolicy, RetryDecision,
};
use crate::transport::retry_counter::RetryCounter;
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
    pub(super) transport: Transport,
    pub(super) options: Arc<ClientOptions>,
    pub(super) destinations: Arc<Destinations>,
}

/// What `prepare` and the builders change.
#[derive(Clone)]
pub(super) struct ClientOptions {
    pub(super) target: Target,
    pub(super) version: Option<String>,
    pub(super) timeout: Option<Duration>,
    pub(super) monitor: Option<Duration>,
    pub(super) retry: Option<Retry>,
    pub(super) serialization: Option<Serialization>,
    pub(super) serializer: Option<Arc<dyn Serializer>>,
    pub(super) version_cap: Option<Version>,
    pub(super) at_least_once: bool,
}

impl RpcClient {
    /// Creates a client for `target` with the transport's options. It sends nothing and checks
    /// nothing yet.
    pub fn new(transport: &Transport, target: Target) -> Self {
        let version = target.version().map(ToString::to_string);
        let options = ClientOptions {
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
        Self { transport, options: Arc::new(options), destinations: Arc::default() }
    }

    /// Returns a copy to change with the `with_…` methods, as oslo's `prepare`.
    #[must_use]
    pub fn prepare(&self) -> Self {
        self.clone()
    }

    /// Sets the timeout: of calls until the reply, of casts until the confirm. Default: the
    /// transport's `response_timeout`.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.timeout = Some(timeout))
    }

    /// Makes calls fail also when no heartbeat comes from the server for `timeout`. Servers send
    /// one every half of it, and none if it is below 2 s. Default: none.
    #[must_use]
    pub fn with_call_monitor_timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.monitor = Some(timeout))
    }

    /// Sets what happens to requests whose publication is interrupted. Default: they are published
    /// again until the deadline; in the `pika` dialect as the transport's
    /// `default_rpc_retry_attempts` says.
    ///
    /// In the `pika` dialect it also governs requests that no queue is bound for: they are
    /// published again every `rpc_retry_delay`, unless the client [is
    /// at-least-once](Self::with_at_least_once).
    #[must_use]
    pub fn with_retry(self, retry: Retry) -> Self {
        self.with(|options| options.retry = Some(retry))
    }

    /// Sets how requests are serialised; in the `pika` dialect only. Default: the transport's
    /// `default_serializer_type`.
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

    /// Passes arguments, contexts and results through this serializer. The servers need its
    /// counterpart. Default: none.
    #[must_use]
    pub fn with_serializer(self, serializer: impl Serializer) -> Self {
        self.with(|options| options.serializer = Some(Arc::new(serializer)))
    }

    /// Makes the client refuse requests that a server of version `cap` would not serve.
    #[must_use]
    pub fn with_version_cap(self, cap: Version) -> Self {
        self.with(|options| options.version_cap = Some(cap))
    }

    /// Sets the version that requests ask for.
    #[must_use]
    pub fn with_version(self, version: Version) -> Self {
        self.with(|options| {
            options.version = Some(version.to_string());
            options.target = std::mem::take(&mut options.target).with_version(version);
        })
    }

    /// Sends requests to this server of the topic.
    #[must_use]
    pub fn with_server(self, server: impl Into<String>) -> Self {
        self.with_target(|target| target.with_server(server))
    }

    /// Sends requests to all servers of the topic; casts only.
    #[must_use]
    pub fn with_fanout(self, fanout: bool) -> Self {
        self.with_target(|target| target.with_fanout(fanout))
    }

    /// Calls methods of this namespace.
    #[must_use]
    pub fn with_namespace(self, namespace: impl Into<String>) -> Self {
        self.with_target(|target| target.with_namespace(namespace))
    }

    /// Sends requests to this topic.
    #[must_use]
    pub fn with_topic(self, topic: impl Into<String>) -> Self {
        self.with_target(|target| target.with_topic(topic))
    }

    /// Sends requests through this exchange.
    #[must_use]
    pub fn with_exchange(self, exchange: impl Into<String>) -> Self {
        self.with_target(|target| target.with_exchange(exchange))
    }

    /// Makes calls and casts fail at once (`MessageUndeliverable`) when no queue exists for the
    /// message. Without it such a call times out, and such a cast is lost, as in oslo. Ignored for
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

    fn with(mut self, change: impl FnOnce(&mut ClientOptions)) -> Self {
        change(Arc::make_mut(&mut self.options));
        self.destinations = Arc::default();
        self
    }

    fn with_target(self, change: impl FnOnce(Target) -> Target) -> Self {
        self.with(|options| options.target = change(std::mem::take(&mut options.target)))
    }

    /// Whether the options ask for reports.
    pub(crate) fn is_reported(&self) -> bool {
        self.transport.collector().is_some()
    }

    /// Reports the start of a `call` or `cast`, if the options ask for reports.
    pub(crate) fn reported<'a>(
        &'a self,
        call_type: &'a str,
        method: &'a str,
    ) -> Option<InvocationReport<'a>> {
        let collector = self.transport.collector()?;
        let ClientOptions { target, version, .. } = &*self.options;
        Some(InvocationReport::start(collector, target, version.as_deref(), (call_type, method)))
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.options.timeout.unwrap_or(self.transport.config().response_timeout)
    }

    /// The format of its requests.
    pub(super) fn format(&self) -> WireFormat {
        self.transport.wire().format(self.options.serialization.as_ref())
    }

    /// What happens to its requests when they are cut off.
    pub(super) fn retry(&self) -> Retry {
        self.options.retry.unwrap_or_else(|| self.transport.wire().request_retry().default)
    }

    /// The count of the attempts of one request, at its first.
    pub(super) fn attempts(&self) -> RetryCounter {
        let retry = self.retry();
        let waits = retry != Retry::Never && !self.options.at_least_once;
        let delay = self.transport.wire().request_retry().unroutable_delay.filter(|_| waits);
        RetryCounter::first(retry).with_unroutable_delay(delay)
    }

    /// Decides what to do about a request that was refused. Boxed: few requests are.
    pub(super) fn after_refusal<'a>(
        &'a self,
        destination: &'a Destination,
        address: AddressChoice,
        error: Error,
        attempts: &'a mut RetryCounter,
        deadline: Instant,
    ) -> Pin<Box<impl Future<Output = Result<RetryDecision, Error>> + 'a>> {
        let policy = RefusalPolicy {
            is_sent_once: self.retry() == Retry::Never,
            is_at_least_once: self.options.at_least_once,
        };
        let transport = &self.transport;
        Box::pin(destination.after_refusal(address, error, attempts, deadline, policy, transport))
    }

    /// Forgets, after an error, the destinations whose connection has closed for good: the next
    /// request opens them again.
    pub(super) fn forget_closed<T>(&self, result: &Result<T, Error>) {
        if result.is_err() {
            for destination in self.destinations.all() {
                destination.forget_if(Destination::is_closed);
            }
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
        // Thousands of casts may wait for their confirms at a time.
        assert!(cast <= 192 && buffered <= 192 && call <= 1024, "{cast} {buffered} {call}");
    }
}
