//! Brokers that somebody else runs: the proxies make their faults, a command of the user's own
//! makes the others.
//!
//! Invariant: without a command nothing is done to the brokers themselves. Not here: what the
//! command does.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use leveret::TransportUrl;

use super::Site;
use super::proxies::Proxies;
use crate::broker_address::BrokerAddress;
use crate::chaos::sequence::Fault;
use crate::chaos::stream::Consumer;
use crate::cli::chaos::FaultKind;
use crate::subject::raw::client;

/// The brokers of a URL.
pub(crate) struct RemoteSite {
    url: String,
    proxies: Proxies,
    nodes: usize,
    hook: Option<String>,
}

impl RemoteSite {
    /// The brokers of this URL, and the command that makes faults there.
    pub(crate) fn open(url: &str, hook: Option<&str>) -> Result<Self> {
        let parsed: TransportUrl = url.parse()?;
        let mut nodes = Vec::new();
        for host in parsed.hosts() {
            let name = (host.hostname(), host.port());
            let mut addresses = name.to_socket_addrs()?;
            nodes.push(addresses.next().with_context(|| format!("{name:?} has no address"))?);
        }
        let proxies = Proxies::to(nodes.iter().copied())?;
        let hook = hook.map(str::to_owned);
        Ok(Self { url: url.to_owned(), proxies, nodes: nodes.len(), hook })
    }

    fn call_hook(&self, fault: &Fault, phase: &str) -> Result<()> {
        let Some(hook) = &self.hook else { bail!("{} needs --hook", fault.kind.name()) };
        let status = Command::new("/bin/sh")
            .args(["-c", &format!("{hook} \"$@\""), "hook", &fault.kind.name()])
            .args([&fault.node.to_string(), phase])
            .status()
            .context("the hook cannot be run")?;
        if !status.success() {
            bail!("the hook failed at the {phase} of {}: {status}", fault.kind.name());
        }
        Ok(())
    }
}

impl Site for RemoteSite {
    fn nodes(&self) -> usize {
        self.nodes
    }

    fn kinds(&self) -> Vec<FaultKind> {
        let has_hook = self.hook.is_some();
        let all = FaultKind::all().iter().copied();
        all.filter(|kind| has_hook || kind.is_of_proxies() || *kind == FaultKind::Cut).collect()
    }

    fn urls(&self) -> [String; 2] {
        [self.url.clone(), with_addresses(&self.url, self.proxies.ports())]
    }

    fn describe(&self, fault: &Fault) -> String {
        Proxies::describe(fault)
    }

    fn await_whole(&self) -> Result<()> {
        // The hook has waited, or nobody can.
        Ok(())
    }

    fn repair_broker(&mut self, _: &Fault) -> Result<bool> {
        Ok(false)
    }

    fn begin(&mut self, fault: &Fault) -> Result<()> {
        match is_of_hook(fault.kind, self.hook.is_some()) {
            true => self.call_hook(fault, "begin"),
            false => {
                self.proxies.begin(fault);
                Ok(())
            }
        }
    }

    fn end(&mut self, fault: &Fault) -> Result<()> {
        match is_of_hook(fault.kind, self.hook.is_some()) {
            true => self.call_hook(fault, "end"),
            false => {
                self.proxies.end(fault);
                Ok(())
            }
        }
    }

    fn deleted_consumers(&self, fault: &Fault) -> Vec<Consumer> {
        // Which queues a hook deletes is its own affair.
        match fault.kind {
            FaultKind::Queue | FaultKind::Vhost => Consumer::ALL.to_vec(),
            _ => Vec::new(),
        }
    }

    fn broker(&self) -> Option<String> {
        client::broker_version(&BrokerAddress::parse(&self.url).ok()?).ok()
    }
}

/// Whether the hook makes it. The way of a node can be cut by either; a hook does it better.
fn is_of_hook(kind: FaultKind, has_hook: bool) -> bool {
    !kind.is_of_proxies() && (has_hook || kind != FaultKind::Cut)
}

/// The same URL, its hosts being these ports of this machine.
pub(super) fn with_addresses(url: &str, ports: impl Iterator<Item = u16>) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (hosts, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let local = |(host, port): (&str, u16)| {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        host.rsplit_once('@').map_or(address.to_string(), |(login, _)| format!("{login}@{address}"))
    };
    let hosts: Vec<String> = hosts.split(',').zip(ports).map(local).collect();
    format!("{scheme}://{}{path}", hosts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_replaced_and_all_else_stays() {
        let url = "rabbit://me:p%40@h1:1,h2,you@[::1]:3/v%2Fh?a=b";
        let local = with_addresses(url, [7, 8, 9].into_iter());
        let hosts = "me:p%40@127.0.0.1:7,127.0.0.1:8,you@127.0.0.1:9";
        assert_eq!(local, format!("rabbit://{hosts}/v%2Fh?a=b"));
    }
}
