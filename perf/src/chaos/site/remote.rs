//! Brokers that already run: the proxies make their faults, and a command of the user (`--hook`)
//! the others.
//!
//! Invariant: without the command nothing is done to the brokers themselves.

use std::net::ToSocketAddrs as _;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use leveret::{Secrets, TransportUrl};

use super::Site;
use super::proxies::Proxies;
use crate::broker::address::{BrokerAddress, at_local_ports};
use crate::chaos::sequence::Fault;
use crate::chaos::stream::Consumer;
use crate::cli::chaos::FaultKind;
use crate::subject::raw::client;

/// The brokers of a URL.
pub(crate) struct RemoteSite {
    url: TransportUrl,
    proxies: Proxies,
    nodes: usize,
    hook: Option<String>,
}

impl RemoteSite {
    /// Opens a site of the brokers of this URL, with the command that makes faults there.
    pub(crate) fn open(url: &str, hook: Option<&str>) -> Result<Self> {
        let url: TransportUrl = url.parse()?;
        let mut nodes = Vec::new();
        for host in url.hosts() {
            let name = (host.hostname(), host.port());
            let mut addresses = name.to_socket_addrs()?;
            nodes.push(addresses.next().with_context(|| format!("{name:?} has no address"))?);
        }
        let proxies = Proxies::to(nodes.iter().copied())?;
        let hook = hook.map(str::to_owned);
        Ok(Self { url, proxies, nodes: nodes.len(), hook })
    }

    fn shown_url(&self) -> String {
        self.url.to_url_string(Secrets::Shown)
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
        let proxied = at_local_ports(&self.url, self.proxies.ports());
        [self.shown_url(), proxied]
    }

    fn describe(&self, fault: &Fault) -> String {
        Proxies::describe(fault)
    }

    fn await_whole(&self) -> Result<()> {
        // The hook has waited, or nothing can.
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
        // The hook may delete any queues.
        match fault.kind {
            FaultKind::Queue | FaultKind::Vhost => Consumer::ALL.to_vec(),
            _ => Vec::new(),
        }
    }

    fn broker(&self) -> Option<String> {
        client::broker_version(&BrokerAddress::parse(&self.shown_url()).ok()?).ok()
    }
}

/// Whether the hook makes the fault. Both can cut a node off; the hook is preferred.
fn is_of_hook(kind: FaultKind, has_hook: bool) -> bool {
    !kind.is_of_proxies() && (has_hook || kind != FaultKind::Cut)
}
