//! `rpc-server`: notes every message, stamps it, waits if told to, and sends it back.
//!
//! It ends at its time limit, at a signal, or one second after the last client that said it started
//! has said it is done.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use leveret::{Context, Endpoint, Failure, RpcServer, Target};
use serde::Deserialize;

use super::collector::Collector;
use super::message::{Message, SyncMessage};
use super::monitor::Monitor;
use super::summary;
use crate::cli::{Cli, RpcServerArgs};
use crate::{clock, sys};

/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// How long a server stays after its last client is done.
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

/// Which clients have started and are not done.
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
    let transport = super::transport(cli)?;
    let target = Target::new(cli.simulator.topic.as_str()).with_server(&cli.simulator.server);
    let pause = Duration::try_from_secs_f64(args.wait_before_answer).ok();
    let endpoint = endpoint(Arc::clone(&collector), Arc::clone(&clients), pause);
    let server = RpcServer::builder(&transport, target).endpoint(endpoint).start_blocking()?;
    let monitor = Monitor::start(vec![Arc::clone(&collector)])?;
    wait_for_the_end(cli.simulator.limit_seconds, &clients);
    // A broker that is gone cannot agree to our leaving; what was counted is reported all the same.
    let stopped = server.wait_blocking();
    monitor.stop();
    if let Err(error) = stopped {
        summary::complain("the server did not take its leave", &error);
    }

    let summary = summary::sum_up(&collector.series());
    summary::print_summary("server", &summary);
    if let Some(path) = &cli.json {
        let value = serde_json::to_value(summary).context("figures are plain data")?;
        summary::write_json(path, &[&collector], &value)?;
    }
    Ok(())
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
            starting.lock().expect("nothing panics under it").started(args.message.id);
            Ok::<_, Failure>(())
        })
        .method("sync_done", move |_: Context, args: SyncArgs| {
            clients.lock().expect("nothing panics under it").done(&args.message.id);
            Ok::<_, Failure>(())
        })
}

fn wait_for_the_end(limit_seconds: Option<f64>, clients: &Mutex<Clients>) {
    let start = clock::now();
    let limit = limit_seconds.and_then(|limit| Duration::try_from_secs_f64(limit).ok());
    while !sys::asked_to_stop() && limit.is_none_or(|limit| start.elapsed() < limit) {
        if clients.lock().expect("nothing panics under it").all_done() {
            std::thread::sleep(LINGER);
            return;
        }
        std::thread::sleep(LOOK);
    }
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
