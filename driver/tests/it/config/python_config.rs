//! Compares the values Leveret and oslo.config read from the same files and environments.

use std::cell::{Cell, RefCell};

use leveret::Config;
use leveret_support::Peer;
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use serde_json::{Value, json};

/// Environment variables with their values.
type Variables = Vec<(String, String)>;

/// Returns the values Leveret reads from a configuration, in the form of the peer's answer.
fn ours(files: &[String], environment: &[(String, String)]) -> Value {
    let found = || {
        let config = Config::new().set_default("DEFAULT", "state_path", "/var/lib");
        let config = config.set_default("DEFAULT", "a", "");
        let config = files.iter().try_fold(config, |config, text| config.ini_str(text))?;
        let config = config.environment_from(environment.iter().cloned());
        let driver = config.driver_config()?;
        let notifications = config.notification_config()?;
        let retry = notifications.retry.map_or(-1, i64::from);
        Ok::<_, leveret::Error>(json!({
            "transport_url": config.transport_url()?,
            "control_exchange": driver.control_exchange,
            "executor_thread_pool_size": driver.executor_threads,
            "amqp_durable_queues": driver.entities.durable,
            "kombu_missing_consumer_retry_timeout": driver.missing_queue_timeout.as_secs(),
            "driver": notifications.drivers,
            "topics": notifications.topics,
            "retry": retry,
        }))
    };
    found().unwrap_or_else(|error| json!({ "error": error.to_string() }))
}

/// Returns both results; they agree if both are errors, or both have the same values.
fn compare(peer: &mut Peer, files: &[String], environment: &[(String, String)]) -> (Value, Value) {
    let env: serde_json::Map<_, _> =
        environment.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let theirs = peer.ask(&json!({ "files": files, "env": env }).to_string());
    (ours(files, environment), serde_json::from_str(&theirs).unwrap())
}

fn agree(ours: &Value, theirs: &Value) -> bool {
    let is_error = |value: &Value| value.get("error").is_some();
    if is_error(ours) || is_error(theirs) {
        return is_error(ours) && is_error(theirs);
    }
    ours == theirs
}

#[test]
fn python_finds_the_same_in_files_and_environment() {
    let mut peer = Peer::spawn("options.py", &[]);
    let env = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let cases: Vec<(&[&str], Variables)> = vec![
        (&[], vec![]),
        (
            &[
                "[DEFAULT]\nstate_path = /s\ntransport_url = rabbit://u:$$p${broker.password}@h/\n\
                 [broker]\npassword: 'a b'\n",
                "[DEFAULT]\ncontrol_exchange = $state_path\\$x $ $$\n",
            ],
            vec![],
        ),
        (
            &[
                "[oslo_messaging_notifications]\ndriver = log\ndriver = noop\ntopics = a, b,\n c\n\
                 [DEFAULT]\nnotification_topics = old\nrpc_thread_pool_size = 7\n",
                "[OSLO_messaging_Notifications]\ndriver: messaging\nretry = 3\n\
                 [oslo_messaging_rabbit]\nkombu_reconnect_timeout = 5\namqp_durable_queues = ON\n",
            ],
            vec![],
        ),
        (
            &["[DEFAULT]\ncontrol_exchange = file\n"],
            env(&[
                ("OS_DEFAULT__CONTROL_EXCHANGE", "x$state_path"),
                ("OS_OSLO_MESSAGING_RABBIT__AMQP_DURABLE_QUEUES", "1"),
                ("OS_OSLO_MESSAGING_NOTIFICATIONS__TOPICS", "e, f"),
            ]),
        ),
        (&["[oslo_messaging_rabbit]\namqp_durable_queues = maybe\n"], vec![]),
        (&["[DEFAULT]\ncontrol_exchange = $control_exchange\n"], vec![]),
        (&["[DEFAULT]\ncontrol_exchange = $state_path.\n"], vec![]),
        (&["[DEFAULT]\na = \ncontrol_exchange = \\$$a\n"], vec![]),
        (&["[DEFAULT]\na = x$a\ncontrol_exchange = $a\n"], vec![]),
    ];
    for (files, environment) in cases {
        let files: Vec<_> = files.iter().map(|text| (*text).to_owned()).collect();
        let (ours, theirs) = compare(&mut peer, &files, &environment);
        assert!(agree(&ours, &theirs), "{files:?} {environment:?}: {ours} {theirs}");
    }
    peer.stop();
}

/// Valid and invalid lines of configuration files; some are refused.
const LINES: &str = concat!(
    r"(((control_exchange = |control_exchange:|state_path ?= ?|  |\t|# |;|a = )",
    r##"( |:|=|#|\t|"|'|\$|\$\$|\$state_path|\$\{state_path\}|\{|\\|[.a1é]){0,5}"##,
    r"|\[DEFAULT\]|\[default\]|\[broker\]|\[a|)\n){0,6}"
);

#[test]
fn python_cuts_any_text_the_same_way() {
    let peer = RefCell::new(Peer::spawn("options.py", &[]));
    let begin = "[DEFAULT]\n";
    let found = Cell::new(0);
    let mut runner = TestRunner::new(Cases { failure_persistence: None, ..Cases::default() });
    let outcome = runner.run(&(LINES, LINES), |(first, second)| {
        let files = [format!("{begin}{first}"), format!("{begin}{second}")];
        let (ours, theirs) = compare(&mut peer.borrow_mut(), &files, &[]);
        found.set(found.get() + usize::from(ours.get("error").is_none()));
        prop_assert!(agree(&ours, &theirs), "{files:?}: {ours} {theirs}");
        Ok(())
    });
    outcome.unwrap();
    assert!(found.get() > 0, "Leveret accepts some of the texts");
    peer.into_inner().stop();
}
