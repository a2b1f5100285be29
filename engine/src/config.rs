//! What an engine and a connection can be told, with units, defaults and limits.

use std::time::Duration;

use crate::credentials::{CredentialsProvider, Secret};
use crate::error::{Error, ErrorKind};
use crate::proto::FRAME_MAX_MIN;
use crate::reactor::BackendChoice;
use crate::topology_group::TopologyGroup;

/// Where the shards of an engine run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cores {
    /// This many shards, on whatever core the kernel chooses. At least one is started.
    Unpinned(usize),
    /// One shard on each of these cores. Cores outside the process' allowed set are an error.
    Pinned(Vec<usize>),
}

/// Settings of an engine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EngineConfig {
    /// Shards and their cores; default: one, unpinned.
    pub cores: Cores,
    /// Which backend runs them; default: io_uring where it is allowed.
    pub backend: BackendChoice,
    /// How long a shard keeps polling before it sleeps; default 0. Buys latency with a core: give
    /// such a shard a core of its own.
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
    /// Name or address.
    pub host: String,
    /// TCP port; RabbitMQ's default is 5672.
    pub port: u16,
    /// User name.
    pub user: String,
    /// Password.
    pub password: Secret,
}

impl Host {
    /// A broker with the credentials `guest`/`guest`, which RabbitMQ accepts on loopback only.
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

/// SASL mechanism.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// `PLAIN` (RFC 4616).
    #[default]
    Plain,
    /// `AMQPLAIN`, the default of Python's drivers.
    AmqPlain,
    /// `EXTERNAL`: who we are is known from the transport.
    External,
}

/// What [`Engine::connect`](crate::Engine::connect) waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectMode {
    /// The first success, or the refusal of every host.
    #[default]
    Eager,
    /// Nothing: the connection goes on trying in the background for as long as it has handles, and
    /// what is asked of it meanwhile waits until its own deadline.
    Lazy,
}

/// What happens after a connection was lost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recovery {
    /// Reconnect at all; default yes.
    pub enabled: bool,
    /// First wait after every host failed once; default 100 ms. Doubled each round, and a random
    /// part of it is taken (full jitter), so that clients do not come back together.
    pub backoff: Duration,
    /// What a span grows by each round instead of being doubled; default none: doubled.
    pub backoff_step: Option<Duration>,
    /// Longest span a wait is drawn from; default 5 s: a broker that is back, or accepts us again,
    /// is in use within that time.
    pub backoff_max: Duration,
    /// Wait before the first attempt after a connection was lost; default 0.
    pub delay: Duration,
    /// A random part of this is added to that wait; default 0.
    pub splay: Duration,
    /// Hosts are tried in a new random order each round, not in the order drawn first; default no.
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
    /// Brokers, tried in a random order that is kept, each in its turn.
    pub hosts: Vec<Host>,
    /// Virtual host; default `/`.
    pub vhost: String,
    /// SASL mechanism; default PLAIN.
    pub login: Login,
    /// Where user and password come from, asked before each attempt to connect; default none:
    /// from each host.
    pub credentials: Option<CredentialsProvider>,
    /// Name shown by RabbitMQ's management tools; default empty.
    pub connection_name: String,
    /// Heartbeat interval asked for; default 10 s, 0 = none. The smaller of both sides' is used, in
    /// whole seconds; a peer silent for two intervals is dead.
    pub heartbeat: Duration,
    /// Largest frame in bytes; default 131072, at least 8192 (RabbitMQ 4.1's minimum).
    pub frame_max: u32,
    /// Largest channel number; default 2047.
    pub channel_max: u16,
    /// Largest message accepted from the broker; default 64 MiB. A larger one is read and dropped:
    /// rejected without being requeued, if it is to be acknowledged, and counted.
    pub body_max: u64,
    /// How long the resolver may take for a host's name; default 5 s. Addresses need no resolver.
    pub resolve_timeout: Duration,
    /// How long a TCP connect may take, per address of a host; default 1 s. The next address is
    /// tried beside the last after 250 ms (RFC 8305).
    pub connect_timeout: Duration,
    /// How long the AMQP handshake may take; default 5 s.
    pub handshake_timeout: Duration,
    /// How long `connect` keeps going round the hosts; default 0: once. It ends earlier when every
    /// host has refused the connection (login, virtual host, not AMQP).
    pub connect_deadline: Duration,
    /// Whether `connect` waits for the first success; default [`ConnectMode::Eager`].
    pub connect: ConnectMode,
    /// How long a declaration or another request may take; default 10 s. A broker that leaves a
    /// request unanswered for longer is left for the next host.
    pub operation_timeout: Duration,
    /// How long a broker may confirm nothing while publications wait for their confirms; default
    /// 5 s, 0 = for ever. Time in which it blocks publishers does not count. Then it is left for
    /// the next host, and tried last for 30 s: a node cut off from its cluster may answer
    /// heartbeats and confirm nothing.
    pub confirm_timeout: Duration,
    /// How long a publication that the broker refuses (`basic.nack`) is sent again, with pauses
    /// that grow from 50 ms to 1 s; default 5 s, 0 = not at all. Only what its publisher
    /// [retained](crate::Publisher::retained) and somebody waits for, and never after its deadline.
    pub nack_retry: Duration,
    /// TCP_USER_TIMEOUT: how long sent bytes may stay unacknowledged by the peer's kernel; default
    /// 2 s, 0 = the system's default.
    pub tcp_user_timeout: Duration,
    /// What a channel keeps in memory for sending: waiting, and sent but unconfirmed; default 1
    /// MiB, which stays in the caches of both cores.
    pub outbox_bytes: usize,
    /// Size of a receive block; default 64 KiB.
    pub block_bytes: usize,
    /// Receive blocks a connection keeps; default 256 (16 MiB, made on demand). When slices of all
    /// of them are held, reading stops.
    pub blocks_max: usize,
    /// How often what the connection declared is declared again, to find what somebody deleted
    /// without telling; default 30 s, 0 = only when the broker names something as missing. Spread
    /// by a quarter both ways, one frame a millisecond at most.
    pub audit_interval: Duration,
    /// Connections that audit at once when one of them finds something missing; default: this one.
    pub topology_group: TopologyGroup,
    /// Reconnecting.
    pub recovery: Recovery,
}

impl ConnectionConfig {
    /// The defaults, for these brokers.
    #[must_use]
    pub fn new(hosts: Vec<Host>) -> Self {
        Self {
            hosts,
            vhost: "/".into(),
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

    /// The defaults, for one broker with the credentials `guest`/`guest`.
    #[must_use]
    pub fn to(host: impl Into<String>, port: u16) -> Self {
        Self::new(vec![Host::new(host, port)])
    }

    /// Refuses what cannot work, before anything is tried.
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

/// Settings of a channel.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ChannelOptions {
    /// Publisher confirms (RabbitMQ extension `confirm.select`); default on.
    pub confirms: bool,
    /// Deliveries the broker may leave unacknowledged per consumer (`basic.qos`); default 0 = no
    /// limit.
    pub prefetch: u16,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self { confirms: true, prefetch: 0 }
    }
}

impl ChannelOptions {
    /// Sets [`ChannelOptions::confirms`].
    #[must_use]
    pub fn with_confirms(self, confirms: bool) -> Self {
        Self { confirms, ..self }
    }

    /// Sets [`ChannelOptions::prefetch`].
    #[must_use]
    pub fn with_prefetch(self, prefetch: u16) -> Self {
        Self { prefetch, ..self }
    }
}
