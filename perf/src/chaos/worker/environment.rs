//! The environment of a worker: its setup, its transports, its reporter.

use std::time::Duration;

use anyhow::{Context as _, Result};
use leveret::engine::EngineConfig;
use leveret::{DriverConfig, Redelivered, Transport};

use crate::chaos::protocol::{Reporter, Setup, print_line};
use crate::chaos::stream::Consumer;
use crate::system::child_process::READY;

/// Longest time to connect, for a process that starts while a node is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The queues that a transport declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueKind {
    /// Quorum queues.
    Quorum,
    /// Quorum queues; servers refuse redelivered requests.
    QuorumOnce,
    /// Durable classic queues.
    Classic,
}

/// The environment of a worker.
pub(crate) struct Environment {
    pub(crate) setup: Setup,
    pub(crate) reporter: Reporter,
    pub(crate) engine: EngineConfig,
}

impl Environment {
    pub(crate) async fn connect(&self, queues: QueueKind) -> Result<Transport> {
        let mut config = DriverConfig::default()
            .with_control_exchange(&self.setup.tag)
            .with_response_timeout(self.timeout())
            .with_heartbeat(Duration::from_secs(self.setup.heartbeat.into()));
        match queues {
            QueueKind::Quorum | QueueKind::QuorumOnce => {
                config.entities.quorum = true;
                config.entities.transient_quorum = true;
            }
            QueueKind::Classic => config.entities.durable = true,
        }
        if queues == QueueKind::QuorumOnce {
            config.redelivered = Redelivered::Refuse;
        }
        let builder = Transport::builder(&self.setup.url).config(config);
        let builder = builder.engine_config(self.engine.clone()).connect_deadline(CONNECT_TIMEOUT);
        let connected = builder.connect().await;
        connected.context("a process of the fleet does not connect")
    }

    pub(crate) fn topic(&self, consumer: Consumer) -> String {
        self.setup.topics.get(&consumer).cloned().unwrap_or_default()
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.setup.timeout)
    }

    /// Tells the parent that this process works.
    pub(crate) fn is_ready(&self) {
        print_line(&READY);
    }
}
