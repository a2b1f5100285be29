//! The CPU time of the broker, where it is on this machine.

use std::net::ToSocketAddrs;
use std::time::Duration;

use crate::broker::address::BrokerAddress;
use crate::system::{processes, usage};

/// Where the broker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BrokerUsage {
    /// In this process.
    Embedded,
    Process(u32),
    /// On another machine, or of a user whose processes are not to be seen.
    Unknown,
}

impl BrokerUsage {
    /// Finds the process behind an address.
    pub(super) fn of(address: &BrokerAddress) -> Self {
        let mut addresses =
            (address.host.as_str(), address.port).to_socket_addrs().into_iter().flatten();
        if !addresses.any(|address| address.ip().is_loopback()) {
            return Self::Unknown;
        }
        match processes::listener(address.port) {
            Some(pid) if pid == std::process::id() => Self::Embedded,
            Some(pid) => Self::Process(pid),
            None => Self::Unknown,
        }
    }

    /// Its CPU time so far.
    pub(super) fn cpu_time(self) -> Option<Duration> {
        match self {
            Self::Embedded => Some(Duration::from_nanos(usage::peer_threads_cpu_ns())),
            Self::Process(pid) => processes::cpu_time(pid),
            Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::in_process;

    #[test]
    fn an_embedded_broker_is_found_and_a_distant_one_is_not() {
        let (address, _peer) = in_process::broker().expect("the broker starts");
        let usage = BrokerUsage::of(&address);
        assert_eq!(usage, BrokerUsage::Embedded);
        assert!(usage.cpu_time().is_some());
        let distant = BrokerAddress::local(([192, 0, 2, 1], 5672).into());
        assert_eq!(BrokerUsage::of(&distant), BrokerUsage::Unknown);
    }
}
