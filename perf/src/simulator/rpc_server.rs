//! `rpc-server`: counts every message, adds the time of arrival, and sends it back.
//!
//! It ends at its time limit, at a signal, or one second after the last of the clients that sent
//! `sync_start` has sent `sync_done`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use leveret::{Context, Endpoint, Failure, RpcServer, Target};
use serde::Deserialize;

use super::collector::Collector;
use super::message::{Message, SyncMessage};
use super::serving;
use crate::cli::command_line::Cli;
use crate::cli::simulator::RpcServerArgs;
use crate::system::lock::lock;
use crate::system::{clock, sys};

/// Time between the end of the last client and that of the server.
const LINGER: Duration = Duration::from_secs(1);

/// Argument of `info`.
#[derive(Deserialize)]
struct InfoArgs {
    message: Message,
}

/// Argument of `sync_start` and `sync_done`.
#[derive(Deserialize)]
struct SyncArgs {
    message: SyncMessage,
}

/// Clients that have started and are not done.
#[derive(Debug, Default)]
struct Clients {
    running: HashSet<String>,
    any_started: bool,
}

impl Clients {
    fn started(&mut self, id: String) {
        self.any_started = true;
        self.running.insert(id);
    }

    fn done(&mut self, id: &str) {
        self.running.remove(id);
    }

    fn all_done(&self) -> bool {
        self.any_started && self.running.is_empty()
    }
}

/// Runs the server until its end and reports.
pub(crate) fn run(cli: &Cli, args: &RpcServerArgs) -> Result<()> {
    sys::note_signals();
    let collector = Arc::new(Collector::new("server".to_owned()));
    let clients = Arc::new(Mutex::new(Clients::default()));
    let transport = super::broker::transport(cli)?;
    let target = Target::new(cli.simulator.topic.as_str()).with_server(&cli.simulator.server);
    let pause = Duration::try_from_secs_f64(args.wait_before_answer).ok();
    let endpoint = endpoint(Arc::clone(&collector), Arc::clone(&clients), pause);
    let server = RpcServer::builder(&transport, target).endpoint(endpoint).start_blocking()?;
    let is_done = || {
        let all_done = lock(&clients).all_done();
        if all_done {
            std::thread::sleep(LINGER);
        }
        all_done
    };
    serving::last(cli, &collector, is_done, || server.wait_blocking())
}

fn endpoint(
    collector: Arc<Collector>,
    clients: Arc<Mutex<Clients>>,
    pause: Option<Duration>,
) -> Endpoint {
    let starting = Arc::clone(&clients);
    Endpoint::new()
        .method("info", move |_: Context, args: InfoArgs| {
            let mut message = args.message;
            message.3 = clock::wall_seconds();
            collector.note(&message);
            if let Some(pause) = pause {
                std::thread::sleep(pause);
            }
            Ok::<_, Failure>(message)
        })
        .method("sync_start", move |_: Context, args: SyncArgs| {
            lock(&starting).started(args.message.id);
            Ok::<_, Failure>(())
        })
        .method("sync_done", move |_: Context, args: SyncArgs| {
            lock(&clients).done(&args.message.id);
            Ok::<_, Failure>(())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_done_when_all_that_started_are() {
        let mut clients = Clients::default();
        assert!(!clients.all_done());
        clients.started("a".to_owned());
        clients.started("b".to_owned());
        clients.done("a");
        assert!(!clients.all_done());
        clients.done("b");
        assert!(clients.all_done());
    }
}
