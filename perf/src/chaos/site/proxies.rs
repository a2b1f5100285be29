//! The fault proxies before the nodes, and the faults they make.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use leveret_support::FaultProxy;

use crate::chaos::sequence::Fault;
use crate::cli::chaos::FaultKind;

/// Longest delay in one direction, in milliseconds.
const DELAY_MAX_MS: u32 = 250;
/// Largest number of octets before a reset: some dozens of messages.
const OCTETS_MAX: u32 = 20_000;

/// A proxy before each node, in the order of the nodes.
pub(super) struct Proxies(Vec<FaultProxy>);

impl Proxies {
    pub(super) fn to(nodes: impl IntoIterator<Item = SocketAddr>) -> io::Result<Self> {
        nodes.into_iter().map(FaultProxy::to).collect::<io::Result<_>>().map(Self)
    }

    pub(super) fn ports(&self) -> impl Iterator<Item = u16> {
        self.0.iter().map(FaultProxy::port)
    }

    /// Closes the port of a node's proxy, or opens it again.
    pub(super) fn refuse(&self, node: usize, refuses: bool) {
        self.0[node].refuse(refuses);
    }

    /// The details of a fault of the proxies.
    pub(super) fn describe(fault: &Fault) -> String {
        match fault.kind {
            FaultKind::CutAfter => format!("after {} octets", fault.up_to(OCTETS_MAX)),
            FaultKind::Delay => format!("by {} ms", fault.up_to(DELAY_MAX_MS)),
            _ => String::new(),
        }
    }

    /// Begins a fault of the proxies, or cuts a node off from its clients.
    pub(super) fn begin(&self, fault: &Fault) {
        let (all, one) = (&self.0, &self.0[fault.node]);
        match fault.kind {
            FaultKind::Reset => all.iter().for_each(|proxy| {
                proxy.reset();
            }),
            FaultKind::HalfOpen => drop(one.silence()),
            FaultKind::Drip => one.drip(true),
            FaultKind::CutAfter => {
                all.iter().for_each(|proxy| proxy.cut_after(Some(fault.up_to(OCTETS_MAX))));
            }
            FaultKind::Delay => {
                let delay = Duration::from_millis(fault.up_to(DELAY_MAX_MS).into());
                all.iter().for_each(|proxy| proxy.delay(delay));
            }
            FaultKind::Cut => one.cut(true),
            _ => {}
        }
    }

    /// Ends a fault of the proxies.
    pub(super) fn end(&self, fault: &Fault) {
        match fault.kind {
            FaultKind::HalfOpen => self.0[fault.node].reset_silent(),
            FaultKind::Drip => self.0[fault.node].drip(false),
            FaultKind::CutAfter => self.0.iter().for_each(|proxy| proxy.cut_after(None)),
            FaultKind::Delay => self.0.iter().for_each(|proxy| proxy.delay(Duration::ZERO)),
            FaultKind::Cut => self.0[fault.node].cut(false),
            _ => {}
        }
    }
}
