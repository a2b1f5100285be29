//! Reports of calls and casts to a collector of oslo.metrics, on its Unix datagram socket.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use leveret::{Config, TransportBuilder, Version};
use serde_json::{Value, json};

use crate::support::every_broker::on_every_broker;
use crate::support::fixture::{Notes, client, connect, echo, eventually, server};

on_every_broker! {
    calls_and_casts_are_reported_as_oslo_does
    a_missing_collector_holds_up_nobody
}

/// Returns a builder with the options a service's files would set.
fn reporting(url: &str, socket: &Path, more: &str) -> TransportBuilder {
    let socket = socket.display();
    let text = format!(
        "[DEFAULT]\ntransport_url = {url}\n[oslo_messaging_metrics]\nmetrics_enabled = true\n\
         metrics_socket_file = {socket}\nmetrics_process_name = proc1\n{more}"
    );
    TransportBuilder::from_config(&Config::new().ini_str(&text).unwrap()).unwrap()
}

async fn calls_and_casts_are_reported_as_oslo_does(url: String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("collector.sock");
    let collector = UnixDatagram::bind(&path).unwrap();
    collector.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let next = || {
        let mut bytes = [0; 4096];
        let length = collector.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let labels = |call_type: &str, method: &str| {
        format!(
            "{{\"call_type\": \"{call_type}\", \"exchange\": \"ex1\", \"topic\": \"t\", \
             \"namespace\": \"ns1\", \"version\": \"1.5\", \"server\": null, \"fanout\": null, \
             \"method\": \"{method}\", \"timeout\": null, \"process\": \"proc1\"}}"
        )
    };
    let counted = |name: &str, labels: &str| {
        format!(
            "{{\"module\": \"oslo_messaging\", \"name\": \"rpc_client_{name}_total\", \
             \"action\": {{\"value\": null, \"action\": \"inc\"}}, \"labels\": {labels}}}"
        )
    };
    let transport = reporting(&url, &path, "").connect().await.unwrap();
    let client = client(&transport, "t")
        .with_exchange("ex1")
        .with_namespace("ns1")
        .with_version(Version::new(1, 5));
    for call_type in ["call", "cast", "cast"] {
        let absent = client.prepare().with_timeout(Duration::from_millis(50));
        let labels = labels(call_type, "mé");
        let labels = labels.replace('é', "\\u00e9");
        match call_type {
            "call" => drop(absent.call::<()>((), "mé", &()).await.unwrap_err()),
            _ => client.cast((), "mé", &()).await.unwrap(),
        }
        assert_eq!(next(), counted("invocation_start", &labels));
        if call_type == "call" {
            let process = ", \"process\"";
            let exception = format!(", \"exception\": \"MessagingTimeout\"{process}");
            let labels = labels.replace(process, &exception);
            let report: Value = serde_json::from_str(&next()).unwrap();
            assert_eq!(
                report,
                serde_json::from_str::<Value>(&counted("exception", &labels)).unwrap()
            );
            continue;
        }
        let observed: Value = serde_json::from_str(&next()).unwrap();
        assert_eq!(observed["name"], "rpc_client_processing_seconds");
        assert_eq!(observed["action"]["action"], "observe");
        assert!(observed["action"]["value"].as_f64().is_some_and(|seconds| seconds > 0.0));
        assert_eq!(observed["labels"], serde_json::from_str::<Value>(&labels).unwrap());
        assert_eq!(next(), counted("invocation_end", &labels));
    }
    client.with_fanout(true).cast_buffered((), "x", &()).await.unwrap();
    let fanout: Value = serde_json::from_str(&next()).unwrap();
    assert_eq!(fanout["labels"]["fanout"], true);
    assert_eq!(transport.metrics().reports_dropped, 0);
}

async fn a_missing_collector_holds_up_nobody(url: String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nobody.sock");
    let peer = connect(&url).await;
    let server = server(&peer, "t", "s", &Notes::default()).await;
    let more = "metrics_buffer_size = 5\n";
    let transport = reporting(&url, &path, more).connect().await.unwrap();
    let client = client(&transport, "t");
    for number in 0..20 {
        assert_eq!(echo(&client, json!(number)).await, number);
    }
    // Three reports per call, five that wait, and one that the thread may hold.
    eventually(|| (54..=55).contains(&transport.metrics().reports_dropped));
    server.wait().await.unwrap();
    transport.close().await.unwrap();
}
