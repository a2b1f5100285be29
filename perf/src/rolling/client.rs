//! One client of the fleet, under load for as long as it runs.
//!
//! It sends at its rate, whether or not earlier requests have ended, and records each in the
//! ledger. Invariant: when it has stopped, all its requests have ended. Not here: when it starts
//! and stops (`fleet`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use leveret::{Notifier, RpcClient, Target, Transport};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use super::counts::Traffic;
use super::kinds::ClientKind;
use super::ledger::{RequestFailure, RequestKind};
use crate::rolling::environment::{EVENTS, Environment, TOPIC, oslo};
use crate::system::child_process::ChildProcess;
use crate::system::lock::lock;

/// The requests in their order; notifications only if asked for.
const REQUEST_MIX: [RequestKind; 10] = [
    RequestKind::Call,
    RequestKind::NamedCall,
    RequestKind::Cast,
    RequestKind::Call,
    RequestKind::Fanout,
    RequestKind::Notification,
    RequestKind::Call,
    RequestKind::NamedCall,
    RequestKind::Cast,
    RequestKind::Call,
];

/// Time after the timeout of a request until a Python client that does not report its end counts as
/// dead.
const PROCESS_GRACE: Duration = Duration::from_secs(5);

/// A running client.
pub(super) struct Member {
    sender: Arc<Sender>,
    has_worked: Arc<AtomicBool>,
    stop: oneshot::Sender<()>,
    load: JoinHandle<()>,
}

enum Sender {
    Own {
        transport: Transport,
        rpc: RpcClient,
        /// A client for each server, by the server's name.
        named: HashMap<String, RpcClient>,
        notes: Notifier,
    },
    Python {
        peer: ChildProcess,
        waiting: Arc<Waiting>,
        patience: Duration,
    },
}

/// The requests under way of a Python client, by their ids.
type Waiting = Mutex<HashMap<u64, oneshot::Sender<Result<(), RequestFailure>>>>;

impl Member {
    /// Starts a client, which sends at once.
    pub(super) async fn start(environment: &Arc<Environment>, kind: ClientKind) -> Result<Self> {
        let sender = match kind.config() {
            None => start_python(environment).await?,
            Some(config) => Sender::own(environment, environment.connect(config).await?),
        };
        let sender = Arc::new(sender);
        let has_worked = Arc::<AtomicBool>::default();
        let (stop, stopped) = oneshot::channel();
        let own = (kind, Arc::clone(&sender));
        let load = load(Arc::clone(environment), own, Arc::clone(&has_worked), stopped);
        Ok(Self { sender, has_worked, stop, load: tokio::spawn(load) })
    }

    /// Whether one of its calls was answered.
    pub(super) fn has_worked(&self) -> bool {
        self.has_worked.load(Ordering::Relaxed)
    }

    /// The counters of its transport.
    pub(super) fn traffic(&self) -> Traffic {
        match &*self.sender {
            Sender::Own { transport, .. } => Traffic::of(&transport.metrics()),
            Sender::Python { .. } => Traffic::default(),
        }
    }

    /// Stops the client after the end of its requests; returns the final counters of its transport.
    pub(super) async fn stop(self) -> Result<Traffic> {
        let Self { sender, stop, load, .. } = self;
        // This fails if the load has ended already.
        let _ = stop.send(());
        load.await.context("nothing panics under load")?;
        let sender = Arc::into_inner(sender).context("the load has ended")?;
        match sender {
            Sender::Own { transport, .. } => {
                let traffic = Traffic::of(&transport.metrics());
                transport.close().await.context("a client's transport does not close")?;
                Ok(traffic)
            }
            Sender::Python { peer, .. } => {
                peer.end().await?;
                Ok(Traffic::default())
            }
        }
    }
}

/// Sends until `stopped`, and waits for the end of all requests.
async fn load(
    environment: Arc<Environment>,
    (kind, sender): (ClientKind, Arc<Sender>),
    has_worked: Arc<AtomicBool>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut tick = tokio::time::interval(environment.pause);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut in_flight = JoinSet::new();
    let mix = REQUEST_MIX
        .into_iter()
        .filter(|what| environment.notify || *what != RequestKind::Notification);
    for what in mix.cycle() {
        tokio::select! {
            _ = &mut stopped => break,
            _ = tick.tick() => {}
        }
        let (environment, sender) = (Arc::clone(&environment), Arc::clone(&sender));
        let has_worked = Arc::clone(&has_worked);
        in_flight.spawn(async move {
            if send(&environment, (kind, &sender), what).await && what.is_call() {
                has_worked.store(true, Ordering::Relaxed);
            }
        });
        while in_flight.try_join_next().is_some() {}
    }
    while in_flight.join_next().await.is_some() {}
}

/// Sends one request; returns whether it succeeded.
async fn send(
    environment: &Environment,
    (kind, sender): (ClientKind, &Sender),
    what: RequestKind,
) -> bool {
    let called = match what {
        RequestKind::NamedCall => environment.names.call(),
        _ => None,
    };
    let what =
        if what == RequestKind::NamedCall && called.is_none() { RequestKind::Call } else { what };
    let id = environment.ledger.begin(what, kind);
    let result = sender.send(what, id, called.as_ref().map(|called| called.name())).await;
    let is_good = result.is_ok();
    environment.ledger.end(id, result);
    is_good
}

impl Sender {
    fn own(environment: &Environment, transport: Transport) -> Self {
        let mut rpc =
            RpcClient::new(&transport, Target::new(TOPIC)).with_timeout(environment.timeout);
        let mut notes = Notifier::builder(&transport).publisher_id("leveret").topic(EVENTS);
        if let Some(retry) = environment.retry() {
            rpc = rpc.with_retry(retry);
            notes = notes.retry(retry);
        }
        let named = environment.names.all();
        let named = named.map(|name| (name.to_owned(), rpc.prepare().with_server(name))).collect();
        Self::Own { transport, rpc, named, notes: notes.build() }
    }

    async fn send(
        &self,
        what: RequestKind,
        id: u64,
        server: Option<&str>,
    ) -> Result<(), RequestFailure> {
        match self {
            Self::Own { rpc, named, notes, .. } => {
                let args = json!({ "id": id });
                let rpc = server.and_then(|server| named.get(server)).unwrap_or(rpc);
                let sent = match what {
                    RequestKind::Call | RequestKind::NamedCall => {
                        match rpc.call::<u64>((), "do", &args).await {
                            Ok(answer) if answer != id => {
                                return Err(RequestFailure::new("another's answer"));
                            }
                            answered => answered.map(drop),
                        }
                    }
                    RequestKind::Cast => rpc.cast((), "do", &args).await,
                    RequestKind::Fanout => {
                        rpc.prepare().with_fanout(true).cast((), "do", &args).await
                    }
                    RequestKind::Notification => notes.info((), "event", &args).await,
                };
                sent.map_err(|error| RequestFailure::from(&error))
            }
            Self::Python { peer, waiting, patience } => {
                let (end, ended) = oneshot::channel();
                lock(waiting).insert(id, end);
                let request = json!({"id": id, "what": format!("{what:?}"), "server": server});
                peer.tell(&request).map_err(|error| RequestFailure::new(error.to_string()))?;
                let ended = tokio::time::timeout(*patience, ended).await;
                let ended =
                    ended.map_err(|_| RequestFailure::new("no word of the Python client"))?;
                ended.unwrap_or_else(|_| Err(RequestFailure::new("the Python client ended")))
            }
        }
    }
}

async fn start_python(environment: &Environment) -> Result<Sender> {
    let python = environment.python.as_deref().context("a Python client needs --python")?;
    let retry = if environment.at_most_once { json!(0) } else { Value::Null };
    let timeout = environment.timeout.as_secs_f64();
    let what = json!({"role": "client", "url": environment.url, "topic": TOPIC, "events": EVENTS,
        "timeout": timeout, "retry": retry});
    let waiting = Arc::<Waiting>::default();
    let reports = Arc::clone(&waiting);
    let on_line = move |line: &Value| {
        let Some(id) = line["id"].as_u64() else { return };
        let waiting = lock(&reports).remove(&id);
        let result = line["error"].as_str().map_or(Ok(()), |error| Err(RequestFailure::new(error)));
        if let Some(waiting) = waiting {
            // This fails after the sender has given up.
            let _ = waiting.send(result);
        }
    };
    let peer = ChildProcess::start(oslo(python), &what, on_line).await?;
    Ok(Sender::Python { peer, waiting, patience: environment.timeout + PROCESS_GRACE })
}
