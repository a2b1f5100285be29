//! One RabbitMQ node as files and processes: configuration, start, signals.
//!
//! A node reads and writes only in its data folder. It opens only its own ports, epmd's included,
//! so nodes are independent unless they form one cluster. Invariant: after `start` returned `Ok`,
//! AMQP and the control port both answer. Not here: the operations of tests (`broker`), clean-up
//! (`watchdog`).

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::control::Control;
use crate::network::{self, Network};
use crate::watchdog::MARK;

/// A node takes 3 s to start on an idle machine; several nodes on two busy cores need longer.
const UP_WITHIN: Duration = Duration::from_secs(120);
/// A node takes a second or two to stop in order.
const DOWN_WITHIN: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(20);
/// Consecutive ports for rabbitmqctl, which is an Erlang node itself and needs one per call.
const CTL_PORTS: u16 = 20;

/// The ports, folder and name of a node, which may or may not be running.
#[derive(Debug)]
pub(crate) struct Node {
    folder: PathBuf,
    scripts: PathBuf,
    name: String,
    cookie: String,
    pub(crate) address: Ipv4Addr,
    /// The process whose network the node uses, if it is not this process's network.
    network: Option<u32>,
    pub(crate) amqp_port: u16,
    distribution_port: u16,
    epmd_port: u16,
    pub(crate) control: Control,
}

impl Node {
    /// Writes the configuration of new nodes, one into each of the empty `folders`. Several nodes
    /// form one cluster when they start.
    pub(crate) fn create(
        folders: &[PathBuf],
        scripts: &Path,
        network: Option<&Network>,
    ) -> io::Result<Vec<Self>> {
        let location = |number| match network {
            Some(network) => (network.address(number), Some(network.pid(number))),
            None => (Ipv4Addr::LOCALHOST, None),
        };
        let draw =
            |(number, folder): (usize, &PathBuf)| Self::draw(folder, scripts, location(number));
        let mut nodes: Vec<Self> = folders.iter().enumerate().map(draw).collect();
        let first = nodes.first().map(|first| (first.cookie.clone(), first.epmd_port));
        for (node, (cookie, epmd_port)) in nodes.iter_mut().zip(first.into_iter().cycle()) {
            (node.cookie, node.epmd_port) = (cookie, epmd_port);
        }
        for node in &nodes {
            node.configure(&nodes)?;
        }
        Ok(nodes)
    }

    fn draw(folder: &Path, scripts: &Path, (address, network): (Ipv4Addr, Option<u32>)) -> Self {
        let [amqp_port, distribution_port, epmd_port, control_port] = crate::ports::draw();
        let host = network.map_or("localhost".to_owned(), |_| address.to_string());
        Self {
            name: format!("leveret{:08x}@{host}", crate::random() as u32),
            cookie: format!("{:016x}", crate::random()),
            control: Control::new(address, control_port),
            address,
            network,
            folder: folder.to_owned(),
            scripts: scripts.to_owned(),
            amqp_port,
            distribution_port,
            epmd_port,
        }
    }

    fn configure(&self, cluster: &[Self]) -> io::Result<()> {
        let cookie = self.folder.join(".erlang.cookie");
        fs::write(&cookie, &self.cookie)?;
        fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400))?;
        let mut config = format!(
            "listeners.tcp.1 = {}:{}\n\
             loopback_users = none\n\
             disk_free_limit.absolute = 50MB\n\
             log.console = false\n\
             log.file = rabbit.log\n\
             log.file.level = info\n",
            self.address, self.amqp_port
        );
        if self.network.is_some() {
            // RabbitMQ's advice for networks that may be partitioned. The nodes detect a partition
            // a little later than the tick time; on a busy machine nodes also stay unresponsive for
            // seconds.
            config += "cluster_partition_handling = pause_minority\nnet_ticktime = 10\n";
        }
        if cluster.len() > 1 {
            config += "cluster_formation.peer_discovery_backend = classic_config\n";
            for (number, Self { name, .. }) in (1..).zip(cluster) {
                config += &format!("cluster_formation.classic_config.nodes.{number} = {name}\n");
            }
        }
        fs::write(self.folder.join("rabbitmq.conf"), config)?;
        fs::write(self.folder.join("advanced.config"), "[].\n")?;
        fs::write(self.folder.join("enabled_plugins"), "[].\n")?;
        self.control.install(&self.folder.join("control.erl"))
    }

    /// Starts the node and waits until AMQP answers; an error contains the last lines of its logs.
    pub(crate) fn start(&self) -> Result<Child, String> {
        let _ = fs::remove_file(self.folder.join("beam.pid"));
        let _ = fs::create_dir(self.folder.join("log"));
        let console = fs::File::create(self.folder.join("console.log"))
            .map_err(|error| format!("cannot write {}: {error}", self.folder.display()))?;
        let mut server = self
            .command("rabbitmq-server")
            .stdin(Stdio::null())
            .stdout(console.try_clone().map_err(|error| error.to_string())?)
            .stderr(console)
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot run rabbitmq-server: {error}"))?;
        match self.await_up(&mut server) {
            Ok(()) => Ok(server),
            Err(reason) => {
                self.kill(&mut server);
                Err(format!("{reason}\n{}", self.log_tail(30)))
            }
        }
    }

    fn await_up(&self, server: &mut Child) -> Result<(), String> {
        let deadline = Instant::now() + UP_WITHIN;
        while !(self.control.eval("up.").is_ok() && self.amqp_answers()) {
            if let Ok(Some(status)) = server.try_wait() {
                return Err(format!("rabbitmq-server ended at its start: {status}"));
            }
            if Instant::now() > deadline {
                return Err(format!("no AMQP answer within {UP_WITHIN:?}"));
            }
            std::thread::sleep(POLL_EVERY);
        }
        Ok(())
    }

    /// AMQP 4.2.2: the server answers the protocol header with `connection.start`, a method frame
    /// (1).
    fn amqp_answers(&self) -> bool {
        let address = SocketAddr::from((self.address, self.amqp_port));
        let answer = || -> io::Result<u8> {
            let mut socket = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
            socket.set_read_timeout(Some(Duration::from_secs(2)))?;
            socket.write_all(b"AMQP\x00\x00\x09\x01")?;
            let mut first = [0];
            socket.read_exact(&mut first)?;
            Ok(first[0])
        };
        answer().is_ok_and(|first| first == 1)
    }

    /// Kills the virtual machine (signal 9) and waits for its end.
    pub(crate) fn kill(&self, server: &mut Child) {
        // The group contains the script and the virtual machine. The pid file may be missing: the
        // node writes it late, and removes it when it stops.
        let group = members(Pid::from_child(server));
        let _ = kill_process_group(Pid::from_child(server), Signal::KILL);
        let _ = server.wait();
        let deadline = Instant::now() + Duration::from_secs(10);
        while group.iter().any(|pid| is_alive(*pid)) && Instant::now() < deadline {
            std::thread::sleep(POLL_EVERY);
        }
    }

    /// Asks the virtual machine to stop and waits for its end; kills it after [`DOWN_WITHIN`].
    pub(crate) fn stop(&self, server: &mut Child) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + DOWN_WITHIN;
        // The script ends with the virtual machine.
        while matches!(server.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(POLL_EVERY);
        }
        self.kill(server);
    }

    /// Sends `signal` to the virtual machine, if the pid file exists.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.beam() {
            let _ = kill_process(pid, signal);
        }
    }

    pub(crate) fn beam(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.folder.join("beam.pid")).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }

    /// Returns the command of one of RabbitMQ's scripts, without variables of another node.
    pub(crate) fn command(&self, script: &str) -> Command {
        let script = self.scripts.join(script);
        let mut command = match self.network {
            Some(pid) => network::enter(pid, script),
            None => Command::new(script),
        };
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["RABBITMQ_", "ERL_"].iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        if self.network.is_some() {
            // The node's host is an address, which Erlang treats as a long name.
            command.env("RABBITMQ_USE_LONGNAME", "true");
        }
        let file = |name: &str| self.folder.join(name);
        let highest_ctl_port = self.distribution_port + CTL_PORTS;
        command
            .current_dir(&self.folder)
            .env(MARK, &self.folder)
            .env("HOME", &self.folder)
            .env("LC_ALL", "C.UTF-8")
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", self.address.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_NODENAME", &self.name)
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_CTL_DIST_PORT_MIN", (self.distribution_port + 1).to_string())
            .env("RABBITMQ_CTL_DIST_PORT_MAX", highest_ctl_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", file("data"))
            .env("RABBITMQ_LOG_BASE", file("log"))
            .env("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", file("advanced.config"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", file("enabled_plugins"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", file("generated"))
            .env("RABBITMQ_PID_FILE", file("beam.pid"))
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                format!(
                    "+S 2:2 +sbwt none -kernel inet_dist_use_interface {{{}}} \
                     -run file eval {}",
                    self.address.octets().map(|octet| octet.to_string()).join(","),
                    file("control.erl").display()
                ),
            );
        command
    }

    /// Returns the last lines of the node's console and log.
    pub(crate) fn log_tail(&self, lines: usize) -> String {
        let part = |name: &str| crate::tail(&self.folder.join(name), lines);
        format!("{}\n{}", part("console.log"), part("log/rabbit.log"))
    }
}

/// Returns the processes of a group.
fn members(group: Pid) -> Vec<Pid> {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = folders
        .filter_map(|folder| Pid::from_raw(folder.file_name().to_str()?.parse().ok()?))
        .filter(|pid| {
            let stat = stat_of(*pid);
            let group_of = stat.as_deref().and_then(|stat| stat.split(' ').nth(2));
            group_of == Some(group.as_raw_nonzero().to_string().as_str())
        });
    pids.collect()
}

/// Whether `pid` runs; a zombie does not.
pub(crate) fn is_alive(pid: Pid) -> bool {
    stat_of(pid).is_some_and(|stat| !stat.starts_with('Z'))
}

/// Returns `/proc/PID/stat` of a process, from the state field on.
fn stat_of(pid: Pid) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    Some(stat.rsplit_once(") ")?.1.to_owned())
}

/// Returns the folder of RabbitMQ's scripts: `LEVERET_RABBITMQ_BIN`, Debian's folder, or the
/// `PATH`.
///
/// Debian's folder precedes the path because the wrappers on Debian's path insist on running as the
/// system's broker. The error says how to install RabbitMQ.
pub(crate) fn find_scripts() -> Result<PathBuf, String> {
    let has_server = |folder: &Path| folder.join("rabbitmq-server").is_file();
    if let Some(folder) = std::env::var_os("LEVERET_RABBITMQ_BIN").map(PathBuf::from) {
        return match has_server(&folder) {
            true => Ok(folder),
            false => Err(format!("LEVERET_RABBITMQ_BIN={folder:?} has no rabbitmq-server")),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(PathBuf::from("/usr/lib/rabbitmq/bin"))
        .chain(std::env::split_paths(&path))
        .find(|folder| has_server(folder))
        .ok_or_else(|| "it is missing: run `apt-get install rabbitmq-server`, or `.ci/test`".into())
}
