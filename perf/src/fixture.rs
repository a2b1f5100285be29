//! What a run needs around it: the peer it talks to, its private queue, its servers.
//!
//! Names are `leveret-perf-<random>`, queues are exclusive to a connection the fixture holds, and exchanges are
//! deleted when it is dropped: nothing is left on a broker. Not here: measuring.

use std::any::Any;

use anyhow::Result;

use crate::child::Server;
use crate::peers;
use crate::place::Place;
use crate::placement::BackendName;
use crate::subject::Subject;
use crate::subject::raw::client::{Client, QueueShape};
use crate::workload::{Operation, Peer, Workload};

/// Messages a flooded queue keeps: the broker's work stays the same however long the flood is.
const MAX_LENGTH: u32 = 1000;

/// The surroundings of one run; dropped after it.
pub(crate) struct Fixture {
    /// Whom the subject connects to.
    pub(crate) place: Place,
    /// The queue, or topic, made for it.
    pub(crate) queue: String,
    _servers: Vec<Server>,
    _peer: Option<Box<dyn Any>>,
    owner: Option<Client>,
    exchange: Option<String>,
}

impl Fixture {
    /// Makes everything `workload` needs.
    pub(crate) fn prepare(
        workload: &Workload,
        subject: &dyn Subject,
        backend: BackendName,
        broker: &Place,
        payload_bytes: usize,
    ) -> Result<Self> {
        let queue = format!("leveret-perf-{:016x}", fastrand::u64(..));
        let mut fixture = Self {
            place: broker.clone(),
            queue,
            _servers: Vec::new(),
            _peer: None,
            owner: None,
            exchange: None,
        };
        match workload.peer {
            Peer::Sink => {
                let (place, peer) = peers::sink()?;
                (fixture.place, fixture._peer) = (place, Some(peer));
            }
            Peer::Source => {
                let (place, peer) = peers::source(payload_bytes)?;
                (fixture.place, fixture._peer) = (place, Some(peer));
            }
            Peer::Broker => fixture.prepare_broker(workload, subject, backend)?,
        }
        Ok(fixture)
    }

    fn prepare_broker(
        &mut self,
        workload: &Workload,
        subject: &dyn Subject,
        backend: BackendName,
    ) -> Result<()> {
        for _ in 0..workload.servers {
            let server = Server::start(subject.name(), backend, &self.queue, &self.place)?;
            self._servers.push(server);
        }
        if matches!(workload.operation, Operation::Call | Operation::Fanout) {
            return Ok(());
        }
        let mut owner = Client::connect(&self.place)?;
        let shape = QueueShape { max_length: Some(MAX_LENGTH) };
        owner.declare_private_queue(&self.queue, shape)?;
        if let Some(exchange) = subject.exchange(workload, &self.queue) {
            let key = subject.routing_key(workload, &self.queue);
            owner.declare_topic_exchange(&exchange)?;
            owner.bind_queue(&self.queue, &exchange, &key)?;
            self.exchange = Some(exchange);
        }
        self.owner = Some(owner);
        Ok(())
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self._servers.clear();
        if let Some(mut owner) = self.owner.take() {
            // A broker that is gone has nothing left to delete.
            if let Some(exchange) = &self.exchange {
                let _ = owner.delete_exchange(exchange);
            }
            let _ = owner.close();
        }
    }
}
