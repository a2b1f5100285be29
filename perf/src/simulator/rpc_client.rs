//! `rpc-client`: calls or casts to the targets in turn.

use std::time::Duration;

use anyhow::Result;
use leveret::{Context, RpcClient, Target, Transport};
use serde::Serialize;
use serde_json::Value;

use super::load::{Load, Sender};
use super::message::{Message, SyncMessage};
use super::summary;
use crate::cli::command_line::Cli;
use crate::cli::simulator::{RpcClientArgs, Sync};
use crate::system::clock;

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

/// Runs the client until its end and reports.
pub(crate) fn run(cli: &Cli, args: &RpcClientArgs) -> Result<()> {
    let has_replies = !(args.is_cast || args.is_fanout);
    let exit_wait = Duration::try_from_secs_f64(args.exit_wait).unwrap_or_default();
    let load = Load { cli, args: &args.load, has_replies, exit_wait };
    load.run(|n, transport, timeout| {
        let targets = &cli.simulator.targets;
        let client = |target: &String| client(transport, target, args.is_fanout, timeout);
        Requests {
            clients: targets.iter().map(client).collect(),
            next: 0,
            has_replies,
            sync: args.sync.map(|how| (how, sync_id(n))),
        }
    })
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

/// `<client> <salt>@<host>`, as the simulator names its clients.
fn sync_id(n: usize) -> SyncMessage {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    SyncMessage { id: format!("client_{n} {:016x}@{}", fastrand::u64(..), host.trim()) }
}

/// The requests of one thread.
struct Requests {
    clients: Vec<RpcClient>,
    /// Which client sends next.
    next: usize,
    has_replies: bool,
    sync: Option<(Sync, SyncMessage)>,
}

impl Sender for Requests {
    fn start(&self) {
        self.tell("sync_start");
    }

    /// Casts a message, or calls and returns what came back.
    fn send(&mut self, message: &Message) -> Result<Option<Message>, leveret::Error> {
        let client = &self.clients[self.next];
        self.next = (self.next + 1) % self.clients.len();
        let context = Context::default();
        let arguments = InfoArgs { message };
        if !self.has_replies {
            client.cast_blocking(&context, "info", &arguments)?;
            return Ok(None);
        }
        let mut back: Message = client.call_blocking(&context, "info", &arguments)?;
        back.4 = clock::wall_seconds();
        Ok(Some(back))
    }

    fn finish(&self) {
        self.tell("sync_done");
    }
}

impl Requests {
    /// Tells the servers that this client starts or is done. A server that misses it ends at its
    /// time limit or at a signal.
    fn tell(&self, method: &str) {
        let Some((how, message)) = &self.sync else { return };
        let context = Context::default();
        for client in &self.clients {
            let arguments = SyncArgs { message };
            let sent = match how {
                Sync::Call => client.call_blocking::<Value>(&context, method, &arguments).map(drop),
                Sync::Fanout => {
                    client.clone().with_fanout(true).cast_blocking(&context, method, &arguments)
                }
            };
            if let Err(error) = sent {
                summary::print_error(method, &error);
            }
        }
    }
}
