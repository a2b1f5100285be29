//! Variants of Leveret on a real broker, which is left as it was.

mod support;

use leveret_support::Broker;

use crate::support::{program, succeeded};

#[test]
fn variants_are_measured_and_leave_nothing_but_what_expires() {
    let broker = Broker::shared();
    let url = broker.vhost("perf-variants");
    let output = program()
        .args(["--url", &url, "--only", "cast-confirmed,notify,call-5", "--pairs", "1"])
        .args(["--against", "leveret-pika,leveret-msgpack,leveret-auto,leveret-both,leveret-pool"])
        .args(["--seconds", "0.5"])
        .output()
        .expect("the program was built for this test");
    let output = succeeded(output);

    let report = String::from_utf8_lossy(&output.stdout);
    for line in report.lines().take_while(|line| !line.starts_with("ratios")) {
        if line.contains("leveret-") {
            assert!(line.trim_end().ends_with(" 0"), "errors: {line}");
        }
    }
    let queues = broker.queues_of(&url);
    // Queues of replies and of fanouts have names of their transport's own, and expire.
    let lives_on =
        |name: &str| !["reply", "_fanout_", ".worker."].iter().any(|part| name.contains(part));
    let left: Vec<&str> = queues.iter().map(|queue| queue.name.as_str()).collect();
    assert!(!left.is_empty(), "replies have just come through queues of this vhost");
    assert!(!left.iter().any(|name| lives_on(name)), "{left:?}");
}
