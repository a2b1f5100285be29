//! A private RabbitMQ node, or a cluster of nodes, for tests.
//!
//! Invariant: a returned broker answers AMQP until a test kills or freezes it. Dropping it, or the
//! end of the test process, stops it and removes its folder. Not here: the configuration and start
//! of a node (`node`).

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::control::Control;
use crate::network::Network;
use crate::node::{self, Node};
use crate::operator::{ALL, Alarm};
use crate::watchdog::Watchdog;

/// Start attempts: another process may take a port between the draw and the node's start, but
/// hardly three times.
const ATTEMPTS: usize = 3;
/// Longest wait for the first node of a cluster before the other nodes start.
const FIRST_WITHIN: Duration = Duration::from_secs(15);
/// Longest wait until running nodes see each other.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);

/// Number of running nodes, by the function of this release or of earlier ones.
const RUNNING: &str =
    "length(try rabbit_nodes:list_running() catch _:_ -> rabbit_nodes:all_running() end).";

/// One queue in the list of [`Broker::queues`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueCount {
    /// Name of the queue.
    pub name: String,
    /// Messages ready or delivered and not yet acknowledged.
    pub messages: u64,
    /// Consumers attached.
    pub consumers: u64,
}

/// A running private RabbitMQ node, reachable on 127.0.0.1 as `guest`/`guest`.
///
/// All methods panic when the node does not do what the caller asks: a test cannot handle such an
/// error.
#[derive(Debug)]
pub struct Broker {
    // Fields drop in this order: the watchdog must drop last, after the node.
    node: Node,
    server: Mutex<Option<Child>>,
    vhosts: AtomicU32,
    folder: PathBuf,
    watchdog: Option<Watchdog>,
}

impl Broker {
    /// Starts a node and returns when AMQP answers, after about 3 s.
    ///
    /// # Panics
    /// When RabbitMQ is not installed (the message says how to install it) or does not start.
    pub fn start() -> Self {
        Self::cluster(1).pop().expect("a cluster of one has one node")
    }

    /// Starts a cluster of `nodes` nodes and returns when each node sees all others.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn cluster(nodes: usize) -> Vec<Self> {
        let started = Self::try_cluster(nodes);
        started.unwrap_or_else(|reason| panic!("RabbitMQ did not start: {reason}"))
    }

    /// [`cluster`](Self::cluster) for programs that report errors.
    ///
    /// # Errors
    /// Why the nodes do not run, with the last lines of a log.
    pub fn try_cluster(nodes: usize) -> Result<Vec<Self>, String> {
        Self::try_cluster_in(nodes, None)
    }

    /// [`try_cluster`](Self::try_cluster), with each node in its own network if `network` is given.
    ///
    /// # Errors
    /// As [`try_cluster`](Self::try_cluster).
    pub fn try_cluster_in(nodes: usize, network: Option<&Network>) -> Result<Vec<Self>, String> {
        let scripts = node::find_scripts()?;
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            let brokers = Self::create(nodes, &scripts, network);
            let started: Result<(), String> = std::thread::scope(|scope| {
                let mut starts = Vec::new();
                for broker in &brokers {
                    starts.push(scope.spawn(|| broker.bring_up()));
                    if starts.len() == 1 {
                        // The first node starts alone: RabbitMQ 3 nodes that form a cluster at the
                        // same time wait for each other's locks. The wait is bounded, because a
                        // RabbitMQ 4 node is not up without the others.
                        let until = Instant::now() + FIRST_WITHIN;
                        while !starts[0].is_finished() && Instant::now() < until {
                            std::thread::sleep(Duration::from_millis(20));
                        }
                    }
                }
                starts.into_iter().try_for_each(|start| start.join().expect("no panic"))
            });
            match started {
                Ok(()) => {
                    let is_whole = |broker: &Self| broker.is_whole_within(nodes, WHOLE_WITHIN);
                    return match brokers.iter().all(is_whole) {
                        true => Ok(brokers),
                        false => Err(format!("no cluster of {nodes} within {WHOLE_WITHIN:?}")),
                    };
                }
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }

    fn create(nodes: usize, scripts: &Path, network: Option<&Network>) -> Vec<Self> {
        let folder = |_| {
            let folder = tempfile::Builder::new().prefix("leveret-broker-").tempdir();
            folder.expect("the temporary folder is writable").keep()
        };
        let folders: Vec<PathBuf> = (0..nodes).map(folder).collect();
        let nodes = Node::create(&folders, scripts, network);
        let nodes = nodes.expect("the temporary folder is writable");
        let broker = |(node, folder): (Node, PathBuf)| Self {
            node,
            server: Mutex::default(),
            vhosts: AtomicU32::new(0),
            watchdog: Some(Watchdog::start(&folder).expect("/bin/sh can be run")),
            folder,
        };
        nodes.into_iter().zip(folders).map(broker).collect()
    }

    fn bring_up(&self) -> Result<(), String> {
        *self.server() = Some(self.node.start()?);
        Ok(())
    }

    /// Waits until this node sees `nodes` running nodes in its cluster.
    ///
    /// # Panics
    /// When it does not see them within a minute.
    pub fn await_whole(&self, nodes: usize) {
        let is_whole = self.is_whole_within(nodes, WHOLE_WITHIN);
        assert!(is_whole, "no cluster of {nodes} within {WHOLE_WITHIN:?}");
    }

    /// Waits until this node sees `nodes` running nodes in its cluster; returns false after
    /// `within`.
    pub fn is_whole_within(&self, nodes: usize, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while self.nodes_running() < nodes {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }

    /// Returns how many running nodes this node sees in its cluster, itself included; zero if it
    /// does not answer.
    pub fn nodes_running(&self) -> usize {
        self.try_eval(RUNNING).ok().and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// Returns the node that all tests of this process share; the first call starts it.
    ///
    /// Each test uses its own [`vhost`](Self::vhost). A test that kills, freezes or starves a
    /// broker starts its own.
    pub fn shared() -> &'static Self {
        // A failure is kept: if a node does not start, no test waits for that again.
        static SHARED: OnceLock<Result<Broker, String>> = OnceLock::new();
        let started = SHARED.get_or_init(|| Self::try_cluster(1).map(|mut nodes| nodes.remove(0)));
        started.as_ref().unwrap_or_else(|reason| panic!("RabbitMQ did not start: {reason}"))
    }

    /// Returns `rabbit://guest:guest@127.0.0.1:PORT/`, the URL of the default virtual host.
    pub fn url(&self) -> String {
        self.url_of("")
    }

    /// Returns the URL of a virtual host. The name must not contain characters that a URL escapes.
    pub fn url_of(&self, vhost: &str) -> String {
        format!("rabbit://guest:guest@{}/{vhost}", self.address())
    }

    /// Returns the address of the AMQP listener; a restart does not change it.
    pub fn address(&self) -> SocketAddr {
        (self.node.address, self.port()).into()
    }

    /// Returns the AMQP port; a restart does not change it.
    pub fn port(&self) -> u16 {
        self.node.amqp_port
    }

    /// Returns the process id of the broker's virtual machine.
    ///
    /// # Panics
    /// When the broker was killed.
    pub fn pid(&self) -> u32 {
        let pid = self.node.beam().filter(|pid| node::is_alive(*pid));
        pid.expect("the broker runs").as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether the broker's virtual machine runs: it was started and not killed.
    pub fn is_running(&self) -> bool {
        self.server().is_some() && self.node.beam().is_some_and(node::is_alive)
    }

    /// Returns the folder of all files the node reads and writes; it is removed with the broker.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Creates a virtual host for one test and returns its URL. `name` (letters, digits, `-` and
    /// `_`) identifies the test in the broker's log; a number makes it unique.
    pub fn vhost(&self, name: &str) -> String {
        let number = self.vhosts.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}-{number}");
        self.add_vhost(&name);
        self.url_of(&name)
    }

    /// Creates the virtual host `name` and gives `guest` all permissions in it. Returns when
    /// clients can enter it.
    pub fn add_vhost(&self, name: &str) {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        assert!(name.chars().all(plain), "a vhost name without escapes, not {name:?}");
        self.operator().add_vhost(name).expect("the virtual host is new");
        self.set_permissions("guest", name, ALL);
    }

    /// Deletes a virtual host; RabbitMQ closes its connections.
    pub fn delete_vhost(&self, name: &str) {
        self.operator().delete_vhost(name).expect("the virtual host exists");
    }

    /// Kills the broker with signal 9. Its port refuses connections afterwards.
    pub fn kill(&self) {
        if let Some(mut server) = self.server().take() {
            self.node.kill(&mut server);
        }
    }

    /// Starts the broker again, killing it first if it still runs: same ports, same data.
    /// Returns when AMQP answers.
    pub fn restart(&self) {
        self.try_restart().expect("the node restarts");
    }

    /// [`restart`](Self::restart) for programs that report errors.
    ///
    /// # Errors
    /// Why the node does not run, with the end of its log.
    pub fn try_restart(&self) -> Result<(), String> {
        self.kill();
        self.bring_up()
    }

    /// Stops the broker in order (`SIGTERM`) and waits for its end; kills it after half a minute.
    pub fn stop(&self) {
        if let Some(mut server) = self.server().take() {
            self.node.stop(&mut server);
        }
    }

    /// Freezes the broker (`SIGSTOP`): its connections stay open and silent.
    pub fn freeze(&self) {
        self.node.signal(Signal::STOP);
    }

    /// Resumes a frozen broker (`SIGCONT`).
    pub fn thaw(&self) {
        self.node.signal(Signal::CONT);
    }

    /// Refuses new connections; open connections continue.
    pub fn stop_listening(&self) {
        self.eval("rabbit_maintenance:suspend_all_client_listeners().");
    }

    /// Accepts connections again after [`stop_listening`](Self::stop_listening).
    pub fn resume_listening(&self) {
        self.eval("rabbit_maintenance:resume_all_client_listeners().");
    }

    /// Closes every connection with 320 CONNECTION_FORCED, as an operator would.
    pub fn close_connections(&self, reason: &str) {
        self.operator().close_connections(reason).expect("the node lists its connections");
    }

    /// Raises (true) or clears (false) the memory alarm: the broker blocks publishing connections.
    pub fn set_memory_alarm(&self, raised: bool) {
        self.operator().set_alarm(Alarm::Memory, raised).expect("the node accepts any watermark");
    }

    /// Returns the queues of the default virtual host, sorted by name.
    pub fn queues(&self) -> Vec<QueueCount> {
        self.queues_of("/")
    }

    /// Returns the queues of a virtual host (its name, or a URL that ends with it), sorted by name.
    pub fn queues_of(&self, vhost: &str) -> Vec<QueueCount> {
        let vhost = vhost_name(vhost);
        let listing = self.eval(&format!(
            "unicode:characters_to_binary([try [{{name, {{resource, _, queue, N}}}}, \
             {{messages, M}}, {{consumers, C}}] = \
             rabbit_amqqueue:info(Q, [name, messages, consumers]), \
             io_lib:format(\"~b ~b ~ts~n\", [M, C, N]) catch _:_ -> [] end \
             || Q <- rabbit_amqqueue:list(<<\"{vhost}\">>)])."
        ));
        let mut queues: Vec<QueueCount> = listing.lines().filter_map(queue_count).collect();
        queues.sort();
        queues
    }

    /// Returns how many AMQP connections are open, in all virtual hosts.
    pub fn connections(&self) -> usize {
        self.number("length(rabbit_networking:connections()).")
    }

    /// Returns how many AMQP connections this node of a cluster has.
    pub fn connections_here(&self) -> usize {
        self.number("length(rabbit_networking:local_connections()).")
    }

    /// Returns how many AMQP connections a virtual host (its name, or a URL that ends with it) has.
    pub fn connections_of(&self, vhost: &str) -> usize {
        let vhost = vhost_name(vhost);
        self.number(&format!(
            "length([V || [{{vhost, V}}] <- rabbit_networking:connection_info_all([vhost]), \
             V =:= <<\"{vhost}\">>])."
        ))
    }

    /// Runs `rabbitmqctl -q` with `arguments` and returns its output. Slow (2 s), because it starts
    /// an Erlang virtual machine; [`eval`](Self::eval) does not.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let output = self.node.command("rabbitmqctl").arg("-q").args(arguments).output();
        let output = output.expect("rabbitmqctl can be run");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "rabbitmqctl {arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Evaluates Erlang expressions inside the node, in about a millisecond. The last ends with a
    /// full stop; its value is returned: a binary unchanged, any other value printed as a term.
    pub fn eval(&self, expressions: &str) -> String {
        self.try_eval(expressions).expect("the node evaluates the expression")
    }

    /// [`eval`](Self::eval) for a node that may be down, or for expressions that may fail.
    ///
    /// # Errors
    /// The error of the connection, or the answer of the node.
    pub fn try_eval(&self, expressions: &str) -> io::Result<String> {
        self.node.control.eval(expressions)
    }

    /// Returns the last lines of the broker's log, for the message of a failed assertion.
    pub fn log_tail(&self) -> String {
        self.node.log_tail(40)
    }

    pub(crate) fn control(&self) -> &Control {
        &self.node.control
    }

    fn number(&self, expressions: &str) -> usize {
        self.eval(expressions).parse().expect("Erlang's length/1 is a number")
    }

    fn server(&self) -> MutexGuard<'_, Option<Child>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        self.watchdog = None;
    }
}

/// Returns the virtual host of a URL; any other text is the name itself.
pub(crate) fn vhost_name(text: &str) -> &str {
    match text.split_once("://") {
        Some((_, rest)) => match rest.rsplit_once('/') {
            Some((_, name)) if !name.is_empty() => name,
            _ => "/",
        },
        None => text,
    }
}

fn queue_count(line: &str) -> Option<QueueCount> {
    let mut fields = line.splitn(3, ' ');
    let messages = fields.next()?.parse().ok()?;
    let consumers = fields.next()?.parse().ok()?;
    Some(QueueCount { name: fields.next()?.to_owned(), messages, consumers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vhost_may_be_given_by_name_or_by_url() {
        assert_eq!(vhost_name("alpha"), "alpha");
        assert_eq!(vhost_name("/"), "/");
        assert_eq!(vhost_name("rabbit://guest:guest@127.0.0.1:5672/alpha-3"), "alpha-3");
        assert_eq!(vhost_name("rabbit://guest:guest@127.0.0.1:5672/"), "/");
    }

    #[test]
    fn a_queue_name_may_hold_spaces() {
        let count = queue_count("3 1 a queue").unwrap();
        assert_eq!(count, QueueCount { name: "a queue".into(), messages: 3, consumers: 1 });
        assert_eq!(queue_count("garbage"), None);
    }
}
