//! A cut setup: a client and two servers of one topic behind a proxy that cuts connections, and a
//! record of which server executed each request.
//!
//! Every request has a number. Invariant: `verify` runs on an idle setup, that is when everything
//! is connected, the queues are empty, and each server has answered a request later than any that
//! could still be in flight to it. Not here: the cut points and the expected results.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret::engine::Engine;
use leveret::engine::loopback::{Loopback, LoopbackConfig};
use leveret::{
    Context, DriverConfig, Endpoint, Error, Failure, Outcome, Redelivered, Retry, RpcClient,
    RpcServer, SendingDialect, ServingDialect, Target, Transport,
};
use leveret_support::{Broker, CutPoint, CuttingProxy};
use serde_json::json;

use crate::support::fixture::{eventually, with_options_of_run};

pub(crate) const SERVERS: [&str; 2] = ["s0", "s1"];

/// Longer than any message takes that is not lost.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// The dialects of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialects {
    Kombu,
    Pika,
    /// Servers of both dialects, and a client that detects the dialect.
    Both,
    /// The same client and servers of the `rabbit` dialect, while another topic has a `pika`
    /// server: the broker first returns each request from one name.
    Fallback,
}

/// The options of a setup.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) dialects: Dialects,
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
    /// Many buffered casts at once.
    Burst,
}

/// The result the sender of a request got.
#[derive(Debug)]
enum SendResult {
    Answered,
    Confirmed,
    Buffered,
    Failed(Error),
}

/// The servers that executed each number.
#[derive(Clone, Default)]
pub(crate) struct Executions(Arc<Mutex<HashMap<u64, Vec<&'static str>>>>);

enum TestBroker {
    Loopback(Loopback),
    Rabbit(String),
}

pub(crate) struct CutSetup {
    settings: Settings,
    broker: TestBroker,
    pub(crate) proxy: CuttingProxy,
    pub(crate) client: RpcClient,
    pub(crate) sender: Transport,
    pub(crate) servers: Vec<RpcServer>,
    pub(crate) executions: Executions,
    sides: Vec<Transport>,
    /// Connections at the proxy and at the broker when everything is connected.
    connections: (usize, usize),
    results: Vec<(u64, Kind, SendResult)>,
}

#[derive(serde::Deserialize)]
struct StrikeArgs {
    number: u64,
}

impl Executions {
    pub(crate) fn of(&self, number: u64) -> Vec<&'static str> {
        self.0.lock().unwrap().get(&number).cloned().unwrap_or_default()
    }

    fn endpoint(&self, server: &'static str) -> Endpoint {
        let executions = self.clone();
        Endpoint::new().method("strike", move |_: Context, StrikeArgs { number }| {
            executions.0.lock().unwrap().entry(number).or_default().push(server);
            Ok::<_, Failure>(number)
        })
    }
}

impl TestBroker {
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

    /// Returns whether the broker has nothing more to deliver.
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

impl CutSetup {
    pub(crate) fn on_loopback(engine: &Engine, settings: Settings) -> Self {
        Self::open(engine, settings, TestBroker::loopback())
    }

    pub(crate) fn on_rabbit(engine: &Engine, settings: Settings) -> Self {
        Self::open(engine, settings, TestBroker::Rabbit(Broker::shared().vhost("cuts")))
    }

    fn open(engine: &Engine, settings: Settings, broker: TestBroker) -> Self {
        let (serving, sending) = match settings.dialects {
            Dialects::Kombu => (ServingDialect::Kombu, SendingDialect::Kombu),
            Dialects::Pika => (ServingDialect::Pika, SendingDialect::Pika),
            Dialects::Both => (ServingDialect::Both, SendingDialect::Auto),
            Dialects::Fallback => (ServingDialect::Kombu, SendingDialect::Auto),
        };
        // One thread, so that a server executes requests in the order of their arrival.
        let config = DriverConfig::default().with_executor_threads(1);
        let mut config = with_options_of_run(config);
        (config.serving, config.sending) = (Some(serving), Some(sending));
        config.redelivered = settings.redelivered;
        // Without this, the interval grows with each loss.
        config.retry_interval = Duration::from_millis(1);
        config.retry_interval_max = Duration::from_millis(10);
        let connect = |port: u16, config: &DriverConfig| {
            let url = format!("rabbit://guest:guest@127.0.0.1:{port}/{}", broker.vhost());
            Transport::builder(&url).config(config.clone()).engine(engine).connect_blocking()
        };
        let proxy = CuttingProxy::to(([127, 0, 0, 1], broker.port()).into());
        let executions = Executions::default();
        let (mut servers, mut sides) = (Vec::new(), Vec::new());
        let mut serve = |port: u16, topic: &str, name: &'static str, config: &DriverConfig| {
            let transport = connect(port, config).unwrap();
            let target = Target::new(topic).with_server(name);
            let server = RpcServer::builder(&transport, target).endpoint(executions.endpoint(name));
            servers.push(server.start_blocking().unwrap());
            sides.push(transport);
        };
        SERVERS.iter().for_each(|name| serve(proxy.port(), "t", name, &config));
        if settings.dialects == Dialects::Fallback {
            config.serving = Some(ServingDialect::Pika);
            serve(broker.port(), "elsewhere", "bystander", &config);
        }
        let sender = connect(proxy.port(), &config).unwrap();
        let client = RpcClient::new(&sender, Target::new("t")).with_retry(settings.retry);
        let (connections, results) = ((0, 0), Vec::new());
        let mut setup = Self {
            settings,
            broker,
            proxy,
            client,
            sender,
            servers,
            executions,
            sides,
            connections,
            results,
        };
        // Opens everything that opens at its first use.
        SERVERS.iter().for_each(|name| setup.await_answer(name));
        let args = json!({"number": u64::MAX});
        setup.client.cast_blocking((), "strike", &args).unwrap();
        setup.client.cast_buffered_blocking((), "strike", &args).unwrap();
        let warmed_up = SERVERS.len() + 2;
        eventually(|| setup.executions.of(u64::MAX).len() == warmed_up);
        setup.connections = (setup.proxy.open(), setup.broker.connections());
        setup
    }

    /// Arms a cut and sends one number, or a burst. Returns the first number, and whether the cut
    /// happened.
    pub(crate) fn send_and_cut(&mut self, cut: CutPoint, kind: Kind) -> (u64, bool) {
        assert!(self.proxy.await_open(self.connections.0, MINUTE), "everything reconnects");
        self.proxy.arm(cut);
        let number = self.results.len() as u64;
        // The engine sends a long body in several writes.
        let padding = "x".repeat(if number % 5 == 4 { 20_000 } else { 0 });
        let args = |number: u64| json!({"number": number, "padding": padding});
        let client = self.client.prepare().with_timeout(Duration::from_millis(500));
        let cast = |client: &RpcClient| match client.cast_blocking((), "strike", &args(number)) {
            Ok(()) => SendResult::Confirmed,
            Err(error) => SendResult::Failed(error),
        };
        let result = match kind {
            Kind::Call => match client.call_blocking::<u64>((), "strike", &args(number)) {
                Ok(answer) => {
                    assert_eq!(answer, number);
                    SendResult::Answered
                }
                Err(error) => SendResult::Failed(error),
            },
            Kind::Cast => cast(&client),
            Kind::Fanout => cast(&client.with_fanout(true)),
            Kind::Directed => cast(&client.with_server(SERVERS[0]).with_timeout(MINUTE)),
            Kind::Burst => {
                for number in number..number + 40 {
                    let sent = client.cast_buffered_blocking((), "strike", &args(number));
                    self.results.push((
                        number,
                        kind,
                        sent.map_or_else(SendResult::Failed, |()| SendResult::Buffered),
                    ));
                }
                return (number, self.proxy.await_cut(Duration::from_secs(2)));
            }
        };
        self.results.push((number, kind, result));
        let happened = self.proxy.await_cut(Duration::from_secs(2));
        if !happened {
            let result = &self.results.last().unwrap().2;
            eprintln!("no cut at {cut:?}: {kind:?} {result:?} by {:?}", self.executions.of(number));
        }
        (number, happened)
    }

    /// Waits until no message is in flight.
    pub(crate) fn await_idle(&self) {
        assert!(self.proxy.await_open(self.connections.0, MINUTE), "everything reconnects");
        // Messages published before the first round of calls are in their queue then, and delivered
        // before the second.
        for _ in 0..2 {
            eventually(|| {
                self.broker.connections() == self.connections.1 && self.broker.is_empty()
            });
            SERVERS.iter().for_each(|name| self.await_answer(name));
        }
    }

    /// Sends a request that a server must answer.
    fn await_answer(&self, server: &'static str) {
        let client = self.client.prepare().with_server(server).with_timeout(MINUTE);
        let answer = client.call_blocking::<u64>((), "strike", &json!({"number": u64::MAX}));
        assert_eq!(answer.unwrap(), u64::MAX, "{server} answers again");
    }

    /// Checks that the senders' results are true, and that no server executed a number twice.
    /// Returns how many numbers were executed.
    pub(crate) fn verify(&self) -> usize {
        let mut executed = 0;
        for (number, kind, result) in &self.results {
            let by = self.executions.of(*number);
            let context = format!("{:?}, {number}: {kind:?} {result:?}, by {by:?}", self.settings);
            let most = if *kind == Kind::Fanout { 2 } else { 1 };
            assert!(
                by.len() <= most && (by.len() < 2 || by[0] != by[1]),
                "executed twice: {context}"
            );
            executed += usize::from(!by.is_empty());
            match result {
                SendResult::Answered => {
                    assert!(!by.is_empty(), "answered but not executed: {context}")
                }
                SendResult::Confirmed | SendResult::Buffered => {}
                SendResult::Failed(error) => match error.outcome() {
                    Some(Outcome::MaybeSent) => {}
                    Some(Outcome::NotSent) => {
                        assert!(by.is_empty(), "executed although not sent: {context}")
                    }
                    _ => panic!("unexpected outcome: {context}"),
                },
            }
        }
        executed
    }

    /// Returns whether the sender's error says that the number may have been sent.
    pub(crate) fn may_be_sent(&self, number: u64) -> bool {
        self.results.iter().any(|(other, _, result)| {
            let SendResult::Failed(error) = result else { return false };
            *other == number && error.outcome() == Some(Outcome::MaybeSent)
        })
    }

    /// Returns how many requests the servers refused as redelivered.
    pub(crate) fn refused(&self) -> u64 {
        self.sides.iter().map(|side| side.metrics().served.refused).sum()
    }

    pub(crate) fn close(self) {
        self.servers.iter().for_each(|server| server.wait_blocking().unwrap());
        self.sender.close_blocking().unwrap();
        self.sides.iter().for_each(|side| side.close_blocking().unwrap());
    }
}
