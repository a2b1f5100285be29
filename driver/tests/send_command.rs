//! Runs the command `leveret-send-notification` as a shell does.
#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};
use std::sync::mpsc::channel;
use std::time::Duration;

use leveret::{Notification, NotificationEndpoint, NotificationListener, Target, Transport};
use leveret_support::Broker;
use serde_json::json;

fn run(arguments: &[&str]) -> Output {
    let command = env!("CARGO_BIN_EXE_leveret-send-notification");
    Command::new(command).args(arguments).env_clear().output().unwrap()
}

#[test]
fn what_is_sent_is_heard() {
    let url = Broker::shared().vhost("send");
    let transport = Transport::connect_blocking(&url).unwrap();
    let (sender, heard) = channel();
    let endpoint = NotificationEndpoint::new()
        .warn(move |one: Notification| drop(sender.send(one)))
        .info(|_: Notification| ());
    let listener = NotificationListener::builder(&transport, Target::new("a"))
        .target(Target::new("b"))
        .endpoint(endpoint)
        .start_blocking()
        .unwrap();
    let to = ["--transport-url", &url, "--publisher-id", "me", "--event-type", "ev"];
    let how = ["--priority", "warn", "--topic", "a", "b", "--"];
    for payload in [r#"{"x": [1, 2]}"#, "just text"] {
        let done = run(&[&to[..], &how, &[payload]].concat());
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    for payload in [json!({"x": [1, 2]}), json!("just text")] {
        for _topic in 0..2 {
            let one = heard.recv_timeout(Duration::from_secs(60)).unwrap();
            assert_eq!((one.publisher_id.as_str(), one.event_type.as_str()), ("me", "ev"));
            assert_eq!(one.payload, payload);
        }
    }
    listener.wait_blocking().unwrap();
    transport.close_blocking().unwrap();
}

#[test]
fn what_cannot_be_sent_is_said() {
    for (arguments, reason) in [
        (&["--transport-url", "zmq://me:s3cret@h/"][..], "Failed to load transport driver"),
        (&["--transport-url", "fake://", "--driver", "pigeon"], "pigeon"),
        (&["--priority", "loud"], "loud"),
        (&["--config-file", "/nowhere.conf"], "cannot read /nowhere.conf"),
    ] {
        let done = run(&[arguments, &["x"]].concat());
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && text.contains(reason), "{arguments:?}: {text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
}
