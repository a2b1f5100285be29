//! The connections of a transport: which purpose gets which, and which are shared.
//!
//! A shared connection is opened by the first who needs it and ends with the transport; one that
//! was opened for a single purpose ends with that. Invariant: closing a purpose never ends a
//! connection that others use. Everybody has channels of their own on it, which go with them. Not
//! here: what is done on a connection (`publisher`, `consumer`).

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use leveret_engine::{
    Channel, ChannelOptions, Connection, ConnectionConfig, ConnectionState, Engine,
};

use super::open_once::{OpenOnce, Opened};
use super::{failed, stopped};
use crate::config::ConnectionFactory;
use crate::error::Error;

/// What a connection is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Requests.
    Publish,
    /// Requests that nobody waits for.
    Cast,
    Notify,
    /// Replies to calls of others.
    Answers,
    /// Replies to our calls.
    Replies,
    Server,
    Listener,
}

/// The connections of a transport.
pub(crate) struct Connections {
    engine: Engine,
    config: ConnectionConfig,
    factory: ConnectionFactory,
    shared: Box<[Arc<Slot>]>,
    is_closed: AtomicBool,
}

/// A place for one shared connection.
struct Slot {
    name: Name,
    /// Where it must be; none: on the engine's next.
    shard: Option<usize>,
    connection: OpenOnce<Connection>,
}

/// What a connection is called: what it is for, and which it is of those that are for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) purpose: &'static str,
    pub(crate) number: usize,
}

/// A connection lent to a purpose.
#[derive(Clone)]
pub(crate) struct Lent {
    connection: Connection,
    name: Name,
    is_shared: bool,
}

/// A channel on a lent connection. On a shared one it closes when it is dropped; otherwise it goes
/// with its connection.
pub(super) struct LentChannel {
    channel: Channel,
    is_shared: bool,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Cast => "casts",
            Self::Notify => "notify",
            Self::Answers => "answers",
            Self::Replies => "replies",
            Self::Server => "server",
            Self::Listener => "listener",
        }
    }

    /// It sends; the others consume.
    const fn publishes(self) -> bool {
        matches!(self, Self::Publish | Self::Cast | Self::Notify | Self::Answers)
    }
}

impl Connections {
    /// None is opened yet. `config` has everything but names.
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

    /// How many connections there are to publish on for each purpose.
    pub(crate) fn lanes(&self) -> usize {
        match self.factory {
            ConnectionFactory::Pool(_) | ConnectionFactory::PerShard => self.shared.len(),
            _ => 1,
        }
    }

    /// The connection for a purpose, opened if it is not there; of several to publish on, the one
    /// with this number.
    pub(crate) async fn lend(&self, purpose: Purpose, lane: usize) -> Result<Lent, Error> {
        match self.slot(purpose, lane) {
            Some(slot) => self.share(slot).await,
            None => self.own(purpose).await,
        }
    }

    /// A connection for nothing else, whatever the factory says.
    pub(crate) async fn own(&self, purpose: Purpose) -> Result<Lent, Error> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(stopped());
        }
        let name = Name { purpose: purpose.name(), number: 0 };
        let connection = self.engine.connect(self.named(name)).await.map_err(failed)?;
        Ok(Lent { connection, name, is_shared: false })
    }

    fn slot(&self, purpose: Purpose, lane: usize) -> Option<&Slot> {
        let index = match self.factory {
            ConnectionFactory::Single => 0,
            ConnectionFactory::ReadWrite => usize::from(!purpose.publishes()),
            ConnectionFactory::Pool(_) | ConnectionFactory::PerShard if purpose.publishes() => lane,
            _ => return None,
        };
        self.shared.get(index).map(Deref::deref)
    }

    async fn share(&self, slot: &Slot) -> Result<Lent, Error> {
        // One that could not be brought back is of no use any more.
        slot.connection.forget_if(|known| known.state() == ConnectionState::Closed);
        if self.is_closed.load(Ordering::Acquire) {
            return Err(stopped());
        }
        let connect = || {
            let (engine, config, shard) = (self.engine.clone(), self.named(slot.name), slot.shard);
            async move {
                let opened = match shard {
                    Some(shard) => engine.connect_on(shard, config).await,
                    None => engine.connect(config).await,
                };
                opened.map_err(failed)
            }
        };
        let connection = slot.connection.get_or_open(connect).await?.clone();
        Ok(Lent { connection, name: slot.name, is_shared: true })
    }

    /// The shared connections there are. One that is being opened counts as not there yet.
    pub(crate) fn shared(&self) -> impl Iterator<Item = Lent> + '_ {
        self.shared.iter().filter_map(|slot| {
            let connection = slot.connection.get()?.clone();
            Some(Lent { connection, name: slot.name, is_shared: true })
        })
    }

    /// Flushes and ends the shared connections; none is opened afterwards. Tells the first error.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        self.is_closed.store(true, Ordering::Release);
        let mut outcome = Ok(());
        for slot in &self.shared {
            // It stays in its place, where health finds it closed.
            slot.connection.close();
            if let Some(connection) = slot.connection.get() {
                outcome = outcome.and(connection.close().await.map_err(failed));
            }
        }
        outcome
    }

    /// `program:pid:purpose`, as management tools show it.
    fn named(&self, Name { purpose, number }: Name) -> ConnectionConfig {
        let mut config = self.config.clone();
        let program = program();
        let number = if number == 0 { String::new() } else { format!(":{number}") };
        config.connection_name = format!("{program}:{}:{purpose}{number}", std::process::id());
        config
    }
}

/// What this program is called, as far as that fits into names.
pub(crate) fn program() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let program = std::path::Path::new(&program).file_name().unwrap_or_default();
    program.to_string_lossy().chars().take(32).collect()
}

impl Lent {
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn name(&self) -> Name {
        self.name
    }

    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    pub(super) async fn open_channel(&self, options: ChannelOptions) -> Result<LentChannel, Error> {
        let channel = self.connection.open_channel(options).await.map_err(failed)?;
        Ok(LentChannel { channel, is_shared: self.is_shared })
    }

    /// The channel in `cell`, opened if it is not there or has ended for good.
    pub(super) async fn channel_in<'a>(
        &self,
        cell: &'a OpenOnce<LentChannel>,
        options: ChannelOptions,
    ) -> Result<Opened<'a, LentChannel>, Error> {
        cell.forget_if(|channel| channel.is_closed());
        let open = || {
            let lent = self.clone();
            async move { lent.open_channel(options).await }
        };
        cell.get_or_open(open).await
    }

    /// Whether the connection has ended for good.
    pub(super) fn is_gone(&self) -> bool {
        self.connection.state() == ConnectionState::Closed
    }

    /// Why the connection is down, if it is to come back and the reason is known.
    pub(super) fn why_down(&self) -> Option<leveret_engine::Error> {
        super::health_of(self).why_down()
    }

    /// Flushes and ends the connection, unless it is shared; says whether it was.
    pub(super) async fn close_own(&self) -> Result<bool, Error> {
        if self.is_shared {
            return Ok(false);
        }
        self.connection.close().await.map(|()| true).map_err(failed)
    }
}

impl Deref for LentChannel {
    type Target = Channel;

    fn deref(&self) -> &Channel {
        &self.channel
    }
}

impl Drop for LentChannel {
    fn drop(&mut self) {
        if self.is_shared {
            self.channel.close_unwatched();
        }
    }
}
