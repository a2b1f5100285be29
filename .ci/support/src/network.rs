//! A network for each node of a cluster, with a link that tests can take down.
//!
//! Each node has a network namespace with one address. The namespace of this process must be
//! private as well; it has a bridge that joins the nodes. The module does not touch the machine's
//! network, and the kernel removes all of it with the last process. A node whose link is down
//! reaches neither the other nodes nor this process, and neither side gets an error: the kernel
//! drops the packets. Invariant: the processes that hold the namespaces do not outlive this
//! process. Needs root, and the programs `unshare`, `nsenter` and `ip`. Not here: nodes (`node`).

use std::io::{self, BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::watchdog::{MARK, Watchdog};

/// The first three octets of every address; the bridge has the last address.
const SUBNET: [u8; 3] = [10, 213, 77];
const BRIDGE: &str = "leveret0";
/// The first process of a namespace: it sleeps until it is killed.
const HOLD: &str = "ip link set lo up && echo held && exec sleep 1000000";
/// The operations this module needs, tried in a namespace that ends with the command.
const PROBE: &str = "ip link set lo up && ip link add leveret0 type bridge && \
                     ip link add leveret1 type veth peer name leveret2 && \
                     unshare --net nsenter --net=/proc/self/ns/net true";

/// One network namespace per node.
#[derive(Debug)]
pub struct Network {
    holders: Vec<Child>,
    watchdog: Option<Watchdog>,
    folder: PathBuf,
}

impl Network {
    /// Whether this machine allows such networks in a private namespace.
    pub fn is_possible() -> bool {
        let probe = Command::new("unshare")
            .args(["--net", "/bin/sh", "-c", PROBE])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        rustix::process::geteuid().is_root() && probe.is_ok_and(|status| status.success())
    }

    /// The command that runs a program in a network namespace of its own, where
    /// [`start`](Self::start) may be called.
    pub fn own_namespace(program: &std::path::Path) -> Command {
        let mut command = Command::new("unshare");
        command.arg("--net").arg(program);
        command
    }

    /// Creates a network for each of `nodes` nodes in the namespace of this process, which must be
    /// private.
    ///
    /// # Errors
    /// The output of `ip`, if the operation is not permitted or the namespace has such a network
    /// already.
    pub fn start(nodes: usize) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("leveret-network-").tempdir()?.keep();
        let watchdog = Some(Watchdog::start(&folder)?);
        let mut network = Self { holders: Vec::new(), watchdog, folder };
        ip("link set lo up")?;
        ip(&format!("link add {BRIDGE} type bridge"))?;
        ip(&format!("addr add {}/24 dev {BRIDGE}", address(253)))?;
        ip(&format!("link set {BRIDGE} up"))?;
        for node in 0..nodes {
            let holder = network.hold()?;
            let pid = holder.id();
            network.holders.push(holder);
            let link = link(node);
            ip(&format!("link add {link} type veth peer name eth0 netns {pid}"))?;
            ip(&format!("link set {link} master {BRIDGE} up"))?;
            let inside = |text: &str| run(network.enter(node, "ip").args(text.split(' ')));
            inside(&format!("addr add {}/24 dev eth0", network.address(node)))?;
            inside("link set eth0 up")?;
        }
        Ok(network)
    }

    /// Starts a process that holds a namespace.
    fn hold(&self) -> io::Result<Child> {
        let mut holder = Command::new("unshare")
            .args(["--net", "/bin/sh", "-c", HOLD])
            .env(MARK, &self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = holder.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        match line.trim() {
            "held" => Ok(holder),
            _ => Err(io::Error::other("cannot create a network namespace")),
        }
    }

    /// Returns the address of a node; the first node is 0.
    pub fn address(&self, node: usize) -> Ipv4Addr {
        address(node)
    }

    /// Takes a node's link down.
    ///
    /// # Errors
    /// The output of `ip`.
    pub fn cut(&self, node: usize) -> io::Result<()> {
        ip(&format!("link set {} down", link(node)))
    }

    /// Brings a node's link up again.
    ///
    /// # Errors
    /// The output of `ip`.
    pub fn heal(&self, node: usize) -> io::Result<()> {
        ip(&format!("link set {} up", link(node)))
    }

    /// Returns the command that runs a program in the network of a node.
    pub(crate) fn enter(&self, node: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
        enter(self.pid(node), program)
    }

    /// Returns the id of the process that holds a node's namespace.
    pub(crate) fn pid(&self, node: usize) -> u32 {
        self.holders[node].id()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.watchdog = None;
        for holder in &mut self.holders {
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

/// Returns the command that runs a program in the network of a process.
pub(crate) fn enter(pid: u32, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{pid}/ns/net")).arg("--").arg(program);
    command
}

fn address(node: usize) -> Ipv4Addr {
    let [a, b, c] = SUBNET;
    Ipv4Addr::new(a, b, c, u8::try_from(node + 1).unwrap_or(u8::MAX))
}

/// The name of the bridge's end of a node's link.
fn link(node: usize) -> String {
    format!("leveret-n{node}")
}

fn ip(arguments: &str) -> io::Result<()> {
    run(Command::new("ip").args(arguments.split(' ')))
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            Err(io::Error::other(format!("{command:?}: {}", stderr.trim())))
        }
    }
}
