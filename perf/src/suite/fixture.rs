//! The surroundings of a session: its peer, its private queue, its servers.
//!
//! Names are `leveret-perf-<random>`. Dropping the fixture deletes what does not end with its
//! connection, so nothing stays on a broker. Not here: starting servers, measuring.

use std::any::Any;

use anyhow::{Context, Result, bail};

use crate::broker::address::BrokerAddress;
use crate::broker::{in_process, tls_sink};
use crate::subject::job::{Exchange, Subject};
use crate::subject::raw::client::{Client, QueueOptions};
use crate::suite::member::Member;
use crate::workload::workload::{Operation, Peer, Workload};

/// Length limit of a flooded queue, so that the broker's work does not depend on the length of the
/// run.
const MAX_LENGTH: u32 = 1000;

/// The surroundings of one run; dropped after it.
pub(crate) struct Fixture {
    /// The peer that the subject connects to.
    pub(crate) address: BrokerAddress,
    /// The queue or topic of the run.
    pub(crate) queue: String,
    /// The servers of the session.
    pub(super) servers: Vec<Member>,
    _peer: Option<Box<dyn Any>>,
    owner: Option<Client>,
    exchanges: Vec<Exchange>,
    /// Queues that would stay on the broker.
    queues: Vec<String>,
    /// The queue that receives the messages of a workload without servers.
    end: Option<(String, QueueOptions)>,
}

impl Fixture {
    /// Makes everything `workload` needs.
    pub(crate) fn prepare(
        workload: &Workload,
        subject: &dyn Subject,
        (broker, tls): (&BrokerAddress, Option<&BrokerAddress>),
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
                let (address, peer) = match subject.speaks_tls() {
                    true => tls_sink::start()?,
                    false => in_process::sink()?,
                };
                (fixture.address, fixture._peer) = (address, Some(peer));
            }
            Peer::Source => {
                let (address, peer) = in_process::source(payload_bytes)?;
                (fixture.address, fixture._peer) = (address, Some(peer));
            }
            Peer::Broker => {
                fixture.prepare_broker(workload, subject)?;
                if subject.speaks_tls() {
                    let tls = tls.context(
                        "tls=true needs a broker of this tool's own (no --url, no --embedded)",
                    )?;
                    fixture.address = tls.clone();
                }
            }
        }
        Ok(fixture)
    }

    fn prepare_broker(&mut self, workload: &Workload, subject: &dyn Subject) -> Result<()> {
        let mut owner = Client::connect(&self.address)?;
        self.exchanges = subject.exchanges(workload, &self.queue);
        if !workload.is_served() && workload.operation != Operation::Idle {
            let queue = subject.queue(workload, &self.queue);
            let options = match workload.operation {
                // A notifier declares its queue as well, without a limit, as every oslo peer does.
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
        }
        Ok(())
    }

    /// Fails if no message has reached its queue: messages that the broker drops for want of a
    /// binding make no measurement.
    pub(crate) fn check(&mut self) -> Result<()> {
        let (Some((queue, options)), Some(owner)) = (&self.end, &mut self.owner) else {
            return Ok(());
        };
        match owner.declare_queue(queue, *options)? {
            0 => bail!("nothing has reached the queue that was made for it"),
            _ => Ok(()),
        }
    }

    /// Deletes queues and exchanges.
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
            // A broker that does not answer any more cannot be tidied.
            let _ = self.tidy(owner);
        }
    }
}
