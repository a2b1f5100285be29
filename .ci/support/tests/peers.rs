//! The Python peers talk to each other through the private broker.

use leveret_support::{Broker, Peer};

#[test]
fn a_python_client_calls_a_python_server() {
    let url = Broker::shared().vhost("peers");
    let server = Peer::spawn("rpc_server.py", &["--url", &url, "--topic", "t", "--server", "s"]);
    let mut client = Peer::spawn("rpc_client.py", &["--url", &url]);

    let answer = client
        .ask(r#"{"op": "call", "topic": "t", "method": "echo", "args": {"arg": ["é", 1, null]}}"#);
    assert!(answer.starts_with(r#"{"result": ["\u00e9", 1, null], "seconds": "#), "{answer}");

    let answer = client.ask(
        r#"{"op": "call", "topic": "t", "namespace": "ns1", "version": "1.2", "method": "whoami"}"#,
    );
    assert!(answer.contains(r#"{"server": "s", "endpoint": "ns1"}"#), "{answer}");

    for op in ["cast", "fanout"] {
        let command = format!(
            r#"{{"op": "{op}", "topic": "t", "method": "note", "args": {{"arg": "{op}"}}}}"#
        );
        assert!(client.ask(&command).starts_with(r#"{"result": null"#));
    }
    // The server runs several threads: a call may overtake the casts before it.
    let noted = (0..1000)
        .map(|_| client.ask(r#"{"op": "call", "topic": "t", "method": "noted"}"#))
        .find(|noted| noted.contains(r#""cast""#) && noted.contains(r#""fanout""#));
    assert!(noted.is_some(), "both casts arrive");

    let answer = client.ask(r#"{"op": "call", "topic": "t", "method": "boomkw"}"#);
    assert!(answer.contains(r#""class": "BoomError_Remote""#), "{answer}");
    assert!(answer.contains(r#""kwargs": {"code": 7}"#), "{answer}");

    let many = r#"{"op": "call", "topic": "t", "method": "none", "count": 20, "threads": 4}"#;
    let answer = client.ask(many);
    assert!(answer.starts_with(r#"{"done": 20, "errors": 0, "error": null"#), "{answer}");

    assert!(Broker::shared().connections_of(&url) >= 2);
    assert!(Broker::shared().queues_of(&url).iter().any(|queue| queue.name == "t.s"));

    assert!(server.is_running());
    server.stop();
    client.stop();
}

#[test]
fn a_command_nobody_answers_times_out_with_its_class() {
    let url = Broker::shared().vhost("nobody");
    let mut client = Peer::spawn("rpc_client.py", &["--url", &url]);
    let answer = client
        .ask(r#"{"id": 3, "op": "call", "topic": "nobody", "method": "echo", "timeout": 0.2}"#);
    assert!(answer.contains(r#""class": "MessagingTimeout""#), "{answer}");
    assert!(answer.contains(r#""id": 3"#), "{answer}");
    client.kill();
    assert!(!client.is_running());
}
