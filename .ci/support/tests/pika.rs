//! The Python peers on the former `pika` driver talk to each other through the private broker.

use leveret_support::{Broker, Peer};

/// Creates a virtual host; returns its URLs for the broker and for the peers.
fn vhost(name: &str) -> (String, String) {
    let broker = Broker::shared().vhost(name);
    let peers = pika(&broker);
    (broker, peers)
}

fn pika(url: &str) -> String {
    url.replacen("rabbit://", "pika://", 1)
}

fn server(url: &str) -> Peer {
    Peer::spawn_pika("rpc_server.py", &["--url", url, "--topic", "t", "--server", "s"])
}

#[track_caller]
fn expect(client: &mut Peer, command: &str, answer: &str) {
    let got = client.ask(command);
    assert!(got.contains(answer), "{command}: {got}");
}

#[test]
fn a_pika_client_calls_a_pika_server() {
    let (broker, url) = vhost("pika");
    let server = server(&url);
    let mut client = Peer::spawn_pika("rpc_client.py", &["--url", &url]);
    for (command, answer) in [
        (
            r#"{"op": "call", "topic": "t", "method": "echo", "args": {"arg": ["é", 1, null]}}"#,
            r#"{"result": ["\u00e9", 1, null], "seconds""#,
        ),
        (
            r#"{"op": "call", "topic": "t", "server": "s", "namespace": "ns1", "version": "1.2",
                "method": "whoami", "retry": 0}"#,
            r#"{"server": "s", "endpoint": "ns1"}"#,
        ),
        (
            r#"{"op": "call", "topic": "t", "method": "ctxt", "ctxt": {"user": "alice"}}"#,
            r#"{"result": {"user": "alice"}"#,
        ),
        (r#"{"op": "call", "topic": "t", "method": "boom"}"#, r#""class": "ValueError""#),
        (r#"{"op": "call", "topic": "t", "method": "nosuch"}"#, r#""exc_type": "NoSuchMethod""#),
        (
            r#"{"op": "call", "topic": "t", "method": "none", "count": 20, "threads": 4}"#,
            r#"{"done": 20, "errors": 0, "error": null"#,
        ),
        (
            r#"{"op": "call", "topic": "nobody", "method": "none", "retry": 0}"#,
            r#""class": "RoutingException""#,
        ),
        (
            r#"{"op": "cast", "topic": "nobody", "method": "none", "retry": 2}"#,
            r#""class": "RetryError""#,
        ),
    ] {
        expect(&mut client, &command.replace('\n', ""), answer);
    }
    let queues = Broker::shared().queues_of(&broker);
    for name in ["no_ack.t", "with_ack.t", "no_ack.t.s", "with_ack.t.s"] {
        assert!(queues.iter().any(|queue| queue.name == name), "{name} among {queues:?}");
    }
    server.stop();
    client.stop();
}

#[test]
fn casts_reach_a_pika_server_in_both_serializations() {
    let (_, url) = vhost("pika-casts");
    let server = server(&url);
    for url in [url.clone(), format!("{url}?default_serializer_type=msgpack")] {
        let mut client = Peer::spawn_pika("rpc_client.py", &["--url", &url]);
        for (op, retry) in [("cast", -1), ("cast", 0), ("fanout", -1), ("fanout", 0)] {
            let command = format!(
                r#"{{"op": "{op}", "topic": "t", "method": "note", "retry": {retry},
                     "args": {{"arg": "{op}{retry}é"}}}}"#
            );
            expect(&mut client, &command.replace('\n', ""), r#"{"result": null"#);
        }
        // The server runs several threads: a call may overtake the casts before it.
        let all = (0..1000).any(|_| {
            let noted = r#"{"op": "call", "topic": "t", "method": "noted_count"}"#;
            client.ask(noted).starts_with(r#"{"result": 4, "#)
        });
        assert!(all, "four casts arrive");
        let noted = r#"{"op": "call", "topic": "t", "method": "noted", "args": {"clear": true}}"#;
        let noted = client.ask(noted);
        for one in ["cast-1", "cast0", "fanout-1", "fanout0"] {
            assert!(noted.contains(&format!(r#""{one}\u00e9""#)), "{one} in {noted}");
        }
    }
    assert!(server.is_running());
}

#[test]
fn a_pika_listener_hears_a_pika_notifier() {
    let (_, url) = vhost("pika-notify");
    let arguments = ["--url", &url, "--topic", "n", "--requeue", "1"];
    let mut listener = Peer::spawn_pika("listener.py", &arguments);
    let mut notifier = Peer::spawn_pika("notifier.py", &["--url", &url]);
    for priority in ["error", "sample"] {
        let command = format!(
            r#"{{"priority": "{priority}", "topics": ["n"], "event_type": "e",
                 "payload": {{"key": "é"}}, "ctxt": {{"user": "bob"}}}}"#
        );
        assert_eq!(notifier.ask(&command.replace('\n', "")), "{}");
    }
    let heard = listener.ask("2");
    for priority in ["error", "sample"] {
        let one = format!(r#"{{"priority": "{priority}", "ctxt": {{"user": "bob"}}, "#);
        assert!(heard.contains(&one), "{one} in {heard}");
    }
    assert_eq!(heard.matches(r#""payload": {"key": "\u00e9"}"#).count(), 2, "{heard}");
}

#[test]
fn a_patched_pika_server_comes_back_after_its_connection_was_closed() {
    let broker = Broker::start();
    let url = pika(&broker.url_of("%2F"));
    let arguments = ["--url", &url, "--topic", "t", "--server", "s", "--eventlet"];
    let server = Peer::spawn_pika("rpc_server.py", &arguments);
    let mut client = Peer::spawn_pika("rpc_client.py", &["--url", &url, "--eventlet"]);
    let echo = r#"{"op": "call", "topic": "t", "method": "echo", "args": {"arg": 7},
                   "timeout": 50}"#
        .replace('\n', "");
    expect(&mut client, &echo, r#"{"result": 7, "#);
    broker.close_connections("for a test");
    expect(&mut client, &echo, r#"{"result": 7, "#);
    assert!(server.is_running());
}
