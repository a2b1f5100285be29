//! What a run needs around it: the peer it talks to, its private queue, its servers.
//!
//! Names are `leveret-perf-<random>`; what does not go with the connection that declared it is
//! deleted when the fixture is dropped: nothing is left on a broker. Not here: measuring.

use std::any::Any;

use anyhow::{Result, bail};

use crate::broker_address::BrokerAddress;
use crate::in_process;
use crate::placement::Serving;
use crate::subject::job::{Exchange, Subject};
use crate::subject::raw::client::{Client, QueueOptions};
use crate::suite::server_process::ServerProcess;
use crate::workload::{Operation, Peer, Workload};

/// Messages a flooded queue keeps: the broker's work stays the same however long the flood is.
const MAX_LENGTH: u32 = 1000;

/// The surroundings of one run; dropped after it.
pub(crate) struct Fixture {
    /// Whom the subject connects to.
    pub(crate) address: BrokerAddress,
    /// The queue, or topic, made for it.
    pub(crate) queue: String,
    servers: Vec<ServerProcess>,
    _peer: Option<Box<dyn Any>>,
    owner: Option<Client>,
    exchanges: Vec<Exchange>,
    /// Queues that servers leave behind.
    queues: Vec<String>,
    /// The queue that messages end in where no server takes them.
    end: Option<(String, QueueOptions)>,
}

impl Fixture {
    /// Makes everything `workload` needs.
    pub(crate) fn prepare(
        workload: &Workload,
        subject: &dyn Subject,
        serving: Serving,
        broker: &BrokerAddress,
        payload_bytes: usize,
    ) -> Result<Self> {
        let queue = format!("leveret-perf-{:016x}", fastrand::u64(..));
        let mut fixture = Self {
            address: broker.clone(),
            queue,
            servers: Vec::new(),
            _peer: None,
            owner: None,
            exchanges: Vec::new(),
            queues: Vec::new(),
            end: None,
        };
        match workload.peer {
            Peer::Sink => {
                let (address, peer) = in_process::sink()?;
                (fixture.address, fixture._peer) = (address, Some(peer));
            }
            Peer::Source => {
                let (address, peer) = in_process::source(payload_bytes)?;
                (fixture.address, fixture._peer) = (address, Some(peer));
            }
            Peer::Broker => fixture.prepare_broker(workload, subject, serving)?,
        }
        Ok(fixture)
    }

    fn prepare_broker(
        &mut self,
        workload: &Workload,
        subject: &dyn Subject,
        serving: Serving,
    ) -> Result<()> {
        let mut owner = Client::connect(&self.address)?;
        self.exchanges = subject.exchanges(workload, &self.queue);
        if workload.servers == 0 {
            let queue = subject.queue(workload, &self.queue);
            let options = match workload.operation {
                // A notifier declares its queue as well, as every oslo peer does: without bound.
                Operation::Notify => QueueOptions { max_length: None, is_shared: true },
                _ => QueueOptions { max_length: Some(MAX_LENGTH), is_shared: false },
            };
            owner.declare_queue(&queue, options)?;
            if let Some(exchange) = self.exchanges.first() {
                let key = subject.routing_key(workload, &self.queue);
                owner.declare_exchange(exchange)?;
                owner.bind_queue(&queue, &exchange.name, &key)?;
            }
            if options.is_shared {
                self.queues.push(queue.clone());
            }
            self.end = Some((queue, options));
        }
        self.owner = Some(owner);
        for n in 0..workload.servers {
            self.queues.extend(subject.queues_of_server(&self.queue, n));
            let server =
                ServerProcess::start(subject.name(), serving, &self.queue, n, &self.address)?;
            self.servers.push(server);
        }
        Ok(())
    }

    /// Whether messages got where they were to end: what the broker drops at its exchange, for want
    /// of a binding, is fast and no measure of anything.
    pub(crate) fn check(&mut self) -> Result<()> {
        let (Some((queue, options)), Some(owner)) = (&self.end, &mut self.owner) else {
            return Ok(());
        };
        match owner.declare_queue(queue, *options)? {
            0 => bail!("nothing has reached the queue that was made for it"),
            _ => Ok(()),
        }
    }

    /// Deletes what would stay.
    fn tidy(&self, mut owner: Client) -> Result<()> {
        for queue in &self.queues {
            owner.delete_queue(queue)?;
        }
        for exchange in &self.exchanges {
            owner.delete_exchange(&exchange.name)?;
        }
        owner.close()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.servers.clear();
        if let Some(owner) = self.owner.take() {
            // A broker that is gone has nothing left to delete.
            let _ = self.tidy(owner);
        }
    }
}
