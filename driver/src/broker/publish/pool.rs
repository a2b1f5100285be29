//! The connections one purpose publishes on: one, or several side by side.
//!
//! Each sender keeps to one lane, so that what it sends stays in order. A lane is opened when it is
//! first used, and again after its connection has ended for good. Not here: which connection a lane
//! is on (`factory`).

use std::sync::Arc;

use crate::broker::connections::Connections;
use crate::broker::lease::{ConnectionLease, Purpose};
use crate::broker::open_once::{OpenOnce, Opened};
use crate::broker::publish::publisher::PublishConnection;
use crate::error::Error;
use crate::observe::health::ConnectionHealth;
use crate::runtime::timer::Timer;
use crate::topology::Compressor;

/// The connections one purpose publishes on.
pub(crate) struct PublisherPool {
    connections: Arc<Connections>,
    purpose: Purpose,
    packing: Option<Compressor>,
    timer: Arc<Timer>,
    lanes: Box<[Lane]>,
}

#[derive(Default)]
struct Lane {
    /// There before its channels are: the broker may be away.
    lent: Arc<OpenOnce<ConnectionLease>>,
    publishing: OpenOnce<Arc<PublishConnection>>,
}

impl PublisherPool {
    /// Nothing is opened yet. With `packing` every body is packed before it is sent.
    pub(crate) fn new(
        connections: &Arc<Connections>,
        purpose: Purpose,
        packing: Option<Compressor>,
        timer: &Arc<Timer>,
    ) -> Self {
        let lanes = (0..connections.lanes()).map(|_| Lane::default()).collect();
        let (connections, timer) = (Arc::clone(connections), Arc::clone(timer));
        Self { connections, purpose, packing, timer, lanes }
    }

    /// The lane with this number; beyond the last they begin anew.
    pub(crate) async fn lane(&self, number: usize) -> Result<Arc<PublishConnection>, Error> {
        let number = number % self.lanes.len();
        let lane = &self.lanes[number];
        lane.publishing.forget_if(|publishing| publishing.is_gone());
        let open = || {
            let connections = Arc::clone(&self.connections);
            let (lent, purpose) = (Arc::clone(&lane.lent), self.purpose);
            let (packing, timer) = (self.packing, Arc::clone(&self.timer));
            async move {
                let lent = lend(&lent, &connections, purpose, number).await?;
                PublishConnection::open(lent, packing, &timer).await
            }
        };
        lane.publishing.get_or_open(open).await.map(|publishing| Arc::clone(&publishing))
    }

    /// Opens the connection of a lane, without its channels.
    pub(crate) async fn connect(&self, number: usize) -> Result<(), Error> {
        let number = number % self.lanes.len();
        lend(&self.lanes[number].lent, &self.connections, self.purpose, number).await.map(drop)
    }

    /// The lane with this number, if it is open.
    pub(crate) fn opened_lane(&self, number: usize) -> Option<Opened<'_, Arc<PublishConnection>>> {
        self.lanes[number % self.lanes.len()].publishing.get()
    }

    /// All of them.
    pub(crate) async fn all(&self) -> Result<Vec<Arc<PublishConnection>>, Error> {
        let mut all = Vec::new();
        for number in 0..self.lanes.len() {
            all.push(self.lane(number).await?);
        }
        Ok(all)
    }

    /// Those that are open.
    pub(crate) fn opened(&self) -> impl Iterator<Item = Arc<PublishConnection>> {
        self.lanes.iter().filter_map(|lane| lane.publishing.get().map(|one| Arc::clone(&one)))
    }

    /// Where its connections stand, those included whose channels are not open yet.
    pub(crate) fn health(&self) -> impl Iterator<Item = ConnectionHealth> {
        self.lanes
            .iter()
            .filter_map(|lane| lane.lent.get().map(|lent| crate::broker::lease::health_of(&lent)))
    }

    /// Where the connection of one lane stands, if there is one.
    pub(crate) fn lane_health(&self, number: usize) -> Option<ConnectionHealth> {
        let lane = &self.lanes[number % self.lanes.len()];
        lane.lent.get().map(|lent| crate::broker::lease::health_of(&lent))
    }

    /// Flushes and ends the connections that are nobody else's; none is opened afterwards.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        for lane in &self.lanes {
            lane.publishing.close();
            lane.lent.close();
        }
        let mut outcome = Ok(());
        for lent in self.lanes.iter().filter_map(|lane| lane.lent.get()) {
            outcome = outcome.and(lent.close_own().await.map(drop));
        }
        outcome
    }
}

/// The connection of a lane.
async fn lend(
    lent: &OpenOnce<ConnectionLease>,
    connections: &Arc<Connections>,
    purpose: Purpose,
    number: usize,
) -> Result<ConnectionLease, Error> {
    lent.forget_if(ConnectionLease::is_gone);
    let lend = || {
        let connections = Arc::clone(connections);
        async move { connections.lend(purpose, number).await }
    };
    lent.get_or_open(lend).await.map(|lent| lent.clone())
}
