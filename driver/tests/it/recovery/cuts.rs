//! A lane: a client and two servers of one topic behind a way that breaks where it is told to, and
//! a ledger of what was executed by whom.
//!
//! Every request has a number. Invariant: a lane is judged when it has come to rest, that is when
//! everything is connected, the queues are empty, and each server has answered a later request than
//! any that could still be under way to it. Not here: where to cut, and what has to come of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret::engine::Engine;
use leveret::engine::loopback::{Loopback, LoopbackConfig};
use leveret::{
    Context, DriverConfig, Endpoint, Error, Failure, Outcome, Redelivered, Retry, RpcClient,
    RpcServer, SendingDialect, ServingDialect, Target, Transport,
};
use leveret_support::{Broker, Cut, CuttingProxy};
use serde_json::json;

use crate::support::fixture::eventually;

pub(crate) const SERVERS: [&str; 2] = ["s0", "s1"];

/// Longer than anything takes that is not lost.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Which dialects the two sides speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaking {
    Kombu,
    Pika,
    /// Servers of both, a client that finds out.
    Both,
    /// The same client and servers of the `rabbit` driver, while others speak `pika` on another
    /// topic: each request is first returned under one name.
    Fallback,
}

/// How a lane is set up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) speaking: Speaking,
    pub(crate) redelivered: Redelivered,
    pub(crate) retry: Retry,
}

/// How a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Call,
    Cast,
    Fanout,
    /// To the first server.
    Directed,
    /// Many at once, without waiting for any.
    Burst,
}

/// What the sender of a number knows.
#[derive(Debug)]
enum Fate {
    Answered,
    Confirmed,
    Buffered,
    Failed(Error),
}

/// Whoever executes a number signs here.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<HashMap<u64, Vec<&'static str>>>>);

enum At {
    Loopback(Loopback),
    Rabbit(String),
}

pub(crate) struct Lane {
    setting: Setting,
    at: At,
    pub(crate) proxy: CuttingProxy,
    pub(crate) client: RpcClient,
    pub(crate) sender: Transport,
    pub(crate) servers: Vec<RpcServer>,
    pub(crate) ledger: Ledger,
    sides: Vec<Transport>,
    /// On the way and at the broker, when all is well.
    connections: (usize, usize),
    fates: Vec<(u64, Kind, Fate)>,
}

#[derive(serde::Deserialize)]
struct Strike {
    number: u64,
}

impl Ledger {
    pub(crate) fn of(&self, number: u64) -> Vec<&'static str> {
        self.0.lock().unwrap().get(&number).cloned().unwrap_or_default()
    }

    fn endpoint(&self, server: &'static str) -> Endpoint {
        let ledger = self.clone();
        Endpoint::new().method("strike", move |_: Context, Strike { number }| {
            ledger.0.lock().unwrap().entry(number).or_default().push(server);
            Ok::<_, Failure>(number)
        })
    }
}

impl At {
    fn loopback() -> Self {
        Self::Loopback(Loopback::start(LoopbackConfig::default()).unwrap())
    }

    fn port(&self) -> u16 {
        match self {
            Self::Loopback(broker) => broker.addr().port(),
            Self::Rabbit(_) => Broker::shared().port(),
        }
    }

    fn vhost(&self) -> &str {
        match self {
            Self::Loopback(_) => "",
            Self::Rabbit(url) => url.rsplit('/').next().unwrap(),
        }
    }

    fn connections(&self) -> usize {
        match self {
            Self::Loopback(broker) => usize::try_from(broker.stats().connections).unwrap(),
            Self::Rabbit(url) => Broker::shared().connections_of(url),
        }
    }

    /// Whether the broker has no more to deliver.
    fn is_empty(&self) -> bool {
        match self {
            Self::Loopback(broker) => {
                let topic = ["t", "t.s0", "t.s1"].map(str::to_owned);
                let pika = ["no_ack", "with_ack"]
                    .iter()
                    .flat_map(|prefix| topic.iter().map(move |name| format!("{prefix}.{name}")));
                let mut queues = topic.iter().cloned().chain(pika);
                queues.all(|queue| broker.queue_len("/", &queue).is_none_or(|length| length == 0))
            }
            Self::Rabbit(url) => {
                Broker::shared().queues_of(url).iter().all(|queue| queue.messages == 0)
            }
        }
    }
}

impl Lane {
    pub(crate) fn on_loopback(engine: &Engine, setting: Setting) -> Self {
        Self::open(engine, setting, At::loopback())
    }

    pub(crate) fn on_rabbit(engine: &Engine, setting: Setting) -> Self {
        Self::open(engine, setting, At::Rabbit(Broker::shared().vhost("cuts")))
    }

    fn open(engine: &Engine, setting: Setting, at: At) -> Self {
        let (serving, sending) = match setting.speaking {
            Speaking::Kombu => (ServingDialect::Kombu, SendingDialect::Kombu),
            Speaking::Pika => (ServingDialect::Pika, SendingDialect::Pika),
            Speaking::Both => (ServingDialect::Both, SendingDialect::Auto),
            Speaking::Fallback => (ServingDialect::Kombu, SendingDialect::Auto),
        };
        // One thread: what a server took is executed in the order it came.
        let mut config = DriverConfig::default().with_executor_threads(1);
        (config.serving, config.sending) = (Some(serving), Some(sending));
        config.redelivered = setting.redelivered;
        // What breaks time and again is otherwise left alone for longer and longer.
        config.retry_interval = Duration::from_millis(1);
        config.retry_interval_max = Duration::from_millis(10);
        let connect = |port: u16, config: &DriverConfig| {
            let url = format!("rabbit://guest:guest@127.0.0.1:{port}/{}", at.vhost());
            Transport::builder(&url).config(config.clone()).engine(engine).connect_blocking()
        };
        let proxy = CuttingProxy::to(([127, 0, 0, 1], at.port()).into());
        let ledger = Ledger::default();
        let (mut servers, mut sides) = (Vec::new(), Vec::new());
        let mut serve = |port: u16, topic: &str, name: &'static str, config: &DriverConfig| {
            let transport = connect(port, config).unwrap();
            let target = Target::new(topic).with_server(name);
            let server = RpcServer::builder(&transport, target).endpoint(ledger.endpoint(name));
            servers.push(server.start_blocking().unwrap());
            sides.push(transport);
        };
        SERVERS.iter().for_each(|name| serve(proxy.port(), "t", name, &config));
        if setting.speaking == Speaking::Fallback {
            config.serving = Some(ServingDialect::Pika);
            serve(at.port(), "elsewhere", "bystander", &config);
        }
        let sender = connect(proxy.port(), &config).unwrap();
        let client = RpcClient::new(&sender, Target::new("t")).with_retry(setting.retry);
        let (connections, fates) = ((0, 0), Vec::new());
        let mut lane =
            Self { setting, at, proxy, client, sender, servers, ledger, sides, connections, fates };
        // What is opened when it is needed is needed now.
        SERVERS.iter().for_each(|name| lane.greet(name));
        let args = json!({"number": u64::MAX});
        lane.client.cast_blocking((), "strike", &args).unwrap();
        lane.client.cast_buffered_blocking((), "strike", &args).unwrap();
        let warmed_up = SERVERS.len() + 2;
        eventually(|| lane.ledger.of(u64::MAX).len() == warmed_up);
        lane.connections = (lane.proxy.open(), lane.at.connections());
        lane
    }

    /// Sends a number, or some, and breaks the way. Answers the first number, and whether the way
    /// did break.
    pub(crate) fn strike(&mut self, cut: Cut, kind: Kind) -> (u64, bool) {
        assert!(self.proxy.await_open(self.connections.0, MINUTE), "everything reconnects");
        self.proxy.arm(cut);
        let number = self.fates.len() as u64;
        // What is long leaves the engine in pieces.
        let padding = "x".repeat(if number % 5 == 4 { 20_000 } else { 0 });
        let args = |number: u64| json!({"number": number, "padding": padding});
        let client = self.client.prepare().with_timeout(Duration::from_millis(500));
        let cast = |client: &RpcClient| match client.cast_blocking((), "strike", &args(number)) {
            Ok(()) => Fate::Confirmed,
            Err(error) => Fate::Failed(error),
        };
        let fate = match kind {
            Kind::Call => match client.call_blocking::<u64>((), "strike", &args(number)) {
                Ok(answer) => {
                    assert_eq!(answer, number);
                    Fate::Answered
                }
                Err(error) => Fate::Failed(error),
            },
            Kind::Cast => cast(&client),
            Kind::Fanout => cast(&client.with_fanout(true)),
            Kind::Directed => cast(&client.with_server(SERVERS[0]).with_timeout(MINUTE)),
            Kind::Burst => {
                for number in number..number + 40 {
                    let sent = client.cast_buffered_blocking((), "strike", &args(number));
                    self.fates.push((
                        number,
                        kind,
                        sent.map_or_else(Fate::Failed, |()| Fate::Buffered),
                    ));
                }
                return (number, self.proxy.await_cut(Duration::from_secs(2)));
            }
        };
        self.fates.push((number, kind, fate));
        let happened = self.proxy.await_cut(Duration::from_secs(2));
        if !happened {
            let fate = &self.fates.last().unwrap().2;
            eprintln!("not cut at {cut:?}: {kind:?} {fate:?} by {:?}", self.ledger.of(number));
        }
        (number, happened)
    }

    /// Waits until nothing more can happen.
    pub(crate) fn rest(&self) {
        assert!(self.proxy.await_open(self.connections.0, MINUTE), "everything reconnects");
        // What was published before the first greeting is in its queue then, and delivered before
        // the second.
        for _ in 0..2 {
            eventually(|| self.at.connections() == self.connections.1 && self.at.is_empty());
            SERVERS.iter().for_each(|name| self.greet(name));
        }
    }

    /// A request that has to be answered.
    fn greet(&self, server: &'static str) {
        let client = self.client.prepare().with_server(server).with_timeout(MINUTE);
        let answer = client.call_blocking::<u64>((), "strike", &json!({"number": u64::MAX}));
        assert_eq!(answer.unwrap(), u64::MAX, "{server} answers again");
    }

    /// What senders were told is true, and nobody has executed anything twice. Answers how many
    /// numbers were executed.
    pub(crate) fn judge(&self) -> usize {
        let mut executed = 0;
        for (number, kind, fate) in &self.fates {
            let by = self.ledger.of(*number);
            let told = format!("{:?}, {number}: {kind:?} {fate:?}, by {by:?}", self.setting);
            let most = if *kind == Kind::Fanout { 2 } else { 1 };
            assert!(by.len() <= most && (by.len() < 2 || by[0] != by[1]), "executed twice: {told}");
            executed += usize::from(!by.is_empty());
            match fate {
                Fate::Answered => assert!(!by.is_empty(), "answered by nobody: {told}"),
                Fate::Confirmed | Fate::Buffered => {}
                Fate::Failed(error) => match error.outcome() {
                    Some(Outcome::MaybeSent) => {}
                    Some(Outcome::NotSent) => assert!(by.is_empty(), "sent after all: {told}"),
                    _ => panic!("neither lost nor kept: {told}"),
                },
            }
        }
        executed
    }

    /// Whether its sender was told that a number may have been sent.
    pub(crate) fn may_be_sent(&self, number: u64) -> bool {
        self.fates.iter().any(|(other, _, fate)| {
            let Fate::Failed(error) = fate else { return false };
            *other == number && error.outcome() == Some(Outcome::MaybeSent)
        })
    }

    /// Requests that were refused because they had been delivered before.
    pub(crate) fn refused(&self) -> u64 {
        self.sides.iter().map(|side| side.metrics().served.refused).sum()
    }

    pub(crate) fn close(self) {
        self.servers.iter().for_each(|server| server.wait_blocking().unwrap());
        self.sender.close_blocking().unwrap();
        self.sides.iter().for_each(|side| side.close_blocking().unwrap());
    }
}
