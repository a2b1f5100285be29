//! The site of the faults: a private cluster, or brokers that already run.
//!
//! Both have a fault proxy before each node. Invariant: after the end of a fault all nodes run. Not
//! here: which fault comes when (`sequence`).

mod private;
mod proxies;
mod remote;

use anyhow::Result;

use super::sequence::Fault;
use super::stream::Consumer;
use crate::cli::chaos::FaultKind;

pub(super) use self::private::PrivateSite;
pub(super) use self::remote::RemoteSite;

/// Brokers, and what can be done to them.
pub(super) trait Site {
    /// Number of nodes.
    fn nodes(&self) -> usize;

    /// The faults that can be made here.
    fn kinds(&self) -> Vec<FaultKind>;

    /// The URL of the nodes, and that of their proxies.
    fn urls(&self) -> [String; 2];

    /// The details of a fault, for reports.
    fn describe(&self, fault: &Fault) -> String;

    /// Waits until every node works.
    fn await_whole(&self) -> Result<()>;

    /// Begins a fault.
    fn begin(&mut self, fault: &Fault) -> Result<()>;

    /// Ends a fault, and waits until every node works again.
    fn end(&mut self, fault: &Fault) -> Result<()>;

    /// Repairs a broker that does not work again after a fault, as an operator would; returns
    /// whether there was anything to do.
    fn repair_broker(&mut self, fault: &Fault) -> Result<bool>;

    /// The consumers whose queues a fault deletes.
    fn deleted_consumers(&self, fault: &Fault) -> Vec<Consumer>;

    /// The product and version of the brokers, if they can be asked.
    fn broker(&self) -> Option<String>;
}
