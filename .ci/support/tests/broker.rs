//! The private broker starts, stops, restarts, and leaves no process or file behind.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use leveret_support::{ALL, Alarm, Broker, NONE, Network};

/// Set for the copy of this test binary that the test kills.
const VICTIM: &str = "LEVERET_SUPPORT_VICTIM";
/// Set for the copy that runs in its own network namespace.
const IN_OWN_NETWORK: &str = "LEVERET_SUPPORT_IN_OWN_NETWORK";

fn connection_start(port: u16) -> Option<u8> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    socket.write_all(b"AMQP\x00\x00\x09\x01").ok()?;
    let mut first = [0];
    socket.read_exact(&mut first).ok()?;
    Some(first[0])
}

/// Counts the processes with the broker's folder in their environment.
fn processes_of(folder: &str) -> usize {
    let mark = format!("LEVERET_BROKER_FOLDER={folder}").into_bytes();
    let environments = std::fs::read_dir("/proc").expect("Linux has /proc").filter_map(|entry| {
        let entry = entry.ok()?;
        std::fs::read(entry.path().join("environ")).ok()
    });
    environments.filter(|environ| environ.split(|byte| *byte == 0).any(|v| v == mark)).count()
}

fn await_gone(folder: &str) {
    for _ in 0..500 {
        if processes_of(folder) == 0 && !std::path::Path::new(folder).exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("{folder} is still there, with {} processes", processes_of(folder));
}

#[test]
fn tests_on_the_shared_broker_do_not_meet() {
    let broker = Broker::shared();
    let (one, other) = (broker.vhost("alpha"), broker.vhost("alpha"));
    assert_ne!(one, other);
    assert_eq!(broker.queues_of(&one), []);
    assert_eq!(broker.connections_of(&other), 0);
    let listed = broker.ctl(&["list_vhosts"]);
    for url in [one, other] {
        let name = url.rsplit('/').next().unwrap().to_owned();
        assert!(listed.lines().any(|line| line == name), "{name} in {listed}");
    }
}

/// Does nothing unless the test below started it as its victim: then it prints its broker's folder
/// and waits.
#[test]
fn victim() {
    if std::env::var_os(VICTIM).is_some() {
        println!("\nfolder={}", Broker::shared().folder().display());
        loop {
            std::thread::park();
        }
    }
}

/// Does nothing unless started in its own network namespace: then it cuts a cluster and heals it.
#[test]
fn cut_off() {
    if std::env::var_os(IN_OWN_NETWORK).is_none() {
        return;
    }
    let network = Network::start(2).unwrap();
    let brokers = Broker::try_cluster_in(2, Some(&network)).unwrap();
    let [first, second] = &brokers[..] else { panic!("the cluster has two nodes") };
    let sees = |broker: &Broker| broker.nodes_running();
    assert_eq!((sees(first), sees(second)), (2, 2));
    let connects = |broker: &Broker| {
        let address = broker.address();
        TcpStream::connect_timeout(&address, std::time::Duration::from_millis(500)).is_ok()
    };
    assert!(connects(first) && connects(second));
    network.cut(1).unwrap();
    assert!(connects(first) && !connects(second));
    network.heal(1).unwrap();
    brokers.iter().for_each(|broker| broker.await_whole(2));
    assert!(connects(first) && connects(second));
}

/// Brokers that start, stop and freeze; the quick gate skips `faults::`.
mod faults {
    use super::*;

    #[test]
    fn a_killed_broker_returns_on_its_port_and_a_dropped_one_leaves_nothing() {
        let broker = Broker::start();
        let (port, folder) = (broker.port(), broker.folder().to_str().unwrap().to_owned());
        assert_eq!(connection_start(port), Some(1));

        broker.kill();
        assert_eq!(connection_start(port), None);
        broker.restart();
        assert_eq!(broker.port(), port);
        assert_eq!(connection_start(port), Some(1));

        broker.freeze();
        broker.thaw();
        assert_eq!(connection_start(port), Some(1));
        broker.stop_listening();
        assert_eq!(connection_start(port), None);
        broker.resume_listening();
        assert_eq!(connection_start(port), Some(1));

        broker.set_memory_alarm(true);
        assert!(broker.eval("rabbit_alarm:get_alarms().").contains("memory"));
        broker.set_memory_alarm(false);
        assert_eq!(broker.eval("rabbit_alarm:get_alarms()."), "[]");

        drop(broker);
        assert_eq!(processes_of(&folder), 0);
        assert!(!std::path::Path::new(&folder).exists());
    }

    #[test]
    fn a_node_in_a_network_of_its_own_is_cut_off_and_comes_back() {
        if !Network::is_possible() {
            // Only root may create networks, and only where the kernel allows it.
            return;
        }
        let status = Network::own_namespace(&std::env::current_exe().unwrap())
            .args(["--exact", "cut_off"])
            .env(IN_OWN_NETWORK, "1")
            .status();
        assert!(status.unwrap().success());
    }

    #[test]
    fn an_operator_gives_and_takes() {
        let broker = Broker::start();
        let operator = broker.operator();
        operator.add_user("mallory", "secret").unwrap();
        operator.add_vhost("place").unwrap();
        operator.set_permissions("mallory", "place", ALL).unwrap();
        let permissions = || broker.ctl(&["list_permissions", "-p", "place"]);
        assert!(permissions().contains("mallory\t.*\t.*\t.*"), "{}", permissions());
        operator.set_permissions("mallory", "place", [NONE; 3]).unwrap();
        assert!(permissions().contains("mallory\t^$\t^$\t^$"), "{}", permissions());
        operator.delete_user("mallory").unwrap();
        assert!(!permissions().contains("mallory"));
        assert!(operator.delete_user("mallory").is_err(), "it is deleted");

        broker.eval(
            "Q = rabbit_misc:r(<<\"place\">>, queue, <<\"q.1\">>), \
             {new, _} = rabbit_amqqueue:declare(Q, true, false, [], none, <<\"tests\">>), \
             X = rabbit_misc:r(<<\"place\">>, exchange, <<\"x\">>), \
             rabbit_exchange:declare(X, topic, true, false, false, [], <<\"tests\">>), \
             ok = rabbit_binding:add({binding, X, <<\"k\">>, Q, []}, <<\"tests\">>).",
        );
        let refuses = r#"{"max-length": 0, "overflow": "reject-publish"}"#;
        operator.set_policy("place", "full", "^q", refuses).unwrap();
        let policies = broker.ctl(&["list_policies", "-p", "place"]);
        assert!(policies.contains("reject-publish"), "{policies}");
        operator.clear_policy("place", "full").unwrap();
        assert_eq!(operator.delete_bindings("place", "^q\\.1$").unwrap(), 1);
        assert_eq!(operator.delete_bindings("place", "^q\\.1$").unwrap(), 0);
        assert!(operator.delete_exchange("place", "x").unwrap());
        assert!(!operator.delete_exchange("place", "x").unwrap());
        assert_eq!(operator.delete_queues("place", "^q\\.[2-9]$").unwrap(), 0);
        assert_eq!(operator.delete_queues("place", "^q\\.1$").unwrap(), 1);
        operator.delete_vhost("place").unwrap();

        for (alarm, name) in [(Alarm::Memory, "memory"), (Alarm::Disk, "disk")] {
            operator.set_alarm(alarm, true).unwrap();
            assert!(broker.eval("rabbit_alarm:get_alarms().").contains(name));
            operator.set_alarm(alarm, false).unwrap();
            assert_eq!(broker.eval("rabbit_alarm:get_alarms()."), "[]");
        }
        assert_eq!(operator.close_connections("enough").unwrap(), 0);
        broker.stop();
        assert_eq!(connection_start(broker.port()), None);
        broker.try_restart().unwrap();
        assert_eq!(connection_start(broker.port()), Some(1));
    }

    #[test]
    fn brokers_start_side_by_side() {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..2).map(|_| scope.spawn(Broker::start)).collect();
            let brokers: Vec<Broker> = threads.into_iter().map(|t| t.join().unwrap()).collect();
            assert_ne!(brokers[0].port(), brokers[1].port());
            assert!(brokers.iter().all(|broker| connection_start(broker.port()) == Some(1)));
        });
    }

    #[test]
    fn a_test_process_killed_with_signal_9_leaves_no_broker() {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "victim", "--nocapture"])
            .env(VICTIM, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = std::io::BufReader::new(victim.stdout.take().unwrap());
        let folder = loop {
            let mut line = String::new();
            assert_ne!(
                std::io::BufRead::read_line(&mut output, &mut line).unwrap(),
                0,
                "the victim has exited"
            );
            if let Some(folder) = line.trim().strip_prefix("folder=") {
                break folder.to_owned();
            }
        };
        assert!(processes_of(&folder) > 0);
        victim.kill().unwrap();
        victim.wait().unwrap();
        await_gone(&folder);
    }
}
