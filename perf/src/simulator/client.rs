//! `rpc-client`: threads that call or cast, each its own count of messages, to the targets in turn.
//!
//! A message that fails is noted under `error` and the thread goes on, so a broker's restart shows
//! as a number, not as an end. It ends when all messages are sent, at its time limit, or at a
//! signal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use leveret::{Context, RpcClient, Target, Transport};
use serde::Serialize;
use serde_json::{Value, json};

use super::collector::Collector;
use super::message::{Message, SyncMessage};
use super::monitor::Monitor;
use super::{lengths, summary};
use crate::cli::command_line::Cli;
use crate::cli::simulator::{RpcClientArgs, Sync};
use crate::system::{clock, sys};

/// Argument of `info`.
#[derive(Serialize)]
struct InfoArgs<'a> {
    message: &'a Message,
}

/// Argument of `sync_start` and `sync_done`.
#[derive(Serialize)]
struct SyncArgs<'a> {
    message: &'a SyncMessage,
}

/// What one thread notes.
pub(super) struct Collectors {
    pub(super) sent: Arc<Collector>,
    pub(super) failed: Arc<Collector>,
    returned: Arc<Collector>,
}

impl Collectors {
    pub(super) fn of_thread(n: usize) -> Self {
        let new = |label: &str| Arc::new(Collector::new(format!("{label}_{n}")));
        Self { sent: new("client"), failed: new("error"), returned: new("round_trip") }
    }

    pub(super) fn all(&self) -> [Arc<Collector>; 3] {
        [&self.sent, &self.failed, &self.returned].map(Arc::clone)
    }
}

/// Runs the client until its end and reports.
pub(crate) fn run(cli: &Cli, args: &RpcClientArgs) -> Result<()> {
    sys::note_signals();
    let transport = super::broker::transport(cli)?;
    let timeout = Duration::try_from_secs_f64(args.timeout).context("--timeout is no time")?;
    let limit = cli.simulator.limit_seconds.and_then(|l| Duration::try_from_secs_f64(l).ok());
    let end = limit.map(|limit| clock::now() + limit);
    let targets = &cli.simulator.targets;
    let cargos: Arc<[String]> = lengths::cargos(&mut fastrand::Rng::new()).into();
    let collectors: Vec<Collectors> = (0..args.threads).map(Collectors::of_thread).collect();
    let monitor = Monitor::start(collectors.iter().flat_map(Collectors::all).collect())?;

    std::thread::scope(|scope| {
        for (n, collectors) in collectors.iter().enumerate() {
            let clients: Vec<RpcClient> = targets
                .iter()
                .map(|target| client(&transport, target, args.is_fanout, timeout))
                .collect();
            let cargos = Arc::clone(&cargos);
            scope.spawn(move || {
                let sync = args.sync.map(|how| (how, sync_id(n)));
                tell(&sync, &clients, "sync_start");
                send_all(args, &clients, &cargos, end, collectors);
                tell(&sync, &clients, "sync_done");
            });
        }
    });
    std::thread::sleep(Duration::try_from_secs_f64(args.exit_wait).unwrap_or_default());
    monitor.stop();
    report(cli, !(args.is_cast || args.is_fanout), &collectors)
}

/// A client of one `topic.server` target.
fn client(transport: &Transport, target: &str, fanout: bool, timeout: Duration) -> RpcClient {
    let (topic, server) = target.split_once('.').unwrap_or((target, ""));
    let mut target = Target::new(topic);
    if !server.is_empty() && !fanout {
        target = target.with_server(server);
    }
    let target = target.with_fanout(fanout);
    RpcClient::new(transport, target).with_timeout(timeout)
}

/// Sends one thread's messages.
fn send_all(
    args: &RpcClientArgs,
    clients: &[RpcClient],
    cargos: &[String],
    end: Option<Instant>,
    collectors: &Collectors,
) {
    let pause = Duration::try_from_secs_f64(args.wait_after_msg).ok();
    let turns =
        clients.iter().cycle().zip(cargos.iter().cycle().skip(fastrand::usize(..cargos.len())));
    for (seq, (client, cargo)) in (0..args.messages).zip(turns) {
        if sys::asked_to_stop() || end.is_some_and(|end| clock::now() >= end) {
            return;
        }
        let message = Message::outgoing(seq, cargo, clock::wall_seconds());
        match send(args, client, &message) {
            Ok(back) => {
                collectors.sent.note(&message);
                if let Some(back) = back {
                    collectors.returned.note(&back);
                }
            }
            Err(_) => collectors.failed.note(&message),
        }
        if let Some(pause) = pause {
            std::thread::sleep(pause);
        }
    }
}

/// Casts a message, or calls and returns what came back.
fn send(
    args: &RpcClientArgs,
    client: &RpcClient,
    message: &Message,
) -> Result<Option<Message>, leveret::Error> {
    let context = Context::default();
    let arguments = InfoArgs { message };
    if args.is_cast || args.is_fanout {
        client.cast_blocking(&context, "info", &arguments)?;
        return Ok(None);
    }
    let mut back: Message = client.call_blocking(&context, "info", &arguments)?;
    back.4 = clock::wall_seconds();
    Ok(Some(back))
}

/// `<client> <salt>@<host>`, as the simulator names its clients.
fn sync_id(n: usize) -> SyncMessage {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    SyncMessage { id: format!("client_{n} {:016x}@{}", fastrand::u64(..), host.trim()) }
}

/// Tells the servers that this client starts or is done. A server that does not hear it ends by
/// other means.
fn tell(sync: &Option<(Sync, SyncMessage)>, clients: &[RpcClient], method: &str) {
    let Some((how, message)) = sync else { return };
    let context = Context::default();
    for client in clients {
        let arguments = SyncArgs { message };
        let told = match how {
            Sync::Call => client.call_blocking::<Value>(&context, method, &arguments).map(drop),
            Sync::Fanout => {
                client.clone().with_fanout(true).cast_blocking(&context, method, &arguments)
            }
        };
        if let Err(error) = told {
            summary::print_error(method, &error);
        }
    }
}

/// Prints the summaries and writes the JSON.
pub(super) fn report(cli: &Cli, calls: bool, collectors: &[Collectors]) -> Result<()> {
    let sum = |which: fn(&Collectors) -> &Arc<Collector>| {
        let points: Vec<_> = collectors.iter().flat_map(|one| which(one).series()).collect();
        summary::sum_up(&points)
    };
    let client = sum(|one| &one.sent);
    let error = sum(|one| &one.failed);
    let round_trip = sum(|one| &one.returned);
    summary::print_summary("client", &client);
    summary::print_summary("error", &error);
    if calls {
        summary::print_summary("round-trip", &round_trip);
    }
    if let Some(path) = &cli.json {
        let summary = json!({ "client": client, "error": error, "round_trip": round_trip });
        let all: Vec<Arc<Collector>> = collectors.iter().flat_map(Collectors::all).collect();
        summary::write_json(path, &all.iter().map(Arc::as_ref).collect::<Vec<_>>(), &summary)?;
    }
    Ok(())
}
