//! A private cluster: every fault can be made here.
//!
//! It has a user and a virtual host of its own. Faults do not touch the node's administrator, who
//! restores what they take away. Invariant: the proxy of a node refuses connections while the node
//! is down, as the node does. Not here: signals and administration of a node (`leveret_support`).

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use leveret_support::{ALL, Alarm, Broker, NONE, Network, Permissions};

use super::Site;
use super::proxies::Proxies;
use crate::broker::address::at_local_ports;
use crate::chaos::results::report::progress;
use crate::chaos::sequence::Fault;
use crate::chaos::stream::Consumer;
use crate::cli::chaos::FaultKind;

const USER: &str = "chaos";
const PASSWORD: &str = "chaos";
const VHOST: &str = "chaos";
/// Name of a policy by which queues refuse every message.
const REFUSING: &str = "refusing";
const REFUSES: &str = r#"{"max-length": 0, "overflow": "reject-publish"}"#;
/// Longest time until all nodes see each other again, even if one of them has to notice that it was
/// cut off.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);

/// Queues that faults delete: those of a consumer, or (`None`) those of replies.
const DELETABLE: [Option<Consumer>; 7] = [
    Some(Consumer::Requests),
    Some(Consumer::Once),
    Some(Consumer::Fanout),
    Some(Consumer::Events),
    Some(Consumer::Classic),
    Some(Consumer::ClassicEvents),
    None,
];

/// Consumers whose queues are bound to the common exchange.
const BOUND: [Consumer; 5] = [
    Consumer::Requests,
    Consumer::Once,
    Consumer::Events,
    Consumer::Classic,
    Consumer::ClassicEvents,
];

/// The nodes, and a proxy before each.
pub(crate) struct PrivateSite {
    // Fields drop in this order: the network is the last to go.
    nodes: Vec<Broker>,
    proxies: Proxies,
    network: Option<Network>,
    tag: String,
}

impl PrivateSite {
    /// Starts a cluster, each node in a network of its own if `network` is given.
    pub(crate) fn start(nodes: usize, network: Option<Network>, tag: &str) -> Result<Self> {
        let nodes = Broker::try_cluster_in(nodes, network.as_ref());
        let nodes = nodes.map_err(|reason| anyhow!("RabbitMQ: {reason}"))?;
        let proxies = Proxies::to(nodes.iter().map(Broker::address))?;
        let site = Self { nodes, proxies, network, tag: tag.to_owned() };
        site.make_user(&site.nodes[0])?;
        site.make_vhost(&site.nodes[0])?;
        Ok(site)
    }

    fn make_user(&self, node: &Broker) -> Result<()> {
        node.operator().add_user(USER, PASSWORD).context("the user is not made")
    }

    fn make_vhost(&self, node: &Broker) -> Result<()> {
        node.operator().add_vhost(VHOST).context("the virtual host is not made")?;
        self.permit(node, ALL)
    }

    fn permit(&self, node: &Broker, permissions: Permissions) -> Result<()> {
        let permitted = node.operator().set_permissions(USER, VHOST, permissions);
        permitted.context("the permissions are not changed")
    }

    /// Stops or kills a node, and closes its proxy.
    fn take_down(&self, node: usize, kind: FaultKind) {
        match kind {
            FaultKind::Kill => self.nodes[node].kill(),
            _ => self.nodes[node].stop(),
        }
        self.proxies.refuse(node, true);
    }

    fn bring_up(&self, node: usize) -> Result<()> {
        let started = self.nodes[node].try_restart();
        started.map_err(|reason| anyhow!("node {node} does not come back: {reason}"))?;
        self.proxies.refuse(node, false);
        Ok(())
    }

    /// Restarts a node that does not find its cluster.
    fn start_again(&self, node: usize) -> Result<()> {
        progress(&format!("node {node} does not find its cluster again, and is started again"));
        self.take_down(node, FaultKind::Kill);
        self.bring_up(node)?;
        ensure!(self.is_whole(), "the cluster is not whole after {WHOLE_WITHIN:?}");
        Ok(())
    }

    /// Whether all nodes see each other within `WHOLE_WITHIN`.
    fn is_whole(&self) -> bool {
        let count = self.nodes.len();
        self.nodes.iter().all(|node| node.is_whole_within(count, WHOLE_WITHIN))
    }

    fn delete_queues(&self, fault: &Fault, node: &Broker) -> Result<()> {
        let pattern = match fault.choose(&DELETABLE) {
            Some(consumer) => consumer.queues(&self.tag),
            None => "^reply_".to_owned(),
        };
        node.operator()
            .delete_queues(VHOST, &pattern)
            .with_context(|| format!("{pattern} is not deleted"))?;
        Ok(())
    }

    /// The exchange that a fault deletes.
    fn exchange(&self, fault: &Fault) -> String {
        match fault.choice % 2 {
            0 => self.tag.clone(),
            _ => format!("{}_fanout", Consumer::Fanout.topic(&self.tag)),
        }
    }

    /// A regular expression of the queue whose bindings a fault deletes.
    fn bound(&self, fault: &Fault) -> String {
        fault.choose(&BOUND).queues(&self.tag)
    }
}

impl Site for PrivateSite {
    fn nodes(&self) -> usize {
        self.nodes.len()
    }

    fn kinds(&self) -> Vec<FaultKind> {
        FaultKind::all().to_vec()
    }

    fn urls(&self) -> [String; 2] {
        let host = |node: &Broker| format!("{USER}:{PASSWORD}@{}", node.address());
        let hosts: Vec<String> = self.nodes.iter().map(host).collect();
        let url = format!("rabbit://{}/{VHOST}", hosts.join(","));
        let parsed = url.parse().expect("addresses and constant names are a URL");
        let proxied = at_local_ports(&parsed, self.proxies.ports());
        [url, proxied]
    }

    fn describe(&self, fault: &Fault) -> String {
        match fault.kind {
            FaultKind::Queue => match fault.choose(&DELETABLE) {
                Some(consumer) => consumer.queues(&self.tag),
                None => "replies".to_owned(),
            },
            FaultKind::Exchange => self.exchange(fault),
            FaultKind::Binding => self.bound(fault),
            FaultKind::Permissions if fault.choice % 2 == 1 => "connections closed".to_owned(),
            FaultKind::Cut => match self.network {
                Some(_) => "from everything".to_owned(),
                None => "from clients of its proxy".to_owned(),
            },
            _ => Proxies::describe(fault),
        }
    }

    /// RabbitMQ does not always recover from a partition by itself. The node that sees the fewest
    /// others is then restarted, as an operator would.
    fn await_whole(&self) -> Result<()> {
        if self.is_whole() {
            return Ok(());
        }
        let seen = |node: &usize| self.nodes[*node].nodes_running();
        let lonely = (0..self.nodes.len()).min_by_key(seen).unwrap_or_default();
        self.start_again(lonely)
    }

    fn begin(&mut self, fault: &Fault) -> Result<()> {
        let node = &self.nodes[fault.node];
        let operator = node.operator();
        match fault.kind {
            FaultKind::Kill | FaultKind::Stop => self.take_down(fault.node, fault.kind),
            FaultKind::Freeze => node.freeze(),
            FaultKind::Rolling => {
                for node in 0..self.nodes.len() {
                    self.take_down(node, FaultKind::Stop);
                    self.bring_up(node)?;
                    self.await_whole()?;
                }
            }
            FaultKind::Close => drop(operator.close_connections("as an operator would")?),
            FaultKind::User => {
                operator.delete_user(USER)?;
                operator.close_connections_by(USER)?;
            }
            FaultKind::Vhost => {
                // Quorum queues that are declared while their virtual host is deleted stay broken
                // on RabbitMQ 4.3 (541, `cluster_not_formed`).
                operator.clear_permissions(USER, VHOST)?;
                operator.close_connections_to(VHOST)?;
                operator.delete_vhost(VHOST)?;
            }
            FaultKind::Permissions => {
                self.permit(node, [NONE; 3])?;
                if fault.choice % 2 == 1 {
                    operator.close_connections("permissions changed")?;
                }
            }
            FaultKind::Queue => self.delete_queues(fault, node)?,
            // This fails if the exchange was not declared again since an earlier fault.
            FaultKind::Exchange => drop(operator.delete_exchange(VHOST, &self.exchange(fault))?),
            FaultKind::Binding => drop(operator.delete_bindings(VHOST, &self.bound(fault))?),
            FaultKind::Memory => operator.set_alarm(Alarm::Memory, true)?,
            FaultKind::Disk => operator.set_alarm(Alarm::Disk, true)?,
            FaultKind::Reject => operator.set_policy(VHOST, REFUSING, ".*", REFUSES)?,
            FaultKind::Cut => match &self.network {
                Some(network) => network.cut(fault.node)?,
                None => self.proxies.begin(fault),
            },
            _ => self.proxies.begin(fault),
        }
        Ok(())
    }

    fn end(&mut self, fault: &Fault) -> Result<()> {
        let node = &self.nodes[fault.node];
        let operator = node.operator();
        match fault.kind {
            FaultKind::Kill | FaultKind::Stop => self.bring_up(fault.node)?,
            FaultKind::Freeze => node.thaw(),
            FaultKind::User => {
                self.make_user(node)?;
                self.permit(node, ALL)?;
            }
            FaultKind::Vhost => self.make_vhost(node)?,
            FaultKind::Permissions => self.permit(node, ALL)?,
            FaultKind::Memory => operator.set_alarm(Alarm::Memory, false)?,
            FaultKind::Disk => operator.set_alarm(Alarm::Disk, false)?,
            FaultKind::Reject => operator.clear_policy(VHOST, REFUSING)?,
            FaultKind::Cut => match &self.network {
                Some(network) => network.heal(fault.node)?,
                None => self.proxies.end(fault),
            },
            _ => self.proxies.end(fault),
        }
        self.await_whole()
    }

    /// After a partition RabbitMQ may report the durable classic queues of the node that was cut
    /// off as inaccessible until that node is restarted.
    fn repair_broker(&mut self, fault: &Fault) -> Result<bool> {
        if !matches!(fault.kind, FaultKind::Cut | FaultKind::Freeze) {
            return Ok(false);
        }
        self.start_again(fault.node)?;
        Ok(true)
    }

    fn deleted_consumers(&self, fault: &Fault) -> Vec<Consumer> {
        match fault.kind {
            FaultKind::Queue => fault.choose(&DELETABLE).into_iter().collect(),
            FaultKind::Vhost => Consumer::ALL.to_vec(),
            _ => Vec::new(),
        }
    }

    fn broker(&self) -> Option<String> {
        let version = self.nodes[0].try_eval("list_to_binary(rabbit_misc:version()).").ok()?;
        Some(format!("RabbitMQ {version}"))
    }
}
