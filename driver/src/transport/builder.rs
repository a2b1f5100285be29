//! Describes a transport and connects it: URL and options become hosts, logins and an engine.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use leveret_engine::{
    ConnectMode, Credentials, CredentialsProvider, Engine, EngineConfig, Host, block_on,
};
use zeroize::Zeroizing;

use crate::broker::connections::Connections;
use crate::broker::errors;
#[cfg(feature = "loopback")]
use crate::broker::loopback;
use crate::broker::open_once::OpenOnce;
use crate::broker::publish::pool::PublisherPool;
use crate::broker::purpose::Purpose;
use crate::config::driver_config::DriverConfig;
use crate::config::driver_name::DriverName;
use crate::config::engine_connection;
use crate::config::loader::Config;
use crate::config::options::factory::ConnectionFactory;
use crate::config::url::{TransportHost, TransportUrl};
use crate::dialect::wire::Wire;
use crate::error::{Error, ErrorKind};
use crate::message::ids::IdSource;
use crate::observe::collector::MetricsCollectorClient;
use crate::observe::counters::Counters;
use crate::runtime::timer::Timer;
use crate::transport::pending_calls::PendingCalls;
use crate::transport::publishers::{PublisherPools, Publishers};
use crate::transport::queue_names::QueueNames;
use crate::transport::reply_queue::ReplyQueue;
use crate::transport::reply_watchdog::ReplyWatchdog;
use crate::transport::transport::{OwnBroker, Shared, Transport};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Provide = dyn Fn(&TransportHost) -> Result<Credentials, BoxError> + Send + Sync;

/// Describes a transport before it connects.
#[must_use = "a transport is made by `connect`"]
pub struct TransportBuilder {
    url: Zeroizing<String>,
    config: DriverConfig,
    engine: Option<Engine>,
    engine_config: EngineConfig,
    connect: Option<ConnectMode>,
    connect_deadline: Option<Duration>,
    credentials: Option<Arc<Provide>>,
    allowed_remote_exmods: Vec<String>,
}

impl Transport {
    /// Connects to the first broker of `url` that answers, with default options and an engine of
    /// its own. To wait for a broker, or to begin without one, see
    /// [`TransportBuilder::connect_deadline`] and [`TransportBuilder::lazy`].
    ///
    /// # Errors
    /// `InvalidTransportUrl`, `DriverLoadFailure` and `Unsupported` for the URL; `InvalidOptions`
    /// for options that contradict each other; `TransportDriverError` with the reason when no
    /// broker is reached, or the broker refuses the connection.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::builder(url).connect().await
    }

    /// [`connect`](Self::connect) for a plain thread.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_blocking(url: &str) -> Result<Self, Error> {
        Self::builder(url).connect_blocking()
    }

    /// Describes a transport with options, or with an engine that is running already.
    pub fn builder(url: &str) -> TransportBuilder {
        TransportBuilder::new(url)
    }
}

impl TransportBuilder {
    fn new(url: &str) -> Self {
        Self {
            url: Zeroizing::new(url.to_owned()),
            config: DriverConfig::default(),
            engine: None,
            engine_config: EngineConfig::default(),
            connect: None,
            connect_deadline: None,
            credentials: None,
            allowed_remote_exmods: Vec::new(),
        }
    }

    /// Describes the transport of a configuration: its `transport_url`, options and engine. The
    /// configuration's [warnings](Config::warnings) are logged.
    ///
    /// ```
    /// # fn main() -> Result<(), leveret::Error> {
    /// use leveret::{Config, TransportBuilder};
    ///
    /// let config = Config::new().ini_str("[DEFAULT]\ntransport_url = fake://\n")?;
    /// let transport = TransportBuilder::from_config(&config)?.connect_blocking()?;
    /// transport.close_blocking()
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Config::transport_url`].
    pub fn from_config(config: &Config) -> Result<Self, Error> {
        for warning in config.warnings()? {
            tracing::warn!(name: "leveret.configuration.doubtful", "configuration: {warning}");
        }
        Self::to(config.transport_url()?, config)
    }

    /// Describes the transport for notifications of a configuration, as oslo's
    /// `get_notification_transport`: to the broker of `[oslo_messaging_notifications]
    /// transport_url` if there is one, else to that of the RPCs. With
    /// [`NotifierBuilder::config`](crate::NotifierBuilder::config) a service configures its
    /// notifications as its Python counterpart does.
    ///
    /// ```
    /// # fn main() -> Result<(), leveret::Error> {
    /// use leveret::{Config, Notifier, TransportBuilder};
    ///
    /// let config = Config::new().ini_str(
    ///     "[oslo_messaging_notifications]\n\
    ///      transport_url = fake:///telemetry\n\
    ///      driver = messagingv2\n",
    /// )?;
    /// let transport = TransportBuilder::notifications_from_config(&config)?.connect_blocking()?;
    /// let options = config.notification_config()?;
    /// let notifier = Notifier::builder(&transport).config(&options)?.build();
    /// notifier.info_blocking((), "service.start", &())?;
    /// transport.close_blocking()
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Config::transport_url`].
    pub fn notifications_from_config(config: &Config) -> Result<Self, Error> {
        Self::to(config.notification_transport_url()?, config)
    }

    fn to(url: String, config: &Config) -> Result<Self, Error> {
        let url = Zeroizing::new(url);
        let transport = Transport::builder(&url).config(config.driver_config()?);
        Ok(transport.engine_config(config.engine_config()?))
    }

    /// Sets the options; the URL's query overrides them.
    pub fn config(mut self, config: DriverConfig) -> Self {
        self.config = config;
        self
    }

    /// Runs the transport on an engine that exists already; closing the transport leaves the engine
    /// running.
    pub fn engine(mut self, engine: &Engine) -> Self {
        self.engine = Some(engine.clone());
        self
    }

    /// Sets the configuration of the transport's own engine.
    pub fn engine_config(mut self, config: EngineConfig) -> Self {
        self.engine_config = config;
        self
    }

    /// Makes [`connect`](Self::connect) return at once, with or without a broker: connections are
    /// retried in the background, also where a broker refuses them. The URL's query overrides it
    /// (`connect=eager`).
    ///
    /// Calls, casts and notifications wait for a broker until their own deadline, then fail as not
    /// sent and name the reason. [`Transport::health`] says `Connecting` with the reason. Servers
    /// and listeners [start](crate::RpcServerBuilder::start) once a broker is there.
    ///
    /// ```
    /// use leveret::{ConnectionState, Transport};
    ///
    /// # fn main() -> Result<(), leveret::Error> {
    /// let transport = Transport::builder("rabbit://localhost:1/").lazy().connect_blocking()?;
    /// assert_eq!(transport.health().connections[0].state, ConnectionState::Connecting);
    /// # Ok(()) }
    /// ```
    pub fn lazy(mut self) -> Self {
        self.connect = Some(ConnectMode::Lazy);
        self
    }

    /// Sets how long the first connection tries all hosts before it gives up; it gives up earlier
    /// when every host has refused it. Default: each host is tried once. The URL's query overrides
    /// it (`connect_deadline`).
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn main() -> Result<(), leveret::Error> {
    /// let transport = leveret::Transport::builder("rabbit://h1,h2/")
    ///     .connect_deadline(Duration::from_secs(60))
    ///     .connect_blocking()?;
    /// # Ok(()) }
    /// ```
    pub fn connect_deadline(mut self, deadline: Duration) -> Self {
        self.connect_deadline = Some(deadline);
        self
    }

    /// Asks `provide` for user and password before each attempt to connect, instead of those in the
    /// URL: for passwords that are rotated and tokens that expire. `provide` gets the broker that
    /// is tried, as the URL names it.
    ///
    /// It is called on threads of the engine, perhaps for several connections at a time, and may
    /// block for 10 s. An error, a panic or a longer time fails the attempt, which is repeated
    /// later like one that the broker refuses; the error's text becomes part of the reason in
    /// [`Transport::health`] and in the log. Credentials [that expire](Credentials::with_expiry)
    /// are renewed before that without a reconnect.
    ///
    /// ```no_run
    /// use leveret::{Credentials, Secret, Transport};
    ///
    /// # fn main() -> Result<(), leveret::Error> {
    /// let transport = Transport::builder("rabbit://nova@h1,nova@h2/")
    ///     .credentials(|broker| {
    ///         let password = std::fs::read_to_string("/run/secrets/rabbitmq")?;
    ///         Ok::<_, std::io::Error>(Credentials::new(
    ///             broker.username(),
    ///             Secret::new(password.trim_end()),
    ///         ))
    ///     })
    ///     .connect_blocking()?;
    /// # Ok(()) }
    /// ```
    pub fn credentials<E: Into<BoxError>>(
        mut self,
        provide: impl Fn(&TransportHost) -> Result<Credentials, E> + Send + Sync + 'static,
    ) -> Self {
        self.credentials = Some(Arc::new(move |host| provide(host).map_err(Into::into)));
        self
    }

    /// Lets callers match exceptions of these Python modules by class, too
    /// ([`Error::is_remote_class`], [`Error::remote_as`]); Python's own modules are always allowed.
    /// Other exceptions arrive as data, in [`Error::remote`].
    ///
    /// ```no_run
    /// # fn main() -> Result<(), leveret::Error> {
    /// let transport = leveret::Transport::builder("rabbit://localhost/")
    ///     .allowed_remote_exmods(["nova.exception"])
    ///     .connect_blocking()?;
    /// # Ok(()) }
    /// ```
    pub fn allowed_remote_exmods<M: Into<String>>(
        mut self,
        modules: impl IntoIterator<Item = M>,
    ) -> Self {
        self.allowed_remote_exmods.extend(modules.into_iter().map(Into::into));
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// As [`Transport::connect`].
    pub async fn connect(self) -> Result<Transport, Error> {
        let url: TransportUrl = self.url.parse()?;
        let driver = DriverName::of(&url)?;
        let mut config = self.config;
        let connection = &mut config.connection;
        connection.connect = self.connect.unwrap_or(connection.connect);
        connection.connect_deadline = self.connect_deadline.unwrap_or(connection.connect_deadline);
        let config = config.overridden_by(&url)?;
        let owns_engine = self.engine.is_none();
        let engine = match self.engine {
            Some(engine) => engine,
            None => Engine::start(self.engine_config).map_err(errors::from_engine)?,
        };
        let (hosts, own_broker) = hosts(&url, driver)?;
        let mut connection = engine_connection::config(&url, driver, hosts, &config);
        connection.credentials = self.credentials.map(|provide| provider(&url, provide));
        let ids = IdSource::new().map_err(|error| {
            Error::new(ErrorKind::TransportDriverError, error.to_string()).with_cause(error)
        })?;
        let ids = Arc::new(ids);
        let wire = Arc::new(Wire::new(&config));
        let timer = Arc::new(Timer::new(&engine));
        let factory = config.connection_factory.unwrap_or_default();
        let connections = Connections::new(&engine, connection, factory);
        let pool = |purpose| PublisherPool::new(&connections, purpose, wire.compressor(), &timer);
        let pools = Arc::new(PublisherPools {
            requests: pool(Purpose::Publish).with_call_confirms(config.call_confirms),
            buffered_casts: (factory == ConnectionFactory::New).then(|| pool(Purpose::Cast)),
            notifications: pool(Purpose::Notify),
        });
        match config.connection.connect {
            ConnectMode::Eager => drop(pools.requests.get(0).await?),
            ConnectMode::Lazy => pools.requests.connect(0).await?,
        }
        let queue_names = QueueNames::new(config.stable_names.clone(), &ids, &timer);
        let pending = Arc::new(PendingCalls::new(Arc::clone(&ids), &engine));
        let reply_queue = ReplyQueue::new(&connections, &wire, &pending, queue_names.clone());
        let shared = Shared {
            reply_watchdog: ReplyWatchdog::new(&pending, &reply_queue, &timer),
            pending,
            reply_queue,
            queue_names,
            counters: Counters::default(),
            collector: MetricsCollectorClient::new(&config.metrics),
            engine,
            owns_engine,
            connections,
            next_publisher: AtomicUsize::new(0),
            config,
            wire,
            ids,
            timer,
            reply_sender: OpenOnce::default(),
            allowed_remote_exmods: self.allowed_remote_exmods,
            _broker: own_broker,
        };
        Ok(Transport { shared: Arc::new(shared), publishers: Publishers { pools, index: 0 } })
    }

    /// [`connect`](Self::connect) for a plain thread.
    ///
    /// # Errors
    /// As [`Transport::connect`].
    pub fn connect_blocking(self) -> Result<Transport, Error> {
        block_on(self.connect())
    }
}

/// The hosts of a URL, and the broker of this process that it may name.
fn hosts(url: &TransportUrl, driver: DriverName) -> Result<(Vec<Host>, OwnBroker), Error> {
    if !driver.is_loopback() {
        return Ok((engine_connection::hosts(url), OwnBroker::default()));
    }
    #[cfg(feature = "loopback")]
    {
        let broker = loopback::broker(url.virtual_host())?;
        Ok((vec![loopback::host(&broker)], Some(broker)))
    }
    #[cfg(not(feature = "loopback"))]
    Err(Error::new(
        ErrorKind::DriverLoadFailure,
        "Failed to load transport driver \"fake\": the feature `loopback` is off",
    ))
}

/// The provider that the engine asks for credentials: the engine knows a broker by name and port.
fn provider(url: &TransportUrl, provide: Arc<Provide>) -> CredentialsProvider {
    let hosts = url.hosts().to_vec();
    CredentialsProvider::new(move |name, port| {
        let is_it = |host: &&TransportHost| (host.hostname(), host.port()) == (name, port);
        match hosts.iter().find(is_it) {
            Some(host) => provide(host),
            None => provide(&TransportHost::at(name, port)),
        }
    })
}
