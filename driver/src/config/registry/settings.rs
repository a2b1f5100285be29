//! The values of all options: what a configuration resolves to.
//!
//! Plain data with the defaults; the parts that users build in code are public types. Not here: the
//! names of options (`rabbit`, `pika`, …).

use std::time::Duration;

use leveret_engine::{BackendChoice, Cores, EngineConfig};

use crate::config::driver_config::DriverConfig;
use crate::config::options::notifications::NotificationConfig;

/// oslo's default: the local broker.
const TRANSPORT_URL: &str = "rabbit://";

/// The values of all options.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) transport_url: Option<String>,
    pub(crate) driver: DriverConfig,
    pub(crate) notifications: NotificationConfig,
    pub(crate) engine: EngineOptions,
    pub(crate) unused: Unused,
}

/// Options that are parsed and have no effect: a shard sends heartbeats by its own timers, and the
/// names of hosts are always verified.
#[derive(Clone)]
pub(crate) struct Unused {
    pub(crate) heartbeat_rate: u32,
    pub(crate) ssl_enforce_hostname_verification: bool,
    pub(crate) pika: UnusedPika,
}

/// The same for the `pika` group: a pool that is not needed, and a prefetch that oslo does not use
/// either.
#[derive(Clone)]
pub(crate) struct UnusedPika {
    pub(crate) size: u32,
    pub(crate) overflow: u32,
    pub(crate) timeout: Duration,
    pub(crate) recycle: Duration,
    pub(crate) stale: Duration,
    pub(crate) reply_prefetch: u16,
}

impl Default for UnusedPika {
    fn default() -> Self {
        Self {
            size: 30,
            overflow: 0,
            timeout: Duration::from_secs(30),
            recycle: Duration::from_secs(600),
            stale: Duration::from_secs(60),
            reply_prefetch: 100,
        }
    }
}

impl Default for Unused {
    fn default() -> Self {
        Self {
            heartbeat_rate: 3,
            ssl_enforce_hostname_verification: true,
            pika: UnusedPika::default(),
        }
    }
}

/// The engine's options as a file has them; the engine takes `cores` and `shards` as one value.
#[derive(Clone)]
pub(crate) struct EngineOptions {
    pub(crate) shards: usize,
    pub(crate) cores: Vec<usize>,
    pub(crate) backend: BackendChoice,
    pub(crate) busy_poll: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let engine = EngineConfig::default();
        Self {
            transport_url: Some(TRANSPORT_URL.to_owned()),
            driver: DriverConfig::default(),
            notifications: NotificationConfig::default(),
            engine: EngineOptions {
                shards: 1,
                cores: Vec::new(),
                backend: engine.backend,
                busy_poll: engine.busy_poll,
            },
            unused: Unused::default(),
        }
    }
}

impl Settings {
    /// The URL in force: oslo's default where the option is empty.
    pub(crate) fn transport_url(&self) -> &str {
        self.transport_url.as_deref().unwrap_or(TRANSPORT_URL)
    }

    /// The configuration of the engine.
    pub(crate) fn engine_config(&self) -> EngineConfig {
        let EngineOptions { shards, cores, backend, busy_poll } = self.engine.clone();
        let cores = match cores.is_empty() {
            true => Cores::Unpinned(shards),
            false => Cores::Pinned(cores),
        };
        EngineConfig::default().with_cores(cores).with_backend(backend).with_busy_poll(busy_poll)
    }
}
