//! The connections of a transport: which purpose uses which, and which are shared.
//!
//! The first lease opens a shared connection, and closing the transport closes it. A connection for
//! a single purpose closes with its lease. Invariant: closing a lease never closes a connection
//! that others use. Each user of a shared connection has its own channels and closes them. Not
//! here: what is done on a connection (`publish`, `subscriber`).

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use leveret_engine::{Connection, ConnectionConfig, ConnectionState, Engine};

use crate::broker::errors::{from_engine, transport_closed};
use crate::broker::lease::{ConnectionLease, Name};
use crate::broker::open_once::OpenOnce;
use crate::broker::purpose::Purpose;
use crate::config::options::factory::ConnectionFactory;
use crate::error::Error;

/// The connections of a transport.
pub(crate) struct Connections {
    engine: Engine,
    config: ConnectionConfig,
    factory: ConnectionFactory,
    shared: Box<[Arc<Slot>]>,
    is_closed: AtomicBool,
}

/// A shared connection, opened by its first lease.
struct Slot {
    name: Name,
    /// The shard it must be on; `None`: the engine chooses.
    shard: Option<usize>,
    connection: OpenOnce<Connection>,
}

impl Connections {
    /// Opens no connection yet. `config` has everything but the names of connections.
    pub(crate) fn new(
        engine: &Engine,
        config: ConnectionConfig,
        factory: ConnectionFactory,
    ) -> Arc<Self> {
        let slot = |purpose, number, shard| {
            let name = Name { purpose, number };
            Arc::new(Slot { name, shard, connection: OpenOnce::default() })
        };
        let shared = match factory {
            ConnectionFactory::Single => vec![slot("all", 0, None)],
            ConnectionFactory::ReadWrite => vec![slot("write", 0, None), slot("read", 0, None)],
            ConnectionFactory::New => Vec::new(),
            ConnectionFactory::Pool(count) => {
                (0..usize::from(count)).map(|number| slot("publish", number, None)).collect()
            }
            ConnectionFactory::PerShard => {
                let shards = 0..engine.shards();
                shards.map(|shard| slot("publish", shard, Some(shard))).collect()
            }
        };
        let (engine, shared) = (engine.clone(), shared.into_boxed_slice());
        Arc::new(Self { engine, config, factory, shared, is_closed: AtomicBool::new(false) })
    }

    /// The number of connections that each purpose publishes on.
    pub(crate) fn publish_connections(&self) -> usize {
        match self.factory {
            ConnectionFactory::Pool(_) | ConnectionFactory::PerShard => self.shared.len(),
            _ => 1,
        }
    }

    /// Leases the connection for a purpose, and opens it if it is not open. `index` chooses among
    /// several to publish on.
    pub(crate) async fn lease(
        &self,
        purpose: Purpose,
        index: usize,
    ) -> Result<ConnectionLease, Error> {
        match self.slot(purpose, index) {
            Some(slot) => self.share(slot).await,
            None => self.lease_own(purpose).await,
        }
    }

    /// Opens a connection for this lease alone, whatever the factory says.
    pub(crate) async fn lease_own(&self, purpose: Purpose) -> Result<ConnectionLease, Error> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(transport_closed());
        }
        let name = Name { purpose: purpose.name(), number: 0 };
        let connection = self.engine.connect(self.named(name)).await.map_err(from_engine)?;
        Ok(ConnectionLease::new(connection, name, false))
    }

    fn slot(&self, purpose: Purpose, index: usize) -> Option<&Slot> {
        let index = match self.factory {
            ConnectionFactory::Single => 0,
            ConnectionFactory::ReadWrite => usize::from(!purpose.publishes()),
            ConnectionFactory::Pool(_) | ConnectionFactory::PerShard if purpose.publishes() => {
                index
            }
            _ => return None,
        };
        self.shared.get(index).map(Deref::deref)
    }

    async fn share(&self, slot: &Slot) -> Result<ConnectionLease, Error> {
        // A connection that is closed for good is replaced.
        slot.connection.forget_if(|connection| connection.state() == ConnectionState::Closed);
        if self.is_closed.load(Ordering::Acquire) {
            return Err(transport_closed());
        }
        let connect = || {
            let (engine, config, shard) = (self.engine.clone(), self.named(slot.name), slot.shard);
            async move {
                let opened = match shard {
                    Some(shard) => engine.connect_on(shard, config).await,
                    None => engine.connect(config).await,
                };
                opened.map_err(from_engine)
            }
        };
        let connection = slot.connection.get_or_open(connect).await?.clone();
        Ok(ConnectionLease::new(connection, slot.name, true))
    }

    /// The open shared connections.
    pub(crate) fn shared(&self) -> impl Iterator<Item = ConnectionLease> + '_ {
        self.shared.iter().filter_map(|slot| {
            let connection = slot.connection.get()?.clone();
            Some(ConnectionLease::new(connection, slot.name, true))
        })
    }

    /// Flushes and closes the shared connections; none is opened afterwards.
    ///
    /// # Errors
    /// The first error of a connection; all are closed nevertheless.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        self.is_closed.store(true, Ordering::Release);
        let mut outcome = Ok(());
        for slot in &self.shared {
            // The connection stays in its slot, so that its health reads closed.
            slot.connection.close();
            if let Some(connection) = slot.connection.get() {
                outcome = outcome.and(connection.close().await.map_err(from_engine));
            }
        }
        outcome
    }

    /// The configuration with the name `program:pid:purpose`, which management tools show.
    fn named(&self, Name { purpose, number }: Name) -> ConnectionConfig {
        let mut config = self.config.clone();
        let program = program();
        let number = if number == 0 { String::new() } else { format!(":{number}") };
        config.connection_name = format!("{program}:{}:{purpose}{number}", std::process::id());
        config
    }
}

/// The name of this program, cut to 32 characters.
pub(crate) fn program() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let program = std::path::Path::new(&program).file_name().unwrap_or_default();
    program.to_string_lossy().chars().take(32).collect()
}
