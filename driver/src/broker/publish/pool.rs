//! The connections that one purpose publishes on: one or several.
//!
//! A sender uses one of them, so that its messages stay in order. The first use opens a connection,
//! and the first use after it has closed for good opens another. Not here: which connections are
//! shared (`connections`).

use std::sync::Arc;

use crate::broker::connections::Connections;
use crate::broker::lease::ConnectionLease;
use crate::broker::open_once::{OpenOnce, Opened};
use crate::broker::publish::connection::PublishConnection;
use crate::broker::purpose::Purpose;
use crate::codec::compressor::Compressor;
use crate::config::options::acknowledgements::CallConfirms;
use crate::error::Error;
use crate::observe::health::ConnectionHealth;
use crate::runtime::timer::Timer;

/// The connections that one purpose publishes on.
pub(crate) struct PublisherPool {
    connections: Arc<Connections>,
    purpose: Purpose,
    compressor: Option<Compressor>,
    /// Messages that no sender waits for are confirmed together.
    confirms_together: bool,
    timer: Arc<Timer>,
    slots: Box<[Slot]>,
}

#[derive(Default)]
struct Slot {
    /// Opened before the channels, which may take longer.
    lease: Arc<OpenOnce<ConnectionLease>>,
    connection: OpenOnce<Arc<PublishConnection>>,
}

impl PublisherPool {
    /// Opens no connection yet. With a `compressor`, every body is compressed.
    pub(crate) fn new(
        connections: &Arc<Connections>,
        purpose: Purpose,
        compressor: Option<Compressor>,
        timer: &Arc<Timer>,
    ) -> Self {
        let slots = (0..connections.publish_connections()).map(|_| Slot::default()).collect();
        let (connections, timer) = (Arc::clone(connections), Arc::clone(timer));
        Self { connections, purpose, compressor, confirms_together: false, timer, slots }
    }

    /// The pool, whose connections confirm requests of calls and replies like this.
    pub(crate) fn with_call_confirms(self, confirms: CallConfirms) -> Self {
        Self { confirms_together: confirms == CallConfirms::Together, ..self }
    }

    /// Returns the connection with this index, modulo their number, and opens it if it is not open.
    pub(crate) async fn get(&self, index: usize) -> Result<Arc<PublishConnection>, Error> {
        let index = index % self.slots.len();
        let slot = &self.slots[index];
        slot.connection.forget_if(|connection| connection.is_closed());
        let open = || {
            let connections = Arc::clone(&self.connections);
            let (lease, purpose) = (Arc::clone(&slot.lease), self.purpose);
            let (compressor, timer) = (self.compressor, Arc::clone(&self.timer));
            let confirms_together = self.confirms_together;
            async move {
                let lease = open_lease(&lease, &connections, purpose, index).await?;
                PublishConnection::open(lease, compressor, confirms_together, &timer).await
            }
        };
        slot.connection.get_or_open(open).await.map(|connection| Arc::clone(&connection))
    }

    /// Opens the connection with this index, without its channels.
    pub(crate) async fn connect(&self, index: usize) -> Result<(), Error> {
        let index = index % self.slots.len();
        let lease = &self.slots[index].lease;
        open_lease(lease, &self.connections, self.purpose, index).await.map(drop)
    }

    /// Returns the connection with this index if it is open.
    pub(crate) fn get_open(&self, index: usize) -> Option<Opened<'_, Arc<PublishConnection>>> {
        self.slots[index % self.slots.len()].connection.get()
    }

    /// Opens and returns all connections.
    pub(crate) async fn open_all(&self) -> Result<Vec<Arc<PublishConnection>>, Error> {
        let mut all = Vec::new();
        for index in 0..self.slots.len() {
            all.push(self.get(index).await?);
        }
        Ok(all)
    }

    /// The open connections.
    pub(crate) fn opened(&self) -> impl Iterator<Item = Arc<PublishConnection>> {
        self.slots.iter().filter_map(|slot| slot.connection.get().map(|one| Arc::clone(&one)))
    }

    /// The states of its connections, including those whose channels are not open yet.
    pub(crate) fn health(&self) -> impl Iterator<Item = ConnectionHealth> {
        self.slots.iter().filter_map(|slot| slot.lease.get().map(|lease| lease.health()))
    }

    /// The state of the connection with this index, if it was opened.
    pub(crate) fn health_at(&self, index: usize) -> Option<ConnectionHealth> {
        let slot = &self.slots[index % self.slots.len()];
        slot.lease.get().map(|lease| lease.health())
    }

    /// Flushes and closes the connections that are not shared; none is opened afterwards.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        for slot in &self.slots {
            slot.connection.close();
            slot.lease.close();
        }
        let mut outcome = Ok(());
        for lease in self.slots.iter().filter_map(|slot| slot.lease.get()) {
            outcome = outcome.and(lease.close_own().await.map(drop));
        }
        outcome
    }
}

async fn open_lease(
    lease: &OpenOnce<ConnectionLease>,
    connections: &Arc<Connections>,
    purpose: Purpose,
    index: usize,
) -> Result<ConnectionLease, Error> {
    lease.forget_if(ConnectionLease::is_closed);
    let open = || {
        let connections = Arc::clone(connections);
        async move { connections.lease(purpose, index).await }
    };
    lease.get_or_open(open).await.map(|lease| lease.clone())
}
