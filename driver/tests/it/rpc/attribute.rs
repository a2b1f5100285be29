//! Endpoints written as `impl` blocks.

use std::sync::atomic::{AtomicI64, Ordering};

use leveret::{AccessPolicy, Context, Failure, RpcServer, Target, Version};
use serde_json::{Value, json};

use crate::support::every_broker::on_every_broker;
use crate::support::fixture::{client, connect};

on_every_broker! {
    an_impl_block_serves
}

struct Counter {
    total: AtomicI64,
}

#[leveret::endpoint(namespace = "math", version = "1.2")]
impl Counter {
    /// Not a method of the endpoint: it has no `&self`.
    fn starting_at(total: i64) -> Self {
        Self { total: AtomicI64::new(total) }
    }

    #[expose]
    #[expected_exceptions("ValueError")]
    fn count(&self, _: &Context, value: i64, increment: Option<i64>) -> Result<i64, Failure> {
        if value < 0 {
            return Err(Failure::builtin("ValueError", "value can't go negative!"));
        }
        let more = value + increment.unwrap_or(0);
        Ok(self.total.fetch_add(more, Ordering::Relaxed) + more)
    }

    #[expose]
    async fn later(&self, context: &Context, r#type: String) -> Result<Value, Failure> {
        tokio::task::yield_now().await;
        Ok(json!([context.get("user"), r#type, self.total.load(Ordering::Relaxed)]))
    }

    #[expose]
    fn nothing(&self, _: &Context) -> Result<(), Failure> {
        Ok(())
    }

    fn hidden(&self, _: &Context) -> Result<(), Failure> {
        Ok(())
    }
}

async fn an_impl_block_serves(url: String) {
    let transport = connect(&url).await;
    let target = Target::new("t").with_server("s");
    let server = RpcServer::builder(&transport, target)
        .endpoint(Counter::starting_at(10))
        .access_policy(AccessPolicy::Explicit);
    let server = server.start().await.unwrap();
    let client = client(&transport, "t").with_namespace("math").with_version(Version::new(1, 2));
    let args = json!({"value": 2, "increment": 3});
    assert_eq!(client.call::<i64>((), "count", &args).await.unwrap(), 15);
    assert_eq!(client.call::<i64>((), "count", &json!({"value": 1})).await.unwrap(), 16);
    let context = Context::new().with("user", "alice");
    let seen: Value = client.call(&context, "later", &json!({"type": "x"})).await.unwrap();
    assert_eq!(seen, json!(["alice", "x", 16]));
    client.call::<()>((), "nothing", &()).await.unwrap();
    for (method, args, class) in [
        ("count", json!({"value": -1}), "ValueError"),
        ("count", json!({"increment": 1}), "TypeError"),
        ("count", json!({"value": 1, "unknown": 1}), "TypeError"),
        ("nothing", json!({"unknown": 1}), "TypeError"),
        ("hidden", json!({}), "NoSuchMethod"),
        ("starting_at", json!({"total": 1}), "NoSuchMethod"),
    ] {
        let error = client.call::<Value>((), method, &args).await.unwrap_err();
        assert_eq!(error.remote().unwrap().class(), class, "{method} {args}");
    }
    server.wait().await.unwrap();
}
