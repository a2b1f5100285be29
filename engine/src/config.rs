//! Settings of an engine, its connections and its channels, with units, defaults and limits.

use std::time::Duration;

use crate::credentials::{CredentialsProvider, Secret};
use crate::error::{Error, ErrorKind};
use crate::proto::FRAME_MAX_MIN;
use crate::reactor::BackendChoice;
#[cfg(feature = "tls")]
use crate::tls::TlsConfig;
use crate::topology_group::TopologyGroup;

/// The number of shards of an engine and the cores they run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cores {
    /// This many shards, on cores that the kernel chooses. At least one is started.
    Unpinned(usize),
    /// One shard on each of these cores. A core outside the allowed set of the process is an error.
    Pinned(Vec<usize>),
}

/// Settings of an engine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EngineConfig {
    /// Shards and their cores. Default: one shard, unpinned.
    pub cores: Cores,
    /// The I/O backend. Default: io_uring where the system allows it.
    pub backend: BackendChoice,
    /// How long a shard keeps polling before it sleeps. Default: 0. A longer time lowers the
    /// latency and occupies a core, so pin such a shard to a core of its own.
    pub busy_poll: Duration,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { cores: Cores::Unpinned(1), backend: BackendChoice::Auto, busy_poll: Duration::ZERO }
    }
}

impl EngineConfig {
    /// Sets [`EngineConfig::cores`].
    #[must_use]
    pub fn with_cores(self, cores: Cores) -> Self {
        Self { cores, ..self }
    }

    /// The configuration of each shard by itself, for threads that [`Shard::run`] gives to one
    /// shard each.
    ///
    /// ```
    /// use leveret_engine::{Cores, EngineConfig};
    ///
    /// let config = EngineConfig::default().with_cores(Cores::Pinned(vec![0, 2]));
    /// let shards = config.shards();
    /// assert_eq!(shards.len(), 2);
    /// assert_eq!(shards[1].cores, Cores::Pinned(vec![2]));
    /// ```
    ///
    /// [`Shard::run`]: crate::Shard::run
    #[must_use]
    pub fn shards(&self) -> Vec<Self> {
        let one = |cores| self.clone().with_cores(cores);
        match &self.cores {
            Cores::Unpinned(count) => vec![one(Cores::Unpinned(1)); (*count).max(1)],
            Cores::Pinned(cores) => {
                cores.iter().map(|core| one(Cores::Pinned(vec![*core]))).collect()
            }
        }
    }

    /// Sets [`EngineConfig::backend`].
    #[must_use]
    pub fn with_backend(self, backend: BackendChoice) -> Self {
        Self { backend, ..self }
    }

    /// Sets [`EngineConfig::busy_poll`].
    #[must_use]
    pub fn with_busy_poll(self, busy_poll: Duration) -> Self {
        Self { busy_poll, ..self }
    }
}

/// One broker of a cluster.
#[derive(Clone, Debug)]
pub struct Host {
    /// Host name or address.
    pub host: String,
    /// TCP port; RabbitMQ's default is 5672.
    pub port: u16,
    /// User name.
    pub user: String,
    /// Password.
    pub password: Secret,
}

impl Host {
    /// Creates a host with the credentials `guest`/`guest`, which RabbitMQ accepts on loopback
    /// only.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, user: "guest".into(), password: Secret::new("guest") }
    }

    /// Sets user and password.
    #[must_use]
    pub fn with_login(self, user: impl Into<String>, password: Secret) -> Self {
        Self { user: user.into(), password, ..self }
    }
}

/// The SASL mechanism.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// `PLAIN` (RFC 4616).
    #[default]
    Plain,
    /// `AMQPLAIN`, the default of Python's drivers.
    AmqPlain,
    /// `EXTERNAL`: the transport identifies the client.
    External,
}

/// What [`Engine::connect`](crate::Engine::connect) waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectMode {
    /// For the first success, or until every host has refused the connection.
    #[default]
    Eager,
    /// For nothing. The connection keeps trying in the background while it has handles. Operations
    /// wait until it is open, each until its own timeout.
    Lazy,
}

/// How a connection is restored after it was lost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recovery {
    /// Whether to reconnect. Default: true.
    pub enabled: bool,
    /// The span of the first wait after every host has failed once. Default: 100 ms. The span
    /// doubles each round. Each wait is a random part of its span (full jitter), so that clients do
    /// not reconnect at the same time.
    pub backoff: Duration,
    /// A fixed amount that the span grows by each round, instead of doubling. Default: none.
    pub backoff_step: Option<Duration>,
    /// The longest span. Default: 5 s, so a broker that accepts connections again is used within
    /// that time.
    pub backoff_max: Duration,
    /// The wait before the first attempt after a connection was lost. Default: 0.
    pub delay: Duration,
    /// A random part of this is added to `delay`. Default: 0.
    pub splay: Duration,
    /// Try the hosts in a new random order each round, instead of keeping the first order. Default:
    /// false.
    pub shuffle: bool,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            enabled: true,
            backoff: Duration::from_millis(100),
            backoff_step: None,
            backoff_max: Duration::from_secs(5),
            delay: Duration::ZERO,
            splay: Duration::ZERO,
            shuffle: false,
        }
    }
}

/// Settings of a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionConfig {
    /// The brokers. Shuffled once and then tried in rotation.
    pub hosts: Vec<Host>,
    /// The virtual host. Default: `/`.
    pub vhost: String,
    /// How the connection is encrypted. Default: not at all. RabbitMQ's port for TLS is 5671.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsConfig>,
    /// The SASL mechanism. Default: PLAIN.
    pub login: Login,
    /// Provides user and password before each attempt to connect. Default: none; each host's own
    /// are used.
    pub credentials: Option<CredentialsProvider>,
    /// The connection name that RabbitMQ's management tools show. Default: empty.
    pub connection_name: String,
    /// The heartbeat interval to request. Default: 10 s; 0 disables heartbeats. The smaller of both
    /// sides' intervals applies, in whole seconds. A peer that is silent for two intervals is
    /// considered dead.
    pub heartbeat: Duration,
    /// The largest frame, in bytes. Default: 131072. At least 8192 (RabbitMQ 4.1's minimum).
    pub frame_max: u32,
    /// The largest channel number. Default: 2047.
    pub channel_max: u16,
    /// The largest message body accepted from the broker. Default: 64 MiB. A larger one is read,
    /// dropped and counted, and rejected without requeuing if it needs an acknowledgement.
    pub body_max: u64,
    /// How long the resolution of a host name may take. Default: 5 s. Addresses are not resolved.
    pub resolve_timeout: Duration,
    /// How long a TCP connect may take for each address of a host. Default: 1 s. After 250 ms the
    /// next address is tried in parallel (RFC 8305).
    pub connect_timeout: Duration,
    /// How long the AMQP handshake may take, and the TLS handshake before it. Default: 5 s each.
    pub handshake_timeout: Duration,
    /// How long `connect` keeps trying the hosts. Default: 0, which is one round. It ends earlier
    /// if every host refuses the connection (login, virtual host, not AMQP).
    pub connect_deadline: Duration,
    /// Whether `connect` waits for the first success. Default: [`ConnectMode::Eager`].
    pub connect: ConnectMode,
    /// How long a declaration or another request may take. Default: 10 s. If the broker leaves a
    /// request unanswered for longer, the connection moves to the next host.
    pub operation_timeout: Duration,
    /// How long the broker may confirm nothing while publications wait for confirms. Default: 5 s;
    /// 0 disables the check. Time in which the broker blocks publishers does not count. Then the
    /// connection moves to the next host, and this one is tried last for 30 s. A node cut off from
    /// its cluster may answer heartbeats and confirm nothing.
    pub confirm_timeout: Duration,
    /// How long a publication that the broker refuses (`basic.nack`) is sent again, with pauses
    /// that grow from 50 ms to 1 s. Default: 5 s; 0 disables it. Applies to
    /// [retained](crate::Publisher::retained) publications whose outcome the publisher waits for,
    /// and ends at their deadline.
    pub nack_retry: Duration,
    /// `TCP_USER_TIMEOUT`: how long the peer's kernel may leave sent bytes unacknowledged. Default:
    /// 2 s; 0 keeps the system's default.
    pub tcp_user_timeout: Duration,
    /// The send budget of a channel: bytes of publications that wait, and of those sent and
    /// unconfirmed. Default: 1 MiB, which fits into the caches of both cores. At most 1 GiB.
    pub outbox_bytes: usize,
    /// The largest size of a receive block. Default: 64 KiB. At least 4096 bytes, which the first
    /// blocks of a connection have: they grow when a read fills one.
    pub block_bytes: usize,
    /// The number of receive blocks of a connection. Default: 256 (16 MiB, allocated on demand). At
    /// least 1. While the application holds slices of all blocks, the connection is not read.
    pub blocks_max: usize,
    /// How often the connection declares again what it has declared, to restore entities that were
    /// deleted by others. Default: 30 s; 0 restricts it to entities that the broker reports as
    /// missing. The interval varies randomly by a quarter, and the audit sends at most one frame
    /// per millisecond.
    pub audit_interval: Duration,
    /// Connections that audit at once when one of them finds an entity missing. Default: this
    /// connection alone.
    pub topology_group: TopologyGroup,
    /// How to reconnect.
    pub recovery: Recovery,
}

impl ConnectionConfig {
    /// Creates the default settings for these brokers.
    #[must_use]
    pub fn new(hosts: Vec<Host>) -> Self {
        Self {
            hosts,
            vhost: "/".into(),
            #[cfg(feature = "tls")]
            tls: None,
            login: Login::default(),
            credentials: None,
            connection_name: String::new(),
            heartbeat: Duration::from_secs(10),
            frame_max: 131_072,
            channel_max: 2047,
            body_max: 64 << 20,
            resolve_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(1),
            handshake_timeout: Duration::from_secs(5),
            connect_deadline: Duration::ZERO,
            connect: ConnectMode::default(),
            operation_timeout: Duration::from_secs(10),
            confirm_timeout: Duration::from_secs(5),
            nack_retry: Duration::from_secs(5),
            tcp_user_timeout: Duration::from_secs(2),
            outbox_bytes: 1 << 20,
            block_bytes: 64 << 10,
            blocks_max: 256,
            audit_interval: Duration::from_secs(30),
            topology_group: TopologyGroup::default(),
            recovery: Recovery::default(),
        }
    }

    /// Creates the default settings for one broker with the credentials `guest`/`guest`.
    #[must_use]
    pub fn to(host: impl Into<String>, port: u16) -> Self {
        Self::new(vec![Host::new(host, port)])
    }

    /// Checks the settings without contacting a broker.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |text: &str| Err(Error::new(ErrorKind::Config, text));
        if self.hosts.is_empty() {
            return wrong("no host is given: name at least one broker");
        }
        if self.frame_max < FRAME_MAX_MIN {
            return wrong("frame_max is below 8192, which RabbitMQ 4.1 and later refuse");
        }
        if self.vhost.len() > 255 {
            return wrong("the virtual host's name is longer than 255 bytes");
        }
        if self.block_bytes < 4096 || self.blocks_max == 0 {
            return wrong("block_bytes must be at least 4096 and blocks_max at least 1");
        }
        if self.outbox_bytes > 1 << 30 {
            return wrong("outbox_bytes is above 1 GiB");
        }
        Ok(())
    }
}

/// How a channel learns that the broker has its publications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Confirms {
    /// It does not: a publication is done when the connection has accepted it.
    Off,
    /// The broker confirms each (RabbitMQ extension `confirm.select`): it has the publication on
    /// disk or on a majority of nodes, as its queue promises.
    #[default]
    Each,
    /// The broker confirms none. A tenth of a second after a publication at the latest the engine
    /// asks something on the same channel (`basic.qos`), and the answer confirms all before: the
    /// broker works through a channel in order, so it has routed them. Saves the broker and the
    /// client a frame for each publication. Returned publications, and those that a lost connection
    /// or channel may have lost, are told and sent again as with [`Each`](Self::Each). The price: a
    /// confirm comes late, so nobody should wait for one; and a queue that refuses a publication
    /// (`basic.nack`: it is full, or its leader has failed) is not noticed.
    Together,
}

impl Confirms {
    /// Whether the channel learns it at all.
    pub(crate) fn are_on(self) -> bool {
        self != Self::Off
    }
}

/// `true` is [`Confirms::Each`], `false` is [`Confirms::Off`].
impl From<bool> for Confirms {
    fn from(each: bool) -> Self {
        if each { Self::Each } else { Self::Off }
    }
}

/// Settings of a channel.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ChannelOptions {
    /// How it learns that the broker has its publications. Default: [`Confirms::Each`].
    pub confirms: Confirms,
    /// Default prefetch of consumers: deliveries that may be unacknowledged per consumer
    /// (`basic.qos`). Default: 0, no limit.
    pub prefetch: u16,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self { confirms: Confirms::Each, prefetch: 0 }
    }
}

impl ChannelOptions {
    /// Sets [`ChannelOptions::confirms`]; a `bool` says whether the broker confirms each.
    #[must_use]
    pub fn with_confirms(self, confirms: impl Into<Confirms>) -> Self {
        Self { confirms: confirms.into(), ..self }
    }

    /// Sets [`ChannelOptions::prefetch`].
    #[must_use]
    pub fn with_prefetch(self, prefetch: u16) -> Self {
        Self { prefetch, ..self }
    }
}
