//! RPC over RabbitMQ: the API and the wire of Python's oslo.messaging, for Rust.
//!
//! A Leveret client calls Python servers and a Leveret server serves Python clients, with the bytes
//! that oslo's `rabbit` driver sends, or those of its former `pika` driver. [`engine`] is the AMQP
//! client underneath: it runs on threads of its own, with io_uring or, where that is denied, epoll.
//!
//! ```
//! use leveret::{Context, Endpoint, Failure, RpcClient, RpcServer, Target, Transport};
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Add {
//!     value: i64,
//!     increment: i64,
//! }
//!
//! # fn main() -> Result<(), leveret::Error> {
//! let transport = Transport::connect_blocking("fake://")?; // rabbit://user:password@host/vhost
//! let endpoint = Endpoint::new()
//!     .method("add", |_: Context, args: Add| Ok::<_, Failure>(args.value + args.increment));
//! let target = Target::new("calculator").with_server("server1");
//! let server = RpcServer::builder(&transport, target).endpoint(endpoint).start_blocking()?;
//!
//! let client = RpcClient::new(&transport, Target::new("calculator"));
//! let sum: i64 = client.call_blocking((), "add", &Add { value: 2, increment: 3 })?;
//! assert_eq!(sum, 5);
//! server.wait_blocking()?;
//! transport.close_blocking()
//! # }
//! ```
//!
//! Every operation that waits has two versions: an `async` one, for any runtime, and `…_blocking`
//! for plain threads. Dropping a future cancels the wait and releases what it used.
//!
//! # Terms
//!
//! A [`Transport`] holds the connections to the brokers of a URL. A [`Target`] names a topic and,
//! optionally, one of its servers, a namespace and a version. An [`RpcClient`] sends requests to a
//! target: [`call`](RpcClient::call) waits for the reply, [`cast`](RpcClient::cast) for the
//! broker's confirm, [`cast_buffered`](RpcClient::cast_buffered) for neither. An [`RpcServer`]
//! serves the methods of its [`Endpoint`]s, which are built in code or from an `impl` block under
//! [`endpoint`](macro@endpoint); an [`AccessPolicy`] decides which methods callers may use. An
//! [`Error`] tells what is known about the message ([`Error::outcome`]) and which exception an
//! endpoint raised ([`Error::remote`]). A [`Serializer`] converts values and contexts before and
//! after transfer. A [`Notifier`] publishes notifications of events; a [`NotificationListener`]
//! consumes them, including those that were published before it started.
//!
//! Configuration files, environment variables and code set the options, under oslo's names:
//! [`Config`] reads them and [`guide::configuration`] lists every option. The [`guide`] has a page
//! for each subject and one for users [from Python](guide::from_python); [`guide::api`] lists, for
//! every item of oslo.messaging, its equivalent here and the test that shows it.
//!
//! # Two dialects
//!
//! `rabbit://` selects the dialect of oslo's driver of that name (`kombu` in options), `pika://`
//! that of its former `pika` driver: flat messages, in JSON, msgpack or a format of the user
//! ([`Serialization`]), and queues that RabbitMQ deletes with their servers, so that it returns a
//! request without a server. [`guide::rpc`](guide::rpc#the-other-dialect) describes the
//! differences. Servers can serve both dialects ([`ServingDialect`]), and clients can detect the
//! one that is served ([`SendingDialect`]): [`guide::rolling_update`] shows how to move a running
//! fleet from one dialect to the other and back.
//!
//! # When bytes move
//!
//! The caller's thread renders a message once, JSON inside JSON without an intermediate buffer, and
//! appends it to an outbox; the engine's thread sends the content of the outbox in one write.
//! RabbitMQ confirms a cast before [`cast`](RpcClient::cast) returns. The engine's thread matches a
//! reply to its call by the call's id (`msg_id`), at the end of the body or, in the `pika` dialect,
//! in the property `correlation_id`; the caller's thread decodes it.
//!
//! # Limits
//!
//! - Messages waiting to be sent: 1 MiB per channel; then senders wait, until their timeout.
//! - Requests held by a server: 1024 acknowledged ones; besides them what the prefetch allows (2048
//!   unless set; 100 from each queue in the `pika` dialect), or 16,384 from queues without
//!   acknowledgements; and 16 MiB in all, above which the server stops reading its connection. A
//!   connection with other uses (`connection_factory`) is still read, unless the queue has no
//!   acknowledgements.
//! - Threads of a server: `executor_threads`, 64 unless set; the server starts them on demand. On a
//!   runtime any number of requests run at a time, up to 64 MiB in all; above that the server stops
//!   reading its connection.
//! - Notifications held by a listener: what the prefetch allows (2048 unless set, or two batches;
//!   100 in the `pika` dialect), and 16 MiB as above; those that wait for another attempt count. A
//!   batch is complete at 8 MiB.
//! - Ids remembered to drop repeats: 16,384 per server or listener, or the prefetch of a server if
//!   that is more. Replies to a missing queue: retried for 60 s, at most 10,000 or 16 MiB at a
//!   time.
//! - Decompressed size of a message: 64 MiB.
//! - A received message: 128 levels of arrays and objects (127 for values, as for those sent),
//!   1,000,000 values, and 16 MiB or 36 times the message's size for all of it decoded as a
//!   `serde_json::Value`. A message above a limit is not decoded and counts as `undecodable`; the
//!   caller of such a request gets an error, the caller that receives such a reply gets
//!   `InvalidReply`. The entries of a context are decoded one by one, on first use.
//! - Heartbeats of a monitored call: at most one per second, at least two per hour. Names: 255
//!   bytes.
//!
//! # Guarantees
//!
//! - The broker has a confirmed cast. Whether a server executes it remains unknown to the caller.
//! - One server executes a request at most once, unless its repeat arrives after 16,384 other
//!   requests. With [`Retry::Never`] the client also publishes it at most once, with
//!   [`Retry::Times`] at most that many times more.
//! - A server that stops executes the requests it has acknowledged and those from queues that may
//!   be deleted with it, and returns the others to their queue.
//! - A call without a reply ends at its timeout, never earlier, and frees its slot then.
//! - A listener acknowledges a notification after it was handled, so RabbitMQ redelivers one that a
//!   crash interrupts. A notification that fails is dropped, unless the listener allows requeuing:
//!   then it is given up after ten attempts, which take half a minute and delay no other
//!   notification.
//! - Messages sent through one client and its clones arrive in a queue in the order of sending.
//!   Buffered casts are ordered among themselves only.
//! - The engine reconnects a lost connection, to the next host of the URL, and restores its
//!   declarations. No answer of a broker ends a connection, server or listener for good:
//!   [`guide::reliability`] lists the faults and their effects.
//!
//! # Options
//!
//! The options are oslo's, with oslo's names: fields of [`DriverConfig`], which documents the
//! effect of each, and keys of a URL's query. All options of `[oslo_messaging_rabbit]` and
//! `[oslo_messaging_pika]` ([`PikaOptions`]) are accepted, including those without an effect here,
//! whose documentation says so ([`PoolOptions`], `heartbeat_rate`). Options that contradict each
//! other are an error when the transport is created. [`QueueProfile`] is Leveret's own: it adapts
//! queues to what a broker allows. All clients and servers that share an exchange or a queue must
//! agree on its options; if they do not, the error names the option that differs.
//!
//! `ssl` and the schemes `rabbits`, `kombus` and `amqps` encrypt connections and verify the broker
//! ([`guide::security`]); features that are off make them an error, never a plain connection.
//!
//! `fake://` selects a broker within the process that speaks AMQP over a socket (feature
//! `loopback`, enabled by default): for tests, without disk or cluster.

mod broker;
pub(crate) mod codec;
mod config;
mod dialect;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod guide;
mod message;
mod notify;
mod observe;
mod rpc;
pub(crate) mod runtime;
pub(crate) mod topology;
mod transport;

pub use codec::serialization::{BodySerializer, Serialization};
pub use config::driver_config::{Compression, DriverConfig, LoginMethod};
pub use config::loader::Config;
pub use config::options::acknowledgements::{CallConfirms, RequestAcks};
pub use config::options::connection::ConnectionOptions;
pub use config::options::dialects::{Redelivered, SendingDialect, ServingDialect};
pub use config::options::entities::{EntityOptions, QueueProfile};
pub use config::options::factory::ConnectionFactory;
pub use config::options::metrics::MetricsOptions;
pub use config::options::notifications::NotificationConfig;
pub use config::options::pika::PikaOptions;
pub use config::options::recovery::{Failover, PoolOptions};
pub use config::options::stable_names::StableNames;
pub use config::options::tls::TlsOptions;
pub use config::resolve::{Ignored, Setting};
pub use config::sources::source::Source;
pub use config::url::{AMQP_PORT, Secrets, TransportHost, TransportUrl};
pub use error::failure::Failure;
pub use error::remote::RemoteError;
pub use error::{Error, ErrorKind, Outcome};
pub use leveret_engine as engine;
pub use leveret_engine::{
    ConnectMode, ConnectionState, ConsumerState, Credentials, Secret, TlsVersion,
};
#[cfg(feature = "macros")]
pub use leveret_macros::endpoint;
pub use message::context::{Context, InvalidTraceParent, TraceParent};
pub use message::priority::{InvalidPriority, Priority};
pub use message::retry::Retry;
pub use message::serializer::{
    JsonPayloadSerializer, NoOpSerializer, RequestContextSerializer, Serializer,
};
pub use message::target::Target;
pub use message::version::{InvalidVersion, Version};
pub use notify::listener::builder::NotificationListenerBuilder;
pub use notify::listener::endpoint::NotificationEndpoint;
pub use notify::listener::filter::NotificationFilter;
pub use notify::listener::listener::NotificationListener;
pub use notify::listener::stats::ListenerStats;
pub use notify::listener::verdict::{Answer, NotificationResult};
pub use notify::notification::Notification;
pub use notify::notifier::builder::NotifierBuilder;
pub use notify::notifier::driver::Routing as NotificationRouting;
pub use notify::notifier::driver::{NotificationDriver, Notify, TestNotifications};
#[cfg(feature = "log-handler")]
pub use notify::notifier::layer::{NotificationLayer, NotificationLayerGuard};
pub use notify::notifier::notifier::Notifier;
pub use observe::health::{
    ConnectionHealth, ConsumerHealth, ListeningHealth, ReplyPath, TransportHealth,
};
pub use observe::histogram::LatencyHistogram;
pub use observe::metrics::{
    CallMetrics, CastMetrics, ConnectionMetrics, IntakeMetrics, NotificationMetrics,
    TransportMetrics,
};
#[cfg(feature = "prometheus")]
pub use observe::prometheus::PROMETHEUS_CONTENT_TYPE;
pub use rpc::client::client::RpcClient;
pub use rpc::server::access::{AccessPolicy, Allows};
pub use rpc::server::builder::RpcServerBuilder;
pub use rpc::server::endpoint::Endpoint;
pub use rpc::server::server::RpcServer;
pub use rpc::server::stats::ServerStats;
pub use runtime::executor::Executor;
pub use transport::builder::TransportBuilder;
pub use transport::transport::{Transport, TransportStats};

/// Names that code generated by the macros uses.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __private {
    pub use serde;
}
