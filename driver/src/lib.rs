//! RPC over RabbitMQ: the API and the wire of Python's oslo.messaging, for Rust.
//!
//! A Leveret client calls a Python server and a Leveret server answers a Python client, byte for
//! byte as today's `rabbit` driver would, or as its former `pika` driver did. Underneath is
//! [`engine`], which moves AMQP on io_uring (or epoll, where that is denied) from threads of its
//! own.
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
//! Everything that waits comes twice: `async`, to be awaited on any runtime or none of note, and
//! `…_blocking` for plain threads. Dropping a future gives up waiting and leaves nothing behind.
//!
//! # The words
//!
//! A [`Transport`] is what a URL stands for. A [`Target`] names a topic, perhaps one server of it,
//! a namespace and a version. An [`RpcClient`] sends to a target: [`call`](RpcClient::call) waits
//! for an answer, [`cast`](RpcClient::cast) for the broker alone,
//! [`cast_buffered`](RpcClient::cast_buffered) for nobody. An [`RpcServer`] offers the methods of
//! its [`Endpoint`]s, by code or as an `impl` block under [`endpoint`](macro@endpoint); an
//! [`AccessPolicy`] says which of them callers reach. An [`Error`] answers questions: what became
//! of the message ([`Error::outcome`]), what an endpoint raised ([`Error::remote`]). A
//! [`Serializer`] changes values and contexts on their way. A [`Notifier`] tells what happened to
//! whom it may concern; a [`NotificationListener`] hears it, whether it was there at the time or
//! came later.
//!
//! A service's files, environment and code say the rest, under oslo's names: [`Config`] reads them
//! and [`guide::configuration`] lists every option. The [`guide`] has a page for each subject, one
//! for those who come [from Python](guide::from_python), and [`guide::api`] names, for all that
//! oslo.messaging has, what takes its place here and which test shows it.
//!
//! # Two dialects
//!
//! `rabbit://` stands for what oslo's driver of that name speaks (`kombu` in options), `pika://`
//! for what its former driver `pika` spoke: flat messages, in JSON, msgpack or a way of your own
//! ([`Serialization`]), and queues that go with their servers, so that a request nobody is there
//! for comes back. [`guide::rpc`](guide::rpc#the-other-dialect) says what is different there.
//! Servers may understand both ([`ServingDialect`]) and clients find out which is served
//! ([`SendingDialect`]): [`guide::rolling_update`] leads a fleet from one to the other and back
//! while it works.
//!
//! # When bytes move
//!
//! The caller's thread renders a message once, JSON inside JSON without a buffer in between, and
//! appends it to an outbox; the engine's thread sends whatever has gathered there as one write. A
//! cast is confirmed before [`cast`](RpcClient::cast) returns. A reply is found its caller by the
//! last bytes of its body, on the engine's thread, and decoded by the caller.
//!
//! # What is bounded
//!
//! - Messages waiting to leave: 1 MiB a channel; then senders wait, until their timeout.
//! - Requests a server holds: 1024 acknowledged, beyond them what the prefetch allows (2048 unless
//!   set; 100 from each queue in the `pika` dialect), of queues without acknowledgements 16,384;
//!   and 16 MiB in all, beyond which the connection is not read. A connection with other uses
//!   (`connection_factory`) is read on, unless the queue has no acknowledgements.
//! - Threads of a server: `executor_threads`, 64; they start as they are needed. On a runtime any
//!   number of requests run at a time, of 64 MiB together; then the connection is not read.
//! - Notifications a listener holds: what the prefetch allows (2048 unless set, or two batches; 100
//!   in the `pika` dialect), and 16 MiB as above; those that wait for another attempt count. A
//!   batch is served once it has 8 MiB.
//! - Ids remembered to drop repeats: 16,384 a server or listener, or what the prefetch of a server
//!   allows. Replies to a missing queue: tried for 60 s, 10,000 or 16 MiB at a time.
//! - Text of a compressed message: 64 MiB.
//! - A message that is received: 128 levels of arrays and objects (values 127, as those sent),
//!   1,000,000 values, and what decoding all of it as a `serde_json::Value` would take: 16 MiB, or
//!   36 times the message's size. What has more is not decoded, and counts as `undecodable`; the
//!   caller of a request is told, the caller whose reply it is gets `InvalidReply`. The entries of
//!   a context are decoded one by one, when they are asked for.
//! - Signs of life of a call: one a second at most, and two an hour at least. Names: 255 bytes.
//!
//! # What is promised
//!
//! - A confirmed cast is with the broker. Whether anybody executes it is the broker's and the
//!   servers' affair.
//! - A request is executed at most once by one server, unless its repeat comes later than 16,384
//!   others; with [`Retry::Never`] it is published at most once, too, with [`Retry::Times`] so many
//!   times more.
//! - A server that stops executes what it has acknowledged and returns the rest to its queue.
//! - A call ends by its timeout, never early, and its place is free then.
//! - A notification is acknowledged when it was handled: what a crash interrupts comes again. One
//!   that fails time and again is given up after ten attempts, half a minute later, and stops
//!   nobody else.
//! - What is sent through one client and its clones arrives in one queue in that order, buffered
//!   casts apart: they keep their order among themselves.
//! - A lost connection comes back by itself, to the next host of the URL, and what was declared
//!   with it. Whatever a broker answers, no connection, server or listener is given up:
//!   [`guide::reliability`] lists the bad days and what they cost.
//!
//! # Options
//!
//! They are oslo's, by oslo's names: fields of [`DriverConfig`], whose documentation says for each
//! what it does here, and keys of a URL's query. All of `[oslo_messaging_rabbit]` are known, and of
//! `[oslo_messaging_pika]` ([`PikaOptions`]). What
//! does nothing here is accepted and says so ([`PoolOptions`], `heartbeat_rate`); options that
//! contradict each other are an error when the transport is made. Leveret's own is
//! [`QueueProfile`]: how queues adapt to what a broker allows. All who share an exchange or a queue
//! must agree on its options; where they do not, the error says which option decides.
//!
//! TLS is not there yet: a URL that asks for it is refused rather than connected to in the clear.
//!
//! `fake://` is a broker in the process that speaks AMQP over a socket (feature `loopback`, on by
//! default): for tests, without disk or cluster.

mod broker;
pub(crate) mod codec;
mod config;
mod dialect;
mod error;
pub mod guide;
mod ids;
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
pub use config::options::connection::ConnectionOptions;
pub use config::options::dialects::{Redelivered, SendingDialect, ServingDialect};
pub use config::options::entities::{EntityOptions, QueueProfile};
pub use config::options::factory::ConnectionFactory;
pub use config::options::metrics::MetricsOptions;
pub use config::options::notifications::NotificationConfig;
pub use config::options::pika::PikaOptions;
pub use config::options::recovery::{Failover, PoolOptions};
pub use config::options::stable_names::StableNames;
pub use config::resolve::{Ignored, Setting};
pub use config::sources::source::Source;
pub use config::url::{AMQP_PORT, Secrets, TransportHost, TransportUrl};
pub use error::failure::Failure;
pub use error::remote::RemoteError;
pub use error::{Error, ErrorKind, Outcome};
pub use leveret_engine as engine;
pub use leveret_engine::{ConnectMode, ConnectionState, ConsumerState, Credentials, Secret};
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

/// What generated code names.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __private {
    pub use serde;
}
