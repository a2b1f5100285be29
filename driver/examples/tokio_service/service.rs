//! The service: takes connections, has their sums made by whoever serves the topic `sums`, and is
//! one of those who do.
//!
//! Connections and endpoints are tasks of the service's own runtime, on any of its threads. What
//! speaks to the broker are shards, each pinned to a core; the tasks only wait for them. Invariant:
//! no more than [`PEERS_MAX`] connections at once; `stop` leaves no task and no shard behind.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leveret::{Context, Endpoint, Executor, Failure, RpcClient, RpcServer, Target, Transport};
use leveret_engine::{Cores, Engine, EngineConfig};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::lines::answer_lines;

/// Connections at once; further ones wait in the listener's queue.
const PEERS_MAX: usize = 1024;
/// How long a stopping service waits for its peers to leave.
const FAREWELL: Duration = Duration::from_secs(5);
/// Pause after a connection that the system did not give, for want of descriptors.
const PAUSE: Duration = Duration::from_millis(50);

type Failed = Box<dyn Error + Send + Sync>;

pub(crate) struct Service {
    engine: Engine,
    transport: Transport,
    server: RpcServer,
    address: SocketAddr,
    close: oneshot::Sender<()>,
    accepting: JoinHandle<()>,
    added: Arc<AtomicU64>,
}

#[derive(Deserialize)]
struct Sum {
    numbers: Vec<i64>,
}

impl Service {
    /// Connects to the broker at `url` on a shard for each of `cores`, serves the topic under the
    /// server's `name`, and listens on an address.
    pub(crate) async fn start(
        url: &str,
        name: &str,
        listen: &str,
        cores: Vec<usize>,
    ) -> Result<Self, Failed> {
        let engine = Engine::start(EngineConfig::default().with_cores(Cores::Pinned(cores)))?;
        let transport = Transport::builder(url).engine(&engine).connect().await?;
        let added = Arc::new(AtomicU64::new(0));
        let server = RpcServer::builder(&transport, Target::new("sums").with_server(name))
            .endpoint(sums(Arc::clone(&added)))
            .executor(Executor::Runtime(Handle::current()))
            .start()
            .await?;
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let client = RpcClient::new(&transport, Target::new("sums"));
        let (close, closed) = oneshot::channel();
        let accepting = tokio::spawn(accept(listener, client, closed));
        Ok(Self { engine, transport, server, address, close, accepting, added })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sums made here, for peers of whichever service.
    pub(crate) fn added(&self) -> u64 {
        self.added.load(Ordering::Relaxed)
    }

    /// Takes no more connections, sees out those there are, then leaves the broker.
    pub(crate) async fn stop(self) -> Result<(), Failed> {
        drop(self.close);
        self.accepting.await?;
        self.server.wait().await?;
        self.transport.close().await?;
        self.engine.shutdown().await;
        Ok(())
    }
}

fn sums(added: Arc<AtomicU64>) -> Endpoint {
    Endpoint::new().async_method("sum", move |_: Context, Sum { numbers }| {
        let added = Arc::clone(&added);
        async move {
            added.fetch_add(1, Ordering::Relaxed);
            let sum = numbers.into_iter().try_fold(0_i64, i64::checked_add);
            sum.ok_or_else(|| Failure::builtin("OverflowError", "the sum is too large"))
        }
    })
}

/// Takes connections until told to stop, and returns when the last one has ended.
async fn accept(listener: TcpListener, client: RpcClient, mut closed: oneshot::Receiver<()>) {
    let mut peers = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut closed => break,
            Some(_) = peers.join_next() => {}
            accepted = listener.accept(), if peers.len() < PEERS_MAX => match accepted {
                Ok((peer, _)) => {
                    let client = client.clone();
                    // A peer that breaks off is its own affair.
                    peers.spawn(async move { drop(answer_lines(peer, &client).await) });
                }
                Err(error) => {
                    eprintln!("a connection is not to be had: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    let gone = async { while peers.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(FAREWELL, gone).await;
}
