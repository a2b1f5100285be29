//! Both sides of the simulator against each other, on the embedded broker.

mod support;

use std::process::{Child, Output};

use leveret_engine::loopback::{Loopback, LoopbackConfig};

use crate::support::{Report, program, start, succeeded};

fn side(broker: &Loopback, arguments: &[&str]) -> Child {
    let url = format!("rabbit://guest:guest@{}/", broker.addr());
    start(program().args(["--url", &url]).args(arguments))
}

fn ended(side: Child) -> Output {
    succeeded(side.wait_with_output().expect("the program ends"))
}

#[test]
fn a_server_answers_a_client_and_ends_with_it() {
    let broker = Loopback::start(LoopbackConfig::default()).expect("a free port");
    let (served, called) = (Report::new("served"), Report::new("called"));
    // The server's time limit only bounds a broken test: it ends once the client is done.
    let server = side(
        &broker,
        &["-tp", "topic", "-s", "one", "-l", "60", "-j", served.path(), "rpc-server"],
    );
    let client = side(
        &broker,
        &["-tg", "topic.one", "-j", called.path(), "rpc-client"]
            .into_iter()
            .chain("-p 2 -m 30 --timeout 20 --sync call".split(' '))
            .collect::<Vec<_>>(),
    );
    let output = String::from_utf8(ended(client).stdout).expect("text");
    assert!(output.contains("round-trip: duration: "), "{output}");
    ended(server);

    let called = called.read();
    assert_eq!(called["summary"]["client"]["count"], 60);
    assert_eq!(called["summary"]["error"]["count"], 0);
    assert!(called["summary"]["round_trip"]["latency"].as_f64().expect("a number") > 0.0);
    assert_eq!(called["series"].as_object().expect("series by label").len(), 6);
    assert_eq!(served.read()["summary"]["count"], 60);
}

#[test]
fn what_nobody_answers_is_counted_as_an_error() {
    let broker = Loopback::start(LoopbackConfig::default()).expect("a free port");
    let report = Report::new("nobody");
    let client = side(
        &broker,
        &["-tg", "nobody.", "-j", report.path(), "rpc-client", "-m", "2", "--timeout", "0.2"],
    );
    ended(client);
    let summary = &report.read()["summary"];
    assert_eq!((&summary["client"]["count"], &summary["error"]["count"]), (&0.into(), &2.into()));
}

#[test]
fn notifications_are_heard_one_by_one_in_batches_and_again() {
    std::thread::scope(|scope| {
        for mode in ["notify-server", "batch-notify-server"] {
            for more in [None, Some("--requeue")] {
                scope.spawn(move || notifications_are_heard(mode, more));
            }
        }
    });
}

fn notifications_are_heard(mode: &str, more: Option<&str>) {
    let broker = Loopback::start(LoopbackConfig::default()).expect("a free port");
    let name = |side: &str| format!("{side}-{mode}{}", more.unwrap_or_default());
    let (heard, sent) = (Report::new(&name("heard")), Report::new(&name("sent")));
    let client =
        ["-tp", "events", "-j", sent.path(), "notify-client", "-m", "40", "--timeout", "20"];
    ended(side(&broker, &client));
    // Notifications wait for their listener; a batch of 40 is complete by its time alone, five
    // seconds, and twice if all of it is sent back.
    let arguments = ["-tp", "events", "-l", "18", "-j", heard.path(), mode];
    let arguments: Vec<&str> = arguments.into_iter().chain(more).collect();
    ended(side(&broker, &arguments));
    let sent = sent.read();
    assert_eq!(sent["summary"]["client"]["count"], 40, "{mode} {more:?}");
    assert_eq!(sent["summary"]["error"]["count"], 0);
    let heard = heard.read();
    assert_eq!(heard["summary"]["count"], 40, "{mode} {more:?}");
    assert!(heard["summary"]["latency"].as_f64().expect("a number") > 0.0);
}
