//! Where faults are made: a private cluster, or brokers that somebody else runs.
//!
//! Either has a fault proxy before each node. Invariant: a fault that began and ended leaves every
//! node running. Not here: which fault comes when (`sequence`).

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
    /// How many nodes there are.
    fn nodes(&self) -> usize;

    /// The faults that can be made here.
    fn kinds(&self) -> Vec<FaultKind>;

    /// The URL of the nodes, and that of the proxies before them.
    fn urls(&self) -> [String; 2];

    /// What a fault is in detail, for people.
    fn describe(&self, fault: &Fault) -> String;

    /// Waits until every node works.
    fn await_whole(&self) -> Result<()>;

    /// Makes a fault.
    fn begin(&mut self, fault: &Fault) -> Result<()>;

    /// Ends it, and waits until every node works again.
    fn end(&mut self, fault: &Fault) -> Result<()>;

    /// Does for a broker that does not work again after a fault what an operator would; whether
    /// there was anything to do.
    fn repair_broker(&mut self, fault: &Fault) -> Result<bool>;

    /// The consumers whose queues it deletes.
    fn deleted_consumers(&self, fault: &Fault) -> Vec<Consumer>;

    /// The product and version of the brokers, if they can be asked.
    fn broker(&self) -> Option<String>;
}
