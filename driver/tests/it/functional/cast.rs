//! `test_functional.CastTestCase`.

use serde_json::json;

use super::{Group, context};
use crate::support::every_broker::in_every_dialect;
use crate::support::fixture::{connect, eventually};

in_every_dialect! {
    test_specific_server
    test_server_in_group
    test_fanout
}

async fn test_specific_server(url: String) {
    let transport = connect(&url).await;
    let group = Group::start(&transport, "t").await;
    let client = group.client_of(&transport, 1);
    for text in ["open", "stack"] {
        client.cast(context(), "append", &json!({ "text": text })).await.unwrap();
    }
    for increment in [2, 10] {
        client.cast(context(), "add", &json!({ "increment": increment })).await.unwrap();
    }
    eventually(|| group.svals()[1].len() == "openstack".len() && group.ivals()[1] == 12);
    let svals = group.svals();
    assert!(["openstack", "stackopen"].contains(&svals[1].as_str()), "in any order: {svals:?}");
    assert_eq!((group.ivals(), &svals[0], &svals[2]), (vec![0, 12, 0], &"".into(), &"".into()));
    group.stop().await;
    transport.close().await.unwrap();
}

async fn test_server_in_group(url: String) {
    let transport = connect(&url).await;
    let group = Group::start(&transport, "t").await;
    let client = group.client(&transport);
    for _ in 0..20 {
        client.cast(context(), "add", &json!({"increment": 1})).await.unwrap();
    }
    eventually(|| group.ivals().iter().sum::<i64>() == 20);
    assert!(group.ivals().iter().all(|ival| (1..20).contains(ival)), "{:?}", group.ivals());
    group.stop().await;
    transport.close().await.unwrap();
}

async fn test_fanout(url: String) {
    let transport = connect(&url).await;
    let group = Group::start(&transport, "t").await;
    let client = group.client(&transport).with_fanout(true);
    for increment in [2, 10] {
        client.cast(context(), "add", &json!({ "increment": increment })).await.unwrap();
    }
    eventually(|| group.ivals() == [12, 12, 12]);
    group.stop().await;
    transport.close().await.unwrap();
}
