//! The connections one purpose publishes on: one, or several side by side.
//!
//! Whoever sends keeps to one lane, so that what it sends stays in order. Each lane is opened by
//! the first who needs it. Not here: which connection a lane is on (`factory`).

use std::sync::Arc;

use tokio::sync::OnceCell;

use super::Publishing;
use super::factory::{Connections, Purpose};
use crate::error::Error;
use crate::target::entity::Packing;
use crate::timer::Timer;

/// The connections one purpose publishes on.
pub(crate) struct Lanes {
    connections: Arc<Connections>,
    purpose: Purpose,
    packing: Option<Packing>,
    timer: Arc<Timer>,
    lanes: Box<[OnceCell<Arc<Publishing>>]>,
}

impl Lanes {
    /// Nothing is opened yet. With `packing` every body is packed before it is sent.
    pub(crate) fn new(
        connections: &Arc<Connections>,
        purpose: Purpose,
        packing: Option<Packing>,
        timer: &Arc<Timer>,
    ) -> Self {
        let lanes = (0..connections.lanes()).map(|_| OnceCell::new()).collect();
        let (connections, timer) = (Arc::clone(connections), Arc::clone(timer));
        Self { connections, purpose, packing, timer, lanes }
    }

    /// The lane with this number; beyond the last they begin anew.
    pub(crate) async fn lane(&self, number: usize) -> Result<&Arc<Publishing>, Error> {
        let number = number % self.lanes.len();
        let open = || async {
            let lent = self.connections.lend(self.purpose, number).await?;
            Publishing::open(lent, self.packing, &self.timer).await
        };
        self.lanes[number].get_or_try_init(open).await
    }

    /// The lane with this number, if it is open.
    pub(crate) fn opened_lane(&self, number: usize) -> Option<&Arc<Publishing>> {
        self.lanes[number % self.lanes.len()].get()
    }

    /// All of them.
    pub(crate) async fn all(&self) -> Result<Vec<Arc<Publishing>>, Error> {
        let mut all = Vec::new();
        for number in 0..self.lanes.len() {
            all.push(Arc::clone(self.lane(number).await?));
        }
        Ok(all)
    }

    /// Those that are open.
    pub(crate) fn opened(&self) -> impl Iterator<Item = &Arc<Publishing>> {
        self.lanes.iter().filter_map(OnceCell::get)
    }

    /// Flushes and ends the connections that are nobody else's.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        let mut outcome = Ok(());
        for publishing in self.opened() {
            outcome = outcome.and(publishing.close().await);
        }
        outcome
    }
}
