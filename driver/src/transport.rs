//! A transport: what a URL stands for. Joins engine, dialect and options, and owns what clients and
//! servers share.
//!
//! One connection publishes, opened at once so that mistakes show early; one sends notifications,
//! opened by the first of them; one receives replies, opened by the first call; one sends replies,
//! opened by the first server; each server and listener listens on its own. Clones share all of
//! them. Not here: what is sent over them (`rpc`, `notify`).

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leveret_engine::{
    ConnectionConfig, Engine, EngineConfig, Host, Login, RefusalSink, Secret, block_on,
};
use tokio::sync::{Mutex, OnceCell};

use crate::broker::{self, Listening, Publishing, Road, Treatment};
use crate::config::{
    Config, DriverConfig, DriverName, Failover, LoginMethod, SendingDialect, ServingDialect,
};
use crate::dialect::kombu::{self, Topology};
use crate::dialect::pika;
use crate::error::{Error, ErrorKind};
use crate::ids::IdSource;
use crate::message::form::Form;
use crate::message::priority::Priority;
use crate::observe::collector::Collector;
use crate::observe::counters::Counters;
use crate::target::Target;
use crate::target::entity::{Exchange, Route, Subscription};
use crate::timer::Timer;
use crate::url::{TransportHost, TransportUrl};

pub(crate) mod answering;
pub(crate) mod incoming;
mod naming;
mod observing;
pub(crate) mod replies;

use answering::{Answering, Persistence};
use replies::{Monitoring, ReplyBook, ReplySink};

/// A way to the brokers of a URL. Cheap to clone; clones share connections.
///
/// ```no_run
/// # async fn example() -> Result<(), leveret::Error> {
/// use leveret::{DriverConfig, Transport};
///
/// let transport = Transport::connect("rabbit://me:secret@h1,me:secret@h2/nova").await?;
/// let tuned = Transport::builder("rabbit://localhost/")
///     .config(DriverConfig::default().with_control_exchange("nova"))
///     .connect()
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Transport {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    owns_engine: bool,
    connection: ConnectionConfig,
    config: DriverConfig,
    topology: Topology,
    pika: pika::Topology,
    ids: Arc<IdSource>,
    timer: Arc<Timer>,
    book: Arc<ReplyBook>,
    counters: Counters,
    /// Where calls and casts are reported, if the options say so.
    collector: Option<Collector>,
    publishing: Arc<Publishing>,
    /// Notifications leave on a connection of their own, so that a flood of them holds up no call.
    notifying: OnceCell<Arc<Publishing>>,
    replies: Mutex<Option<Replies>>,
    /// The same for the transport's life, as servers try for a while to reach it.
    reply_id: OnceCell<String>,
    /// The reply queue, for those who find it open; emptied when its consumer is lost for good.
    reply_queue: Arc<std::sync::RwLock<Option<Arc<str>>>>,
    answering: OnceCell<Arc<Answering>>,
    allowed_remote_exmods: Vec<String>,
    _broker: OwnBroker,
}

/// A broker of this process, kept while a transport needs it; last of all, so that it outlives
/// connections.
#[cfg(feature = "loopback")]
type OwnBroker = Option<Arc<leveret_engine::loopback::Loopback>>;
#[cfg(not(feature = "loopback"))]
type OwnBroker = ();

/// The consumer of replies.
struct Replies {
    listening: Listening,
    /// Exchanges that servers of the `pika` dialect reply through, bound to its queue.
    heard: HashSet<String>,
}

/// What a road of requests is to be like.
pub(crate) struct Asked<'a> {
    pub(crate) target: &'a Target,
    pub(crate) form: &'a Form,
    /// Of calls: their timeout, and where replies are to go.
    pub(crate) call: Option<(Duration, &'a str)>,
    /// Requests are never sent again.
    pub(crate) once: bool,
    pub(crate) treatment: Treatment,
    /// Refusals are told to the book in the way that fits calls that may be repeated.
    pub(crate) may_repeat: bool,
}

/// Describes a transport before it connects.
#[must_use = "a transport is made by `connect`"]
pub struct TransportBuilder {
    url: String,
    config: DriverConfig,
    engine: Option<Engine>,
    engine_config: EngineConfig,
    allowed_remote_exmods: Vec<String>,
}

/// Modules of Python's own exceptions, version 3 and 2; always allowed, as by oslo.
const BUILTIN_EXMODS: [&str; 2] = ["builtins", "exceptions"];

/// What a transport counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TransportStats {
    /// Calls under way.
    pub calls_outstanding: usize,
    /// Replies nobody waited for any more.
    pub replies_late: u64,
    /// Replies of this transport's servers that nobody will ever get.
    pub replies_dropped: u64,
    /// Buffered casts that the broker returned or refused.
    pub casts_refused: u64,
    /// Times the publishing connection was lost.
    pub reconnects: u64,
}

impl Transport {
    /// Connects to the first broker of `url` that answers, with default options and an engine of
    /// its own.
    ///
    /// # Errors
    /// `InvalidTransportUrl`, `DriverLoadFailure` and `Unsupported` for the URL; `InvalidOptions`
    /// for options that contradict each other;
    /// `TransportDriverError` when no broker is reached or it refuses us, saying why.
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

    /// A transport with options or an engine that is there already.
    pub fn builder(url: &str) -> TransportBuilder {
        TransportBuilder {
            url: url.to_owned(),
            config: DriverConfig::default(),
            engine: None,
            engine_config: EngineConfig::default(),
            allowed_remote_exmods: Vec::new(),
        }
    }

    /// Sends what is waiting and ends all connections. Clients and servers of this transport fail
    /// afterwards.
    ///
    /// # Errors
    /// `MessagingTimeout` when a broker does not take its leave, `TransportDriverError` when one
    /// was lost before everything sent was confirmed; the connections are gone all the same.
    pub async fn close(&self) -> Result<(), Error> {
        let shared = &self.shared;
        let published = shared.publishing.close().await;
        let notified = match shared.notifying.get() {
            Some(notifying) => notifying.close().await,
            None => Ok(()),
        };
        let answered = match shared.answering.get() {
            Some(answering) => answering.close().await,
            None => Ok(()),
        };
        let replied = match shared.replies.lock().await.take() {
            Some(replies) => replies.listening.close().await,
            None => Ok(()),
        };
        if shared.owns_engine {
            shared.engine.stop();
        }
        published.and(notified).and(answered).and(replied)
    }

    /// [`close`](Self::close) for a plain thread.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn close_blocking(&self) -> Result<(), Error> {
        block_on(self.close())
    }

    /// The options in force, those of the URL included.
    pub fn config(&self) -> &DriverConfig {
        &self.shared.config
    }

    /// The engine that runs the connections.
    pub fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// What it counts.
    pub fn stats(&self) -> TransportStats {
        let shared = &self.shared;
        TransportStats {
            calls_outstanding: shared.book.outstanding(),
            replies_late: shared.book.late(),
            replies_dropped: shared.answering.get().map_or(0, |answering| answering.dropped()),
            casts_refused: shared.publishing.unwatched_failures(),
            reconnects: shared.publishing.reconnects(),
        }
    }

    pub(crate) fn topology(&self) -> &Topology {
        &self.shared.topology
    }

    pub(crate) fn pika(&self) -> &pika::Topology {
        &self.shared.pika
    }

    /// The dialects its servers and listeners understand.
    pub(crate) fn serving(&self) -> ServingDialect {
        self.shared.config.serving.unwrap_or_default()
    }

    /// The dialect of its clients and notifiers.
    pub(crate) fn sending(&self) -> SendingDialect {
        self.shared.config.sending.unwrap_or_default()
    }

    /// What comes of the wish for signs of life: servers of the `pika` dialect give none.
    pub(crate) fn monitoring(&self, interval: Option<Duration>) -> Option<Monitoring> {
        let is_expected = self.sending() == SendingDialect::Kombu;
        let interval = interval.filter(|_| self.sending() != SendingDialect::Pika)?;
        Some(Monitoring { interval, is_expected })
    }

    pub(crate) fn ids(&self) -> &IdSource {
        &self.shared.ids
    }

    pub(crate) fn timer(&self) -> &Arc<Timer> {
        &self.shared.timer
    }

    pub(crate) fn book(&self) -> &Arc<ReplyBook> {
        &self.shared.book
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Where calls and casts are reported.
    pub(crate) fn collector(&self) -> Option<&Collector> {
        self.shared.collector.as_ref()
    }

    /// Whether exceptions of this module may be matched by their class.
    pub(crate) fn allows_remote(&self, module: &str) -> bool {
        BUILTIN_EXMODS.contains(&module)
            || self.shared.allowed_remote_exmods.iter().any(|allowed| allowed == module)
    }

    /// How to make one more connection, and what management tools shall call it.
    pub(crate) fn connection_config(&self, purpose: &str) -> ConnectionConfig {
        named(&self.shared.connection, purpose)
    }

    /// The road to a target under its name of the `rabbit` driver, its exchange declared.
    pub(crate) async fn kombu_road(&self, asked: &Asked<'_>) -> Result<Road, Error> {
        let route = self.shared.topology.request(asked.target)?;
        let properties = asked.form.request_properties(asked.call);
        let refusals = self.refusals(asked);
        self.shared.publishing.road(&route, &properties, asked.treatment, refusals).await
    }

    /// The road to a target under its `pika` name, its exchange declared unless it is there.
    pub(crate) async fn pika_road(&self, asked: &Asked<'_>) -> Result<Road, Error> {
        let (route, exchange) = self.pika_route(asked)?;
        self.shared.publishing.keep(&exchange).await?;
        self.kept_road(asked, &route, &exchange).await
    }

    /// The same for an exchange that only servers declare: it is asked for before each request
    /// whether it [is there](Self::finds).
    pub(crate) async fn pika_road_if_there(
        &self,
        asked: &Asked<'_>,
    ) -> Result<(Road, Exchange), Error> {
        let (route, exchange) = self.pika_route(asked)?;
        Ok((self.kept_road(asked, &route, &exchange).await?, exchange))
    }

    fn pika_route(&self, asked: &Asked<'_>) -> Result<(Route, Exchange), Error> {
        let route = self.shared.pika.request(asked.target, asked.once)?;
        let exchange = route.exchange.clone().expect("requests of this dialect have an exchange");
        Ok((route, exchange))
    }

    async fn kept_road(
        &self,
        asked: &Asked<'_>,
        route: &Route,
        exchange: &Exchange,
    ) -> Result<Road, Error> {
        let properties = asked.form.request_properties(asked.call);
        let names = (exchange.name.as_str(), route.routing_key.as_str());
        let treatment = Treatment { mandatory: !asked.target.is_fanout(), ..asked.treatment };
        let refusals = self.refusals(asked);
        self.shared.publishing.kept_road(names, &properties, treatment, refusals).await
    }

    fn refusals(&self, asked: &Asked<'_>) -> Option<Arc<dyn RefusalSink>> {
        asked.call.map(|_| self.shared.book.refusals(asked.may_repeat))
    }

    /// Whether the exchange of servers that speak `pika` is there, as far as that is known.
    pub(crate) fn has_found(&self, exchange: &Exchange) -> Option<bool> {
        self.shared.publishing.has_found(exchange)
    }

    /// Looks whether it is.
    pub(crate) async fn finds(&self, exchange: &Exchange) -> Result<bool, Error> {
        self.shared.publishing.finds(exchange).await
    }

    /// It turned out to be gone.
    pub(crate) fn lost(&self, exchange: &Exchange) {
        self.shared.publishing.lost(&exchange.name);
    }

    /// The road of a topic's notifications of one priority, its queue declared.
    pub(crate) async fn notification_road(
        &self,
        target: &Target,
        priority: Priority,
        treatment: Treatment,
        form: &Form,
    ) -> Result<Road, Error> {
        let stored = match form {
            Form::Pika(_) => self.shared.pika.notifications(target, priority)?,
            Form::Kombu | Form::Polyglot => self.shared.topology.notifications(target, priority)?,
        };
        let open = || async {
            let config = self.connection_config("notify");
            // The `pika` driver knows no compression, and both read what is of both.
            let is_packed = matches!(form, Form::Kombu);
            let packing = self.shared.config.compression.filter(|_| is_packed).map(kombu::packing);
            Publishing::open(&self.shared.engine, config, packing, self.timer()).await
        };
        let publishing = self.shared.notifying.get_or_try_init(open).await?;
        let persistent = self.shared.config.pika.notification_persistence;
        let properties = form.notification_properties(persistent);
        publishing.stored_road(stored, &properties, treatment).await
    }

    /// The queue replies come back through, consumed from before `deadline`.
    pub(crate) async fn reply_queue(&self, deadline: Instant) -> Result<Arc<str>, Error> {
        if let Some(name) = self.known_reply_queue() {
            return Ok(name);
        }
        broker::opened(self.timer(), deadline, || self.open_reply_queue()).await
    }

    fn known_reply_queue(&self) -> Option<Arc<str>> {
        self.shared.reply_queue.read().map(|name| name.clone()).unwrap_or_default()
    }

    async fn open_reply_queue(&self) -> Result<Arc<str>, Error> {
        let shared = &self.shared;
        let mut replies = shared.replies.lock().await;
        if let Some(name) = self.known_reply_queue() {
            return Ok(name);
        }
        let id = shared.reply_id.get_or_try_init(|| self.queue_id()).await?;
        let subscriptions = self.reply_subscriptions(id);
        let reads_pika = self.sending() != SendingDialect::Kombu;
        let sink = || -> Box<dyn leveret_engine::DeliverySink> {
            let name = Arc::clone(&shared.reply_queue);
            Box::new(ReplySink::new(&shared.book, reads_pika, move |error| {
                if let Some(error) = error {
                    tracing::error!(
                        name: "leveret.replies.consumer_lost",
                        %error, "no reply can be received; the next call tries again"
                    );
                }
                if let Ok(mut name) = name.write() {
                    *name = None;
                }
            }))
        };
        let config = self.connection_config("replies");
        let listening = Listening::open(&shared.engine, config, 0, &subscriptions, sink).await?;
        let bindings = subscriptions.iter().filter_map(|one| one.binding.as_ref());
        let heard = bindings.map(|(exchange, _)| exchange.name.clone()).collect();
        *replies = Some(Replies { listening, heard });
        let name: Arc<str> = subscriptions[0].queue.name.as_str().into();
        if let Ok(mut known) = shared.reply_queue.write() {
            *known = Some(Arc::clone(&name));
        }
        Ok(name)
    }

    /// The queue of replies with its bindings. One queue hears servers of both dialects: those of
    /// `rabbit` through the default exchange, those of `pika` through theirs.
    fn reply_subscriptions(&self, id: &str) -> Vec<Subscription> {
        let shared = &self.shared;
        match self.sending() {
            SendingDialect::Kombu => vec![shared.topology.replies(id)],
            SendingDialect::Pika => vec![shared.pika.replies(&program(), id)],
            SendingDialect::Auto => {
                let plain = shared.topology.replies(id);
                let (queue, key) = (plain.queue.clone(), plain.queue.name.clone());
                let binding = Some((shared.pika.reply_exchange(), key));
                vec![plain, Subscription { queue, binding }]
            }
        }
    }

    /// Makes sure that replies of the servers of `target` are heard, which reply through the
    /// exchange of their own configuration.
    pub(crate) async fn hear_servers_of(&self, target: &Target) -> Result<(), Error> {
        if self.sending() == SendingDialect::Kombu || target.exchange().is_none() {
            return Ok(());
        }
        let Some(queue) = self.known_reply_queue() else { return Ok(()) };
        let mut replies = self.shared.replies.lock().await;
        let Some(Replies { listening, heard }) = &mut *replies else { return Ok(()) };
        for exchange in self.shared.pika.reply_exchanges(target) {
            if !heard.contains(&exchange.name) {
                listening.bind(&queue, &exchange).await?;
                heard.insert(exchange.name);
            }
        }
        Ok(())
    }

    /// The sender of replies, shared by the servers of this transport.
    pub(crate) async fn answering(&self) -> Result<Arc<Answering>, Error> {
        let shared = &self.shared;
        let open = || async {
            let config = self.connection_config("answers");
            let packing = shared.config.compression.map(kombu::packing);
            let publishing =
                Publishing::open(&shared.engine, config, packing, &shared.timer).await?;
            Ok::<_, Error>(Answering::new(
                publishing,
                Arc::clone(&shared.ids),
                Arc::clone(&shared.timer),
                Persistence {
                    mandatory: shared.config.entities.direct_mandatory,
                    missing_timeout: shared.config.missing_queue_timeout,
                    pika_retry: shared.config.pika.reply_retry,
                    pika_delay: shared.config.pika.reply_retry_delay,
                },
                shared.pika.reply_exchange(),
            ))
        };
        shared.answering.get_or_try_init(open).await.cloned()
    }
}

impl TransportBuilder {
    /// The transport a configuration describes: its `transport_url`, options and engine. Its
    /// [warnings](Config::warnings) are logged.
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

    /// The transport for notifications that a configuration describes, oslo's
    /// `get_notification_transport`: to the broker of `[oslo_messaging_notifications]
    /// transport_url` if there is one, else to that of the RPCs. With
    /// [`NotifierBuilder::config`](crate::NotifierBuilder::config) a service's notifications are
    /// set up as its Python counterpart's.
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
        let transport = Transport::builder(&url).config(config.driver_config()?);
        Ok(transport.engine_config(config.engine_config()?))
    }

    /// The same transport with these options; the URL's query overrides them.
    pub fn config(mut self, config: DriverConfig) -> Self {
        self.config = config;
        self
    }

    /// The same transport on an engine that is there already; closing the transport leaves it
    /// running.
    pub fn engine(mut self, engine: &Engine) -> Self {
        self.engine = Some(engine.clone());
        self
    }

    /// The same transport on an engine of its own with these settings.
    pub fn engine_config(mut self, config: EngineConfig) -> Self {
        self.engine_config = config;
        self
    }

    /// The same transport, callers also matching exceptions of these Python modules by class
    /// ([`Error::is_remote_class`], [`Error::remote_as`]); Python's own always are allowed. Others
    /// arrive as data all the same, in [`Error::remote`].
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
        let config = self.config.overridden_by(&url)?;
        let owns_engine = self.engine.is_none();
        let engine = match self.engine {
            Some(engine) => engine,
            None => Engine::start(self.engine_config).map_err(broker::failed)?,
        };
        let (hosts, own_broker) = brokers(&url, driver)?;
        let connection = connection_config(&url, hosts, &config);
        let ids = IdSource::new().map_err(|error| {
            Error::new(ErrorKind::TransportDriverError, error.to_string()).with_cause(error)
        })?;
        let ids = Arc::new(ids);
        let packing = config.compression.map(kombu::packing);
        let timer = Arc::default();
        let publishing = named(&connection, "publish");
        let publishing = Publishing::open(&engine, publishing, packing, &timer).await?;
        let shared = Shared {
            topology: Topology::new(config.control_exchange.clone(), config.entities.clone()),
            pika: pika::Topology::new(config.control_exchange.clone(), config.pika.clone()),
            book: Arc::new(ReplyBook::new(Arc::clone(&ids), &engine)),
            counters: Counters::default(),
            collector: Collector::new(&config.metrics),
            engine,
            owns_engine,
            connection,
            config,
            ids: Arc::clone(&ids),
            timer,
            publishing,
            notifying: OnceCell::new(),
            replies: Mutex::default(),
            reply_id: OnceCell::new(),
            reply_queue: Arc::default(),
            answering: OnceCell::new(),
            allowed_remote_exmods: self.allowed_remote_exmods,
            _broker: own_broker,
        };
        Ok(Transport { shared: Arc::new(shared) })
    }

    /// [`connect`](Self::connect) for a plain thread.
    ///
    /// # Errors
    /// As [`Transport::connect`].
    pub fn connect_blocking(self) -> Result<Transport, Error> {
        block_on(self.connect())
    }
}

/// The brokers a URL leads to.
fn brokers(url: &TransportUrl, driver: DriverName) -> Result<(Vec<Host>, OwnBroker), Error> {
    match driver {
        DriverName::Kombu => Ok((hosts(url), OwnBroker::default())),
        #[cfg(feature = "loopback")]
        DriverName::Loopback => {
            let broker = broker::loopback::broker(url.virtual_host())?;
            Ok((vec![broker::loopback::host(&broker)], Some(broker)))
        }
        #[cfg(not(feature = "loopback"))]
        DriverName::Loopback => Err(Error::new(
            ErrorKind::DriverLoadFailure,
            "Failed to load transport driver \"fake\": the feature `loopback` is off",
        )),
    }
}

/// What the engine is to know of URL and options.
fn connection_config(
    url: &TransportUrl,
    hosts: Vec<Host>,
    options: &DriverConfig,
) -> ConnectionConfig {
    let mut config = ConnectionConfig::new(hosts);
    config.vhost = url.virtual_host().to_owned();
    config.login = match options.login_method {
        LoginMethod::Plain => Login::Plain,
        LoginMethod::AmqPlain => Login::AmqPlain,
        LoginMethod::External => Login::External,
    };
    config.heartbeat = options.heartbeat;
    config.recovery.backoff = options.retry_interval;
    config.recovery.backoff_step = options.retry_backoff;
    config.recovery.backoff_max = options.retry_interval_max;
    options.connection.apply_to(&mut config);
    config.recovery.delay = options.reconnect_delay;
    config.recovery.splay = options.reconnect_splay;
    config.recovery.shuffle = options.failover == Failover::Shuffle;
    config
}

fn hosts(url: &TransportUrl) -> Vec<Host> {
    let host = |host: &TransportHost| {
        Host::new(host.hostname(), host.port())
            .with_login(host.username(), Secret::new(host.password()))
    };
    match url.hosts() {
        [] => vec![Host::new("localhost", crate::url::AMQP_PORT)],
        hosts => hosts.iter().map(host).collect(),
    }
}

/// `program:pid:purpose`, as management tools show it.
fn named(config: &ConnectionConfig, purpose: &str) -> ConnectionConfig {
    let mut config = config.clone();
    config.connection_name = format!("{}:{}:{purpose}", program(), std::process::id());
    config
}

/// What this program is called.
fn program() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let program = std::path::Path::new(&program).file_name().unwrap_or_default();
    program.to_string_lossy().into_owned()
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
