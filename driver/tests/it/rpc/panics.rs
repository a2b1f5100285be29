//! Panics of user code at every point of call: only the current message fails.

use std::sync::{Arc, Mutex};

use leveret::{
    AccessPolicy, Context, Endpoint, Executor, Failure, Notification, NotificationEndpoint,
    RpcServer, Serializer, Target,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::notify::delivery::{listener, notifier};
use crate::support::every_broker::on_every_broker;
use crate::support::fixture::{client, connect, eventually};

on_every_broker! {
    a_listener_survives_it
    a_caller_is_told
}

/// A payload that panics at a step given by its number.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fragile(i64);

impl Serialize for Fragile {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(self.0, 5, "while it is written");
        serializer.serialize_i64(self.0)
    }
}

impl<'de> Deserialize<'de> for Fragile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        assert_ne!(number, 1, "while it is read");
        Ok(Self(number))
    }
}

impl std::fmt::Display for Fragile {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("while its error is printed")
    }
}

impl Serializer for Fragile {
    fn serialize_entity(&self, _: &Context, entity: Value) -> Result<Value, Failure> {
        assert_ne!(entity, json!(6), "while it is serialised");
        Ok(entity)
    }

    fn deserialize_entity(&self, _: &Context, entity: Value) -> Result<Value, Failure> {
        assert_ne!(entity, json!(2), "while it is deserialised");
        Ok(entity)
    }
}

async fn a_listener_survives_it(url: String) {
    let transport = connect(&url).await;
    let notifier = notifier(&transport, "t");
    for executor in
        [Executor::Threads, Executor::Inline, Executor::Runtime(tokio::runtime::Handle::current())]
    {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heard);
        let endpoint =
            NotificationEndpoint::new().info(move |one: Notification<Fragile>| match one.payload {
                Fragile(3) => Err(one.payload),
                other => {
                    seen.lock().unwrap().push(other);
                    Ok(())
                }
            });
        let builder = listener(&transport, "t").endpoint(endpoint).serializer(Fragile(0));
        let listening = builder.executor(executor).start().await.unwrap();
        for number in [1, 2, 3, 4] {
            notifier.info((), "ev", &number).await.unwrap();
        }
        eventually(|| listening.stats().handled == 1 && listening.stats().dropped == 3);
        assert_eq!(*heard.lock().unwrap(), [Fragile(4)]);
        listening.wait().await.unwrap();
    }
    transport.close().await.unwrap();
}

#[derive(Deserialize)]
struct Arg {
    arg: Fragile,
}

async fn a_caller_is_told(url: String) {
    let transport = connect(&url).await;
    let policy = AccessPolicy::by(|_, method| {
        assert_ne!(method, "forbidden", "while access is decided");
        true
    });
    let endpoint = || {
        Endpoint::new()
            .method("echo", |_, Arg { arg }| Ok::<_, Failure>(arg))
            .method("forbidden", |_, Arg { arg }| Ok::<_, Failure>(arg))
            .async_method("later", |_, Arg { arg }| async move { Ok::<_, Failure>(arg) })
    };
    let runtime = tokio::runtime::Handle::current();
    for (server, executor) in [("one", Executor::Threads), ("two", Executor::Runtime(runtime))] {
        let builder = RpcServer::builder(&transport, Target::new("t").with_server(server));
        let builder = builder.endpoint(endpoint()).access_policy(policy.clone());
        let builder = builder.serializer(Fragile(0)).executor(executor);
        let serving = builder.start().await.unwrap();
        let client = client(&transport, "t").with_server(server);
        for (method, arg, reason) in [
            ("echo", 1, "while it is read"),
            ("echo", 2, "while it is deserialised"),
            ("echo", 5, "while it is written"),
            ("echo", 6, "while it is serialised"),
            ("later", 1, "while it is read"),
            ("later", 5, "while it is written"),
            ("forbidden", 0, "while access is decided"),
        ] {
            let error = client.call::<Value>((), method, &json!({ "arg": arg })).await.unwrap_err();
            let remote = error.remote().unwrap_or_else(|| panic!("{error}"));
            assert!(remote.message().contains(reason), "{method} {arg}: {error}");
        }
        for method in ["echo", "later"] {
            let answer = client.call::<Value>((), method, &json!({"arg": 4})).await.unwrap();
            assert_eq!(answer, 4);
        }
        serving.wait().await.unwrap();
    }
    transport.close().await.unwrap();
}
