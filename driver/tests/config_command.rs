//! Runs the command `leveret-config` as a shell does.
#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leveret-config"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("OS_DEFAULT__RPC_RESPONSE_TIMEOUT", "7")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn every_value_is_shown_with_its_source_and_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    file("a.conf", "[DEFAULT]\ncontrol_exchange = a\nrpc_thread_pool_size = 3\nlog_dir = /x\n");
    file("b.conf", "[DEFAULT]\n\ncontrol_exchange = b\n");
    file("c.toml", "[leveret]\nshards = 2\n");
    let files = ["--config-file", "a.conf", "--config-file", "b.conf", "--toml", "c.toml"];
    let url = "rabbit://me:s3cret@h/?amqp_durable_queues=1";
    let done = run(folder.path(), &[&files[..], &["--transport-url", url, "--ignored"]].concat());
    let (out, notes) = (text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "{notes}");
    for line in [
        "DEFAULT.control_exchange = b  (b.conf:3)",
        "DEFAULT.executor_thread_pool_size = 3  (a.conf:3)",
        "DEFAULT.rpc_response_timeout = 7  (OS_DEFAULT__RPC_RESPONSE_TIMEOUT)",
        "DEFAULT.transport_url = rabbit://me:***@h/?amqp_durable_queues=1  (set by the program)",
        "oslo_messaging_rabbit.amqp_durable_queues = true  (query of transport_url)",
        "oslo_messaging_rabbit.amqp_auto_delete = false  (default)",
        "leveret.shards = 2  (c.toml:2)",
        "ignored: DEFAULT.log_dir  (a.conf:4)",
    ] {
        assert!(out.lines().any(|one| one == line), "{line} is not in\n{out}");
    }
    assert!(notes.contains("a.conf:3: rpc_thread_pool_size in [DEFAULT] is called"), "{notes}");
    assert!(!format!("{out}{notes}").contains("s3cret"));
    let done = run(folder.path(), &["--no-environment"]);
    assert!(text(&done.stdout).contains("DEFAULT.rpc_response_timeout = 60  (default)\n"));
}

#[test]
fn what_is_wrong_is_said_once_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.conf"), "[leveret]\nshard = 2\n").unwrap();
    for (arguments, expected) in [
        (["--config-file", "a.conf"], "a.conf:2: there is no option shard in [leveret]; did you"),
        (["--config-file", "b.conf"], "cannot read b.conf: "),
        (["--toml", "a.conf"], "a.conf:2: there is no option shard"),
    ] {
        let done = run(folder.path(), &arguments);
        assert_eq!(done.status.code(), Some(1));
        assert!(done.stdout.is_empty());
        let notes = text(&done.stderr);
        assert!(notes.contains(expected) && notes.lines().count() == 1, "{notes}");
    }
}
