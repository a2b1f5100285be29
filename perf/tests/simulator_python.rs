//! Each side of the simulator against its counterpart in Python, on a real broker.

mod support;

use std::process::Child;

use leveret_support::{Broker, Peer};
use serde_json::Value;

use crate::support::{Report, program, start, succeeded};

/// A side of ours, and the file that it reports in.
struct Side {
    program: Child,
    report: Report,
}

impl Side {
    fn start(url: &str, name: &str, arguments: &str) -> Self {
        let report = Report::new(name);
        let mut command = program();
        command.args(["--url", url, "-j", report.path()]).args(arguments.split(' '));
        Self { program: start(&mut command), report }
    }

    /// The summary it reports once it has ended.
    fn summary(self) -> Value {
        succeeded(self.program.wait_with_output().expect("the program ends"));
        self.report.read()["summary"].clone()
    }
}

/// A side of Python's; the words after the URL are its arguments.
fn python(url: &str, arguments: &str) -> Peer {
    let arguments: Vec<&str> = ["--url", url].into_iter().chain(arguments.split(' ')).collect();
    Peer::spawn("simulator.py", &arguments)
}

fn answer(python: &Peer) -> Value {
    serde_json::from_str(&python.read()).expect("the last line is JSON")
}

#[test]
fn python_clients_call_our_server() {
    let url = Broker::shared().vhost("simulator-calls");
    for how in ["call", "fanout"] {
        let server = Side::start(&url, how, &format!("-tp {how} -s s -l 120 rpc-server"));
        // The server ends by itself when the client that announced itself is done.
        let client = format!("--topic {how} --server s rpc-client -m 50 --sync {how}");
        wait_for_queue(&url, &format!("{how}.s"));
        let client = python(&url, &client);
        let counts = answer(&client);
        assert_eq!((&counts["returned"], &counts["errors"]), (&50.into(), &0.into()), "{counts}");
        assert_eq!(server.summary()["count"], 50);
    }
}

#[test]
fn we_call_a_python_server() {
    let url = Broker::shared().vhost("simulator-served");
    for how in ["call", "fanout"] {
        let server = python(&url, "--topic t --server s rpc-server");
        let arguments = format!("-tg t.s rpc-client -p 3 -m 30 --timeout 30 --sync {how}");
        let summary = Side::start(&url, &format!("client-{how}"), &arguments).summary();
        assert_eq!(summary["round_trip"]["count"], 90, "{summary}");
        assert_eq!(summary["error"]["count"], 0, "{summary}");
        assert_eq!(answer(&server)["heard"], 90, "it ends when all clients are done");
    }
    let mut server = python(&url, "--topic t --server s rpc-server");
    let casts = Side::start(&url, "casts", "-tg t.s rpc-client -m 40 --timeout 30 --is-cast");
    assert_eq!(casts.summary()["client"]["count"], 40);
    let fanouts = Side::start(&url, "fanouts", "-tg t. rpc-client -m 10 --timeout 30 --is-fanout");
    assert_eq!(fanouts.summary()["client"]["count"], 10);
    server.close_input();
    assert_eq!(answer(&server)["heard"], 50);
}

#[test]
fn notifications_pass_both_ways() {
    let url = Broker::shared().vhost("simulator-notify");
    for mode in ["notify-server", "batch-notify-server"] {
        let topic = format!("to-python-{mode}");
        let mut server = python(&url, &format!("--topic {topic} {mode}"));
        let arguments = format!("-tp {topic} notify-client -p 2 -m 30 --timeout 30");
        let summary = Side::start(&url, &topic, &arguments).summary();
        assert_eq!(
            (&summary["client"]["count"], &summary["error"]["count"]),
            (&60.into(), &0.into())
        );
        wait_for_empty(&url, &format!("{topic}.info"));
        server.close_input();
        assert_eq!(answer(&server)["heard"], 60, "{mode}");

        let topic = format!("to-us-{mode}");
        let client = python(&url, &format!("--topic {topic} notify-client -p 2 -m 30"));
        assert_eq!(answer(&client)["sent"], 60);
        // They wait in the queue; ours takes them and leaves at its limit.
        let heard = Side::start(&url, &topic, &format!("-tp {topic} -l 5 {mode}")).summary();
        assert_eq!(heard["count"], 60, "{mode}");
    }
}

fn wait_for_queue(url: &str, name: &str) {
    eventually(|| Broker::shared().queues_of(url).iter().any(|queue| queue.name == name));
}

fn wait_for_empty(url: &str, name: &str) {
    eventually(|| {
        let queues = Broker::shared().queues_of(url);
        queues.iter().any(|queue| queue.name == name && queue.messages == 0)
    });
}

/// Waits until something has become true; a minute at most.
fn eventually(mut holds: impl FnMut() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("this never became true");
}
