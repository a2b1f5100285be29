//! What tests with Python's former `pika` driver share: its URLs, its peers, questions to them.

use leveret_support::Peer;
use serde_json::{Value, json};

/// The URL of a virtual host as the old driver has it.
pub(crate) fn pika(url: &str) -> String {
    url.replacen("rabbit://", "pika://", 1)
}

/// An old client at this URL of the `rabbit` driver; `query` are options of the old one.
pub(crate) fn old_client(url: &str, query: &str) -> Peer {
    Peer::spawn_pika("rpc_client.py", &["--url", &format!("{}{query}", pika(url))])
}

/// An old server.
pub(crate) fn old_server(url: &str, topic: &str, server: &str) -> Peer {
    let url = pika(url);
    Peer::spawn_pika("rpc_server.py", &["--url", &url, "--topic", topic, "--server", server])
}

/// Has a client, old or new, do something at a topic.
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

/// What a listener has heard, once that are so many.
pub(crate) fn heard(listener: &mut Peer, count: usize) -> Vec<Value> {
    serde_json::from_str(&listener.ask(&count.to_string())).unwrap()
}
