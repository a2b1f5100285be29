//! Access policies of methods, and the ping method that every server can have.

use std::time::Duration;

use leveret::{
    AccessPolicy, Context, DriverConfig, Endpoint, Failure, RpcServer, Target, Transport, Version,
};
use serde_json::json;

use crate::support::every_broker::on_every_broker;
use crate::support::fixture::{client, connect};

on_every_broker! {
    a_policy_hides_methods
    pings_are_answered_where_enabled
    classes_match_in_allowed_modules_alone
}

fn endpoint() -> Endpoint {
    Endpoint::new()
        .method("open", |_: Context, (): ()| Ok::<_, Failure>("open"))
        .exposed()
        .method("shut", |_, (): ()| Ok::<_, Failure>("shut"))
        .method("_own", |_, (): ()| Ok::<_, Failure>("own"))
}

async fn a_policy_hides_methods(url: String) {
    let transport = connect(&url).await;
    for (topic, policy, open) in [
        ("default", None, ["open", "shut"].as_slice()),
        ("legacy", Some(AccessPolicy::Legacy), &["open", "shut", "_own"]),
        ("explicit", Some(AccessPolicy::Explicit), &["open"]),
        ("by", Some(AccessPolicy::by(|_, method| method == "_own")), &["_own"]),
    ] {
        let target = Target::new(topic).with_server("s");
        let mut server = RpcServer::builder(&transport, target).endpoint(endpoint());
        if let Some(policy) = policy {
            server = server.access_policy(policy);
        }
        let server = server.start().await.unwrap();
        let client = client(&transport, topic);
        for method in ["open", "shut", "_own"] {
            let called = client.call::<String>((), method, &()).await;
            assert_eq!(called.is_ok(), open.contains(&method), "{topic} {method}");
            if let Err(error) = called {
                assert_eq!(error.remote().unwrap().class(), "NoSuchMethod");
            }
        }
        server.wait().await.unwrap();
    }
}

const PING: &str = "oslo_rpc_server_ping";

async fn pings_are_answered_where_enabled(url: String) {
    let config = DriverConfig::default().with_rpc_ping(true);
    let transport = Transport::builder(&url).config(config).connect().await.unwrap();
    let start = async |topic: &str, endpoint: Endpoint| {
        let target = Target::new(topic).with_server("s");
        RpcServer::builder(&transport, target).endpoint(endpoint).start().await.unwrap()
    };
    let plain = start("plain", endpoint().with_namespace("ns").with_version(Version::new(3, 0)));
    let plain = plain.await;
    let ping = client(&transport, "plain");
    assert_eq!(ping.call::<String>((), PING, &()).await.unwrap(), "pong");
    assert_eq!(ping.call::<String>((), PING, &json!({"any": 1})).await.unwrap(), "pong");
    let own = Endpoint::new().method(PING, |_: Context, (): ()| Ok::<_, Failure>("mine"));
    let own = start("own", own).await;
    let answer: String = client(&transport, "own").call((), PING, &()).await.unwrap();
    assert_eq!(answer, "mine", "the user's endpoint comes first");
    own.wait().await.unwrap();
    plain.wait().await.unwrap();

    let transport = connect(&url).await;
    let target = Target::new("off").with_server("s");
    let off = RpcServer::builder(&transport, target).endpoint(endpoint()).start().await.unwrap();
    let client = client(&transport, "off").with_timeout(Duration::from_secs(20));
    assert!(client.call::<String>((), PING, &()).await.unwrap_err().remote().is_some());
    off.wait().await.unwrap();
}

async fn classes_match_in_allowed_modules_alone(url: String) {
    let transport = connect(&url).await;
    let raising = Endpoint::new().method("find", |_: Context, (): ()| -> Result<(), Failure> {
        Err(Failure::new("NotFound", "nova.exception", "no such server"))
    });
    let target = Target::new("t").with_server("s");
    let server = RpcServer::builder(&transport, target).endpoint(raising).start().await.unwrap();
    let knowing = Transport::builder(&url).allowed_remote_exmods(["nova.exception"]);
    let knowing = knowing.connect().await.unwrap();
    for (transport, is_known) in [(&transport, false), (&knowing, true)] {
        let error = client(transport, "t").call::<()>((), "find", &()).await.unwrap_err();
        assert_eq!(error.is_remote_class("NotFound"), is_known);
        assert_eq!(error.remote_as("nova.exception", "NotFound").is_some(), is_known);
        assert_eq!(error.remote().unwrap().message(), "no such server", "known or not");
    }
    server.wait().await.unwrap();
}
