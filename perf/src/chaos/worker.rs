//! A process of the fleet: this program in a hidden mode.
//!
//! It learns from its first line whether it is a client (`client`) or a server (`server`), says
//! `ready`, works until its standard input ends, finishes what it has begun, and ends. Not here:
//! what is counted.

use std::io::{BufRead as _, Read as _};
use std::time::Duration;

use anyhow::{Context as _, Result};
use leveret::engine::EngineConfig;
use leveret::{DriverConfig, Redelivered, Transport};
use tokio::sync::oneshot;

use super::lines::{Role, Setup, Telling, say};
use super::stream::Consumer;
use super::{client, server};
use crate::peer_process::READY;

/// A process that starts while a node is away goes round its hosts for so long.
const CONNECTS_WITHIN: Duration = Duration::from_secs(30);

/// Queues that a transport declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queues {
    /// All of them quorum queues.
    Quorum,
    /// The same; servers refuse what was delivered before.
    QuorumOnce,
    /// Durable classic queues.
    Classic,
}

/// What a process works with.
pub(super) struct World {
    pub(super) setup: Setup,
    pub(super) telling: Telling,
    engine: EngineConfig,
}

impl World {
    pub(super) async fn connect(&self, queues: Queues) -> Result<Transport> {
        let mut config = DriverConfig::default()
            .with_control_exchange(&self.setup.tag)
            .with_response_timeout(self.timeout())
            .with_heartbeat(Duration::from_secs(self.setup.heartbeat.into()));
        match queues {
            Queues::Quorum | Queues::QuorumOnce => {
                config.entities.quorum = true;
                config.entities.transient_quorum = true;
            }
            Queues::Classic => config.entities.durable = true,
        }
        if queues == Queues::QuorumOnce {
            config.redelivered = Redelivered::Refuse;
        }
        let builder = Transport::builder(&self.setup.url).config(config);
        let builder = builder.engine_config(self.engine.clone()).connect_deadline(CONNECTS_WITHIN);
        let connected = builder.connect().await;
        connected.context("a process of the fleet does not connect")
    }

    pub(super) fn topic(&self, consumer: Consumer) -> String {
        self.setup.topics.get(&consumer).cloned().unwrap_or_default()
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.setup.timeout)
    }

    /// Tells whoever started us that we work.
    pub(super) fn is_ready(&self) {
        say(&READY);
    }
}

/// Is what its first line says, until its input ends.
pub(crate) fn run(engine: EngineConfig) -> Result<()> {
    let mut first = String::new();
    std::io::stdin().lock().read_line(&mut first)?;
    let setup: Setup = serde_json::from_str(&first).context("the first line is a setup")?;
    let role = setup.role;
    let world = World { setup, telling: Telling::start()?, engine };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_time().build()?;
    let (stop, stopped) = oneshot::channel();
    std::thread::spawn(move || {
        let mut rest = [0; 64];
        let mut stdin = std::io::stdin();
        while matches!(stdin.read(&mut rest), Ok(1..)) {}
        let _ = stop.send(());
    });
    let worked = match role {
        Role::Client => runtime.block_on(client::work(&world, stopped)),
        Role::Server => runtime.block_on(server::work(&world, stopped)),
    };
    world.telling.tell_all();
    worked?;
    // Whatever still runs has had its time.
    std::process::exit(0);
}
