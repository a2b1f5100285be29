//! One client of the fleet, under load for as long as it runs.
//!
//! It sends at its rate whether or not earlier requests have ended, and notes each in the ledger.
//! Invariant: when it has stopped, all it sent has ended. Not here: when it starts and stops
//! (`fleet`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use leveret::{Notifier, RpcClient, Target, Transport};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use super::counts::Traffic;
use super::kinds::ClientKind;
use super::ledger::{Fault, What};
use crate::rolling::environment::{EVENTS, TOPIC, World, oslo};
use crate::system::child_process::PeerProcess;

/// What is sent in turn; notifications where they are wanted.
const MIX: [What; 10] = [
    What::Call,
    What::NamedCall,
    What::Cast,
    What::Call,
    What::Fanout,
    What::Notification,
    What::Call,
    What::NamedCall,
    What::Cast,
    What::Call,
];

/// A process that is gone answers nothing: what was asked of it fails this long after its timeout.
const PROCESS_GRACE: Duration = Duration::from_secs(5);

/// A client that sends.
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
        /// By the name of the server.
        named: HashMap<String, RpcClient>,
        notes: Notifier,
    },
    Python {
        peer: PeerProcess,
        waiting: Arc<Waiting>,
        patience: Duration,
    },
}

/// Who waits for the end of which request.
type Waiting = Mutex<HashMap<u64, oneshot::Sender<Result<(), Fault>>>>;

impl Member {
    /// Starts a client, which begins to send.
    pub(super) async fn start(world: &Arc<World>, kind: ClientKind) -> Result<Self> {
        let sender = match kind.config() {
            None => start_python(world).await?,
            Some(config) => Sender::own(world, world.connect(config).await?),
        };
        let sender = Arc::new(sender);
        let has_worked = Arc::<AtomicBool>::default();
        let (stop, stopped) = oneshot::channel();
        let own = (kind, Arc::clone(&sender));
        let load = load(Arc::clone(world), own, Arc::clone(&has_worked), stopped);
        Ok(Self { sender, has_worked, stop, load: tokio::spawn(load) })
    }

    /// Whether a call of it was answered.
    pub(super) fn has_worked(&self) -> bool {
        self.has_worked.load(Ordering::Relaxed)
    }

    /// What it has counted so far.
    pub(super) fn traffic(&self) -> Traffic {
        match &*self.sender {
            Sender::Own { transport, .. } => Traffic::of(&transport.metrics()),
            Sender::Python { .. } => Traffic::default(),
        }
    }

    /// Stops it when what it has sent has ended; what it has counted in the end.
    pub(super) async fn stop(self) -> Result<Traffic> {
        let Self { sender, stop, load, .. } = self;
        // It fails if the load has ended, and that is what is wanted.
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

/// Sends until told to stop, and waits for what was sent.
async fn load(
    world: Arc<World>,
    (kind, sender): (ClientKind, Arc<Sender>),
    has_worked: Arc<AtomicBool>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut tick = tokio::time::interval(world.pause);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut under_way = JoinSet::new();
    let mix = MIX.into_iter().filter(|what| world.notify || *what != What::Notification);
    for what in mix.cycle() {
        tokio::select! {
            _ = &mut stopped => break,
            _ = tick.tick() => {}
        }
        let (world, sender) = (Arc::clone(&world), Arc::clone(&sender));
        let has_worked = Arc::clone(&has_worked);
        under_way.spawn(async move {
            if send(&world, (kind, &sender), what).await && what.is_call() {
                has_worked.store(true, Ordering::Relaxed);
            }
        });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

/// Sends one request; whether that went well.
async fn send(world: &World, (kind, sender): (ClientKind, &Sender), what: What) -> bool {
    let called = match what {
        What::NamedCall => world.names.call(),
        _ => None,
    };
    let what = if what == What::NamedCall && called.is_none() { What::Call } else { what };
    let id = world.ledger.begin(what, kind);
    let result = sender.send(what, id, called.as_ref().map(|called| called.name())).await;
    let is_good = result.is_ok();
    world.ledger.end(id, result);
    is_good
}

impl Sender {
    fn own(world: &World, transport: Transport) -> Self {
        let mut rpc = RpcClient::new(&transport, Target::new(TOPIC)).with_timeout(world.timeout);
        let mut notes = Notifier::builder(&transport).publisher_id("leveret").topic(EVENTS);
        if let Some(retry) = world.retry() {
            rpc = rpc.with_retry(retry);
            notes = notes.retry(retry);
        }
        let named = world.names.all();
        let named = named.map(|name| (name.to_owned(), rpc.prepare().with_server(name))).collect();
        Self::Own { transport, rpc, named, notes: notes.build() }
    }

    async fn send(&self, what: What, id: u64, server: Option<&str>) -> Result<(), Fault> {
        match self {
            Self::Own { rpc, named, notes, .. } => {
                let args = json!({ "id": id });
                let rpc = server.and_then(|server| named.get(server)).unwrap_or(rpc);
                let sent = match what {
                    What::Call | What::NamedCall => match rpc.call::<u64>((), "do", &args).await {
                        Ok(answer) if answer != id => return Err(Fault::named("another's answer")),
                        answered => answered.map(drop),
                    },
                    What::Cast => rpc.cast((), "do", &args).await,
                    What::Fanout => rpc.prepare().with_fanout(true).cast((), "do", &args).await,
                    What::Notification => notes.info((), "event", &args).await,
                };
                sent.map_err(|error| Fault::from(&error))
            }
            Self::Python { peer, waiting, patience } => {
                let (end, ended) = oneshot::channel();
                waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, end);
                let request = json!({"id": id, "what": format!("{what:?}"), "server": server});
                peer.tell(&request).map_err(|error| Fault::named(error.to_string()))?;
                let ended = tokio::time::timeout(*patience, ended).await;
                let ended = ended.map_err(|_| Fault::named("no word of the Python client"))?;
                ended.unwrap_or_else(|_| Err(Fault::named("the Python client ended")))
            }
        }
    }
}

async fn start_python(world: &World) -> Result<Sender> {
    let python = world.python.as_deref().context("a Python client needs --python")?;
    let retry = if world.at_most_once { json!(0) } else { Value::Null };
    let timeout = world.timeout.as_secs_f64();
    let what = json!({"role": "client", "url": world.url, "topic": TOPIC, "events": EVENTS,
        "timeout": timeout, "retry": retry});
    let waiting = Arc::<Waiting>::default();
    let hearing = Arc::clone(&waiting);
    let hear = move |said: &Value| {
        let Some(id) = said["id"].as_u64() else { return };
        let waiting = hearing.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        let result = said["error"].as_str().map_or(Ok(()), |error| Err(Fault::named(error)));
        if let Some(waiting) = waiting {
            // Who waits no longer has noted it as lost.
            let _ = waiting.send(result);
        }
    };
    let peer = PeerProcess::start(oslo(python), &what, hear).await?;
    Ok(Sender::Python { peer, waiting, patience: world.timeout + PROCESS_GRACE })
}
