//! oslo's `test_functional.MetricsTestCase`: a call shows in a running collector of oslo.metrics.

use leveret::{DriverConfig, MetricsOptions, Transport};
use leveret_support::{Broker, Peer};
use serde_json::{Value, json};

use crate::support::fixture::{Notes, client, echo, eventually, run, server};

#[test]
fn test_functional() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("collector.sock");
    let mut collector = Peer::spawn("collector.py", &[path.to_str().unwrap()]);
    run(async {
        let url = Broker::shared().vhost("functional_metrics");
        let mut metrics = MetricsOptions::default();
        metrics.enabled = true;
        metrics.socket_file = Some(path);
        let config = DriverConfig::default().with_metrics(metrics);
        let transport = Transport::builder(&url).config(config).connect().await.unwrap();
        let server = server(&transport, "t", "s", &Notes::default()).await;
        echo(&client(&transport, "t"), json!("once")).await;
        let end = "oslo_messaging_rpc_client_invocation_end_total";
        let mut samples = Value::Null;
        eventually(|| {
            samples = serde_json::from_str(&collector.ask("")).unwrap();
            samples.get(end).is_some()
        });
        for name in [
            "oslo_messaging_rpc_client_invocation_start_total",
            end,
            "oslo_messaging_rpc_client_processing_seconds_count",
        ] {
            assert_eq!(samples[name][0], 1.0, "{name} in {samples}");
            assert_eq!(samples[name][1]["method"], "echo");
            assert_eq!(samples[name][1]["call_type"], "call");
        }
        server.wait().await.unwrap();
        transport.close().await.unwrap();
    });
    collector.stop();
}
