//! Resolves configurations as services have them.

use std::time::Duration;

use leveret_engine::{BackendChoice, Cores};
use proptest::prelude::*;

use crate::config::driver_config::LoginMethod;
use crate::config::loader::Config;
use crate::error::ErrorKind;

const SERVICE: &str = "\
[DEFAULT]
# A service's own.
state_path = /var/lib/nova
broker_host = h1
transport_url = rabbit://me:s3cret@$broker_host:5673/nova
rpc_thread_pool_size = 8

[database]
connection = mysql://db:hidden@h/

[oslo_messaging_rabbit]
amqp_durable_queues = yes
rabbit_interval_max = 5

[oslo_messaging_notifications]
driver = messagingv2
driver = log
topics = notifications,
    audit
retry = 3
";

fn ini(text: &str) -> Config {
    Config::new().ini_str(text).unwrap()
}

fn line(config: &Config, option: &str) -> String {
    let effective = config.effective().unwrap();
    let named =
        |one: &&crate::config::resolve::Setting| format!("{}.{}", one.group, one.option) == option;
    effective.iter().find(named).unwrap().to_string()
}

#[test]
fn the_file_of_a_service_is_resolved() {
    let config = ini(SERVICE);
    assert_eq!(config.transport_url().unwrap(), "rabbit://me:s3cret@h1:5673/nova");
    let driver = config.driver_config().unwrap();
    assert!(driver.entities.durable);
    assert_eq!(driver.executor_threads, 8);
    assert_eq!(driver.retry_interval_max, Duration::from_secs(5));
    let notifications = config.notification_config().unwrap();
    assert_eq!(notifications.drivers, ["messagingv2", "log"]);
    assert_eq!(notifications.topics, ["notifications", "audit"]);
    assert_eq!(notifications.retry, Some(3));
    assert_eq!(
        config.warnings().unwrap(),
        ["(text):6: rpc_thread_pool_size in [DEFAULT] is called executor_thread_pool_size in \
          [DEFAULT] now"]
    );
    let ignored = config.ignored().unwrap();
    let ignored: Vec<_> = ignored.iter().map(|one| one.option.as_str()).collect();
    assert_eq!(ignored, ["state_path", "broker_host", "connection"]);
}

#[test]
fn sources_have_a_precedence_whatever_the_order_of_calls() {
    let name = "rpc_response_timeout";
    let text = |value: u32| format!("[DEFAULT]\nrpc_response_timeout = {value}\n");
    let mut config = Config::new();
    let timeout = |config: &Config| line(config, "DEFAULT.rpc_response_timeout");
    assert_eq!(timeout(&config), "DEFAULT.rpc_response_timeout = 60  (default)");
    config = config.set("DEFAULT", name, "6");
    let set = config.clone();
    config = config.environment_from([("OS_DEFAULT__RPC_RESPONSE_TIMEOUT", "5")]);
    config = config.ini_str(&text(3)).unwrap().toml_str("rpc_response_timeout = 4").unwrap();
    config = config.set_default("DEFAULT", name, "2");
    assert_eq!(timeout(&config), "DEFAULT.rpc_response_timeout = 6  (set by the program)");
    let url = "rabbit://h/?rpc_response_timeout=7";
    let config = config.set("DEFAULT", "transport_url", url);
    assert_eq!(timeout(&config), "DEFAULT.rpc_response_timeout = 7  (query of transport_url)");
    assert_eq!(config.driver_config().unwrap().response_timeout, Duration::from_secs(6));
    assert_eq!(timeout(&set), "DEFAULT.rpc_response_timeout = 6  (set by the program)");

    let config = Config::new()
        .environment_from([("OS_DEFAULT__RPC_RESPONSE_TIMEOUT", "5"), ("OS_AUTH_URL", "x")]);
    let config = config.ini_str(&text(3)).unwrap().set_default("DEFAULT", name, "2");
    let expected = "DEFAULT.rpc_response_timeout = 5  (OS_DEFAULT__RPC_RESPONSE_TIMEOUT)";
    assert_eq!(timeout(&config), expected);

    let config = Config::new().toml_str("rpc_response_timeout = 4").unwrap();
    let config = config.ini_str(&text(3)).unwrap().set_default("DEFAULT", name, "2");
    assert_eq!(timeout(&config), "DEFAULT.rpc_response_timeout = 3  ((text):2)");
    let config = Config::new().set_default("DEFAULT", name, "2");
    let expected = "DEFAULT.rpc_response_timeout = 2  (the program's default)";
    assert_eq!(timeout(&config), expected);
}

#[test]
fn lines_of_multi_valued_options_add_up_over_files_and_names() {
    let config =
        ini("[DEFAULT]\nnotification_driver = a\n[oslo_messaging_notifications]\ndriver=b")
            .ini_str("[oslo_messaging_notifications]\ndriver = c\ntopics = x\ntopics = y\n")
            .unwrap();
    let notifications = config.notification_config().unwrap();
    assert_eq!(notifications.drivers, ["a", "b", "c"]);
    assert_eq!(notifications.topics, ["y"]);
    let config =
        config.environment_from([("OS_OSLO_MESSAGING_NOTIFICATIONS__DRIVER", "log, messaging")]);
    assert_eq!(config.notification_config().unwrap().drivers, ["log", "messaging"]);
}

#[test]
fn the_current_name_wins_over_a_deprecated_one_in_the_same_file_only() {
    let text = "[DEFAULT]\nexecutor_thread_pool_size = 5\nrpc_thread_pool_size = 6\n";
    assert_eq!(ini(text).driver_config().unwrap().executor_threads, 5);
    let config = ini(text).ini_str("[DEFAULT]\nrpc_thread_pool_size = 7\n").unwrap();
    assert_eq!(config.driver_config().unwrap().executor_threads, 7);
}

#[test]
fn deprecated_names_of_leveret_s_own_options_are_accepted_with_a_warning() {
    let text = "[leveret]\nuser_timeout = 9\nnack_retry = 0.5\n";
    let toml = "[leveret]\nuser_timeout = 9\nnack_retry = 0.5\n";
    let variables = [("OS_LEVERET__USER_TIMEOUT", "9"), ("OS_LEVERET__NACK_RETRY", "0.5")];
    let set = Config::new().set("leveret", "user_timeout", "9").set("leveret", "nack_retry", "0.5");
    for config in [
        ini(text),
        Config::new().toml_str(toml).unwrap(),
        Config::new().environment_from(variables),
        set,
    ] {
        let connection = config.driver_config().unwrap().connection;
        assert_eq!(connection.tcp_user_timeout, Duration::from_secs(9));
        assert_eq!(connection.nack_retry_timeout, Duration::from_millis(500));
        let warnings = config.warnings().unwrap().join("\n");
        for warning in [
            ": user_timeout in [leveret] is called tcp_user_timeout in [leveret] now",
            ": nack_retry in [leveret] is called nack_retry_timeout in [leveret] now",
        ] {
            assert!(warnings.contains(warning), "{warnings}");
        }
    }
    let both = ini("[leveret]\ntcp_user_timeout = 3\nuser_timeout = 9\n");
    let connection = both.driver_config().unwrap().connection;
    assert_eq!(connection.tcp_user_timeout, Duration::from_secs(3));
}

#[test]
fn deprecated_names_in_the_query_are_accepted_with_a_warning() {
    let url = "rabbit://h/?user_timeout=9&nack_retry=0.5&rabbit_durable_queues=1&lock_path=/l";
    let config = Config::new().set("DEFAULT", "transport_url", url);
    for expected in [
        "leveret.tcp_user_timeout = 9  (query of transport_url)",
        "leveret.nack_retry_timeout = 0.5  (query of transport_url)",
        "oslo_messaging_rabbit.amqp_durable_queues = true  (query of transport_url)",
    ] {
        assert_eq!(line(&config, expected.split(' ').next().unwrap()), expected);
    }
    let source = "query of transport_url";
    assert_eq!(
        config.warnings().unwrap(),
        [
            format!("{source}: user_timeout is called tcp_user_timeout in [leveret] now"),
            format!("{source}: nack_retry is called nack_retry_timeout in [leveret] now"),
            format!(
                "{source}: rabbit_durable_queues is called amqp_durable_queues in \
                 [oslo_messaging_rabbit] now"
            ),
        ]
    );
}

#[test]
fn options_of_the_engine_reach_the_engine() {
    let config = Config::new()
        .toml_str("[leveret]\ncores = [1, 3]\nbackend = 'epoll'\nbusy_poll_us = 50\nblocks_max = 9")
        .unwrap();
    let engine = config.engine_config().unwrap();
    assert_eq!(engine.cores, Cores::Pinned(vec![1, 3]));
    assert_eq!(
        (engine.backend, engine.busy_poll),
        (BackendChoice::Epoll, Duration::from_micros(50))
    );
    assert_eq!(config.driver_config().unwrap().connection.blocks_max, 9);
    let config = config.set("leveret", "shards", "3");
    let error = config.engine_config().unwrap_err().to_string();
    assert!(error.contains("shards is 3, but cores ((text):2) names 2"), "{error}");
    let config = Config::new().set("leveret", "shards", "3");
    assert_eq!(config.engine_config().unwrap().cores, Cores::Unpinned(3));
}

#[test]
fn lock_path_is_that_of_oslo_concurrency() {
    let config = ini("[DEFAULT]\nstate_path = /var/lib/nova\n[oslo_concurrency]\n\
         disable_process_locking = false\nlock_path = $state_path/tmp\n");
    let names = config.driver_config().unwrap().stable_names;
    assert_eq!(names.lock_path.as_deref(), Some(std::path::Path::new("/var/lib/nova/tmp")));
    assert!(config.warnings().unwrap().is_empty());
    let ignored = config.ignored().unwrap();
    assert!(ignored.iter().any(|one| one.option == "disable_process_locking"), "{ignored:?}");
    let older = ini("[oslo_messaging_rabbit]\nlock_path = /l\n");
    assert!(older.driver_config().unwrap().stable_names.lock_path.is_some());
    assert_eq!(
        older.warnings().unwrap(),
        ["(text):2: lock_path in [oslo_messaging_rabbit] is called lock_path in \
          [oslo_concurrency] now"]
    );
}

#[test]
fn errors_name_the_source_and_what_is_accepted() {
    for (text, expected) in [
        (
            "[oslo_messaging_rabbit]\namqp_durable_queue = true\n",
            "(text):2: there is no option amqp_durable_queue in [oslo_messaging_rabbit]; did you \
             mean amqp_durable_queues?",
        ),
        (
            "[OSLO_MESSAGING_RABBIT]\n\namqp_auto_delete = maybe\n",
            "(text):3: option amqp_auto_delete in [oslo_messaging_rabbit] takes true or false",
        ),
        (
            "[oslo_messaging_rabbit]\nrabbit_qos_prefetch_count = 70000\n",
            "takes a whole number from 0 to 65535",
        ),
        ("[leveret]\nblocks_max = 0\n", "takes a whole number from 1 to 65536"),
        ("[oslo_messaging_notifications]\nretry = -2\n", "takes a whole number from 0, or -1"),
        (
            "[DEFAULT]\ncontrol_exchange = $nobody\n",
            "(text):2: option control_exchange in [DEFAULT] refers to $nobody, which is not set",
        ),
        (
            "[oslo_messaging_rabbit]\nrabbit_host = h1\n",
            "(text):2: rabbit_host in [oslo_messaging_rabbit] has no effect: brokers are named by \
             transport_url",
        ),
    ] {
        let error = ini(text).driver_config().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOptions, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    for url in ["rabbit://me:hunter$hunter2@h/", "me:hunter$hunter2@h"] {
        let error =
            ini(&format!("[DEFAULT]\ntransport_url = {url}\n")).driver_config().unwrap_err();
        let expected = "(text):2: option transport_url in [DEFAULT] refers by a `$` to a value";
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
    }
    let text = "[leveret]\nssl_key_password = ${hunter2}\n";
    let error = ini(text).driver_config().unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
    let error = Config::new().ini_file("/nowhere/nova.conf").unwrap_err().to_string();
    assert!(error.contains("cannot read /nowhere/nova.conf: "), "{error}");
    let error = Config::new().toml_str("\na = = 1").unwrap_err().to_string();
    assert!(error.contains("(text), line 2: "), "{error}");
}

#[test]
fn removed_options_are_explained() {
    let config = ini("[DEFAULT]\ntransport_url = rabbit://h/\nrpc_backend = rabbit\n\
         rabbit_password = hidden\namqp_durable_queues = true\n\
         [oslo_messaging_rabbit]\nfake_rabbit = true\n\
         [oslo_messaging_rabit]\nssl = true\n");
    let warnings = config.warnings().unwrap().join("\n");
    for expected in [
        "(text):3: rpc_backend in [DEFAULT] has no effect: the scheme of transport_url",
        "(text):4: rabbit_password in [DEFAULT] has no effect: brokers are named by transport_url",
        "(text):5: amqp_durable_queues in [DEFAULT] has no effect: it belongs in [oslo_messaging_r",
        "(text):7: fake_rabbit in [oslo_messaging_rabbit] has no effect: write transport_url = fak",
        "(text):9: [oslo_messaging_rabit] is ignored; did you mean [oslo_messaging_rabbit]?",
    ] {
        assert!(warnings.contains(expected), "{warnings}");
    }
    assert!(!warnings.contains("hidden"));
    assert!(!config.driver_config().unwrap().entities.durable);
}

#[test]
fn passwords_are_masked() {
    let config = ini(SERVICE).set(
        "oslo_messaging_notifications",
        "transport_url",
        "rabbit://me:s3cret@h1,me:s3cret@h2/",
    );
    let effective: Vec<_> = config.effective().unwrap().iter().map(ToString::to_string).collect();
    let text = effective.join("\n");
    assert!(text.contains("DEFAULT.transport_url = rabbit://me:***@h1:5673/nova  ((text):5)"));
    assert!(!text.contains("s3cret") && !format!("{config:?}").contains("s3cret"), "{text}");
    for wrong in ["rabbit:/me:s3cret@h/", "rabbit://me:s3cret@h:port/", "rabbit://me:s3cret@h/?x=1"]
    {
        let error = ini(SERVICE).set("DEFAULT", "transport_url", wrong).effective().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidTransportUrl);
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
}

#[test]
fn every_option_reads_what_it_writes() {
    let given = [
        ("DEFAULT", "transport_url", "rabbit://me:***@h/"),
        ("oslo_messaging_notifications", "transport_url", "fake://h/"),
        ("oslo_messaging_notifications", "retry", "7"),
        ("oslo_messaging_notifications", "routing_config", "/etc/r.yaml"),
        ("oslo_messaging_rabbit", "rabbit_login_method", "EXTERNAL"),
        ("oslo_messaging_pika", "default_rpc_retry_attempts", "0"),
        ("oslo_messaging_pika", "default_serializer_type", "msgpack"),
        ("oslo_messaging_pika", "channel_max", "16"),
        ("oslo_messaging_pika", "frame_max", "8192"),
        ("oslo_messaging_pika", "connection_factory", "read_write"),
        ("leveret", "connection_factory", "pool:3"),
        ("leveret", "dialect_sending", "pika"),
        ("leveret", "dialect_serving", "both"),
        ("leveret", "redelivered", "refuse"),
        ("leveret", "request_acks", "together"),
        ("leveret", "call_confirms", "together"),
        ("leveret", "cores", "2,3"),
        ("leveret", "shards", "2"),
    ];
    let mut config = Config::new();
    for (group, option, value) in given {
        config = config.set(group, option, value);
    }
    assert_eq!(config.driver_config().unwrap().login_method, LoginMethod::External);
    let effective = config.effective().unwrap();
    for (group, option, value) in given {
        let shown = effective.iter().find(|one| (one.group, one.option) == (group, option));
        assert_eq!(shown.map(|one| one.value.as_str()), Some(value), "{option}");
    }
    let again = effective
        .iter()
        .fold(Config::new(), |config, one| config.set(one.group, one.option, one.value.clone()));
    let again = again.effective().unwrap();
    for (one, other) in effective.iter().zip(&again) {
        assert_eq!(one.value, other.value, "{}", one.option);
    }
}

proptest! {
    #[test]
    fn no_text_causes_a_panic(
        value in "\\PC*",
        option in 0_usize..256,
        file in "(\\[DEFAULT\\]\n|\\[leveret\\]\n|ssl=|shards = |\\$shards|\\$\\{|[-}1,\né])*",
    ) {
        let names: Vec<_> = Config::new().effective().unwrap();
        let one = &names[option % names.len()];
        let config = Config::new().set(one.group, one.option, value.clone());
        drop(config.effective());
        let variable = format!("OS_{}__{}", one.group.to_uppercase(), one.option.to_uppercase());
        drop(Config::new().environment_from([(variable, value)]).effective());
        if let Ok(config) = Config::new().ini_str(&file) {
            drop(config.effective());
        }
        if let Ok(config) = Config::new().toml_str(&file) {
            drop(config.effective());
        }
    }
}
