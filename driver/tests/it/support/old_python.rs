//! Helpers for tests with Python's former `pika` driver: its URLs, its peers, requests to them.

use leveret_support::Peer;
use serde_json::{Value, json};

/// Returns the URL of a virtual host for the old driver.
pub(crate) fn pika(url: &str) -> String {
    url.replacen("rabbit://", "pika://", 1)
}

/// Starts an old client at this URL of the `rabbit` driver; `query` has options of the old driver.
pub(crate) fn old_client(url: &str, query: &str) -> Peer {
    Peer::spawn_pika("rpc_client.py", &["--url", &format!("{}{query}", pika(url))])
}

/// Starts an old server.
pub(crate) fn old_server(url: &str, topic: &str, server: &str) -> Peer {
    let url = pika(url);
    Peer::spawn_pika("rpc_server.py", &["--url", &url, "--topic", topic, "--server", server])
}

/// Sends one operation on a topic through a client, old or new; returns its answer.
pub(crate) fn ask(
    python: &mut Peer,
    op: &str,
    (topic, method): (&str, &str),
    more: Value,
) -> Value {
    let mut command = json!({"op": op, "topic": topic, "method": method});
    for (key, value) in more.as_object().into_iter().flatten() {
        command[key] = value.clone();
    }
    serde_json::from_str(&python.ask(&command.to_string())).unwrap()
}

/// Waits until a listener has received `count` notifications; returns them.
pub(crate) fn heard(listener: &mut Peer, count: usize) -> Vec<Value> {
    serde_json::from_str(&listener.ask(&count.to_string())).unwrap()
}
