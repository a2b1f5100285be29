//! Serializers on both sides: their input, their order, and their errors.

use leveret::{
    Context, Endpoint, ErrorKind, Failure, NoOpSerializer, Outcome, RequestContextSerializer,
    RpcServer, Serializer, Target,
};
use serde_json::{Value, json};

use crate::support::every_broker::on_every_broker;
use crate::support::fixture::{client, connect};

on_every_broker! {
    values_and_contexts_pass_through_serializers
    what_a_serializer_refuses_is_an_error
    contexts_may_be_changed_alone
}

/// Wraps each value with the user of its context, and unwraps it only for the same user.
struct Sealed;

impl Serializer for Sealed {
    fn serialize_entity(&self, context: &Context, entity: Value) -> Result<Value, Failure> {
        if entity == "unsealable" {
            return Err(Failure::builtin("ValueError", "this cannot be sealed"));
        }
        Ok(json!({"by": context.get("user"), "sealed": entity}))
    }

    fn deserialize_entity(&self, context: &Context, mut entity: Value) -> Result<Value, Failure> {
        if entity["by"] != context.get("user").cloned().unwrap_or_default() {
            return Err(Failure::builtin("ValueError", format!("not sealed by us: {entity}")));
        }
        Ok(entity["sealed"].take())
    }

    fn serialize_context(&self, context: &Context) -> Result<Context, Failure> {
        Ok(context.clone().with("user", format!("{}!", context.get("user").unwrap())))
    }

    fn deserialize_context(&self, context: Context) -> Result<Context, Failure> {
        // The context is deserialized before any value, or no user would match.
        let user = context.get("user").and_then(Value::as_str).unwrap_or_default();
        let user: Value = serde_json::from_str(user.trim_end_matches('!'))?;
        Ok(context.with("user", user))
    }
}

fn endpoint() -> Endpoint {
    Endpoint::new()
        .method("join", |context: Context, args: Value| {
            Ok::<_, Failure>(json!([context.get("user"), args]))
        })
        .method("later", |_, (): ()| Ok::<_, Failure>("unsealable"))
        .async_method("soon", |_, args: Value| async move { Ok::<_, Failure>(args) })
}

async fn values_and_contexts_pass_through_serializers(url: String) {
    let transport = connect(&url).await;
    let target = Target::new("t").with_server("s");
    let server = RpcServer::builder(&transport, target).endpoint(endpoint()).serializer(Sealed);
    let server = server.start().await.unwrap();
    let context = Context::new().with("user", "alice");
    let sealing = client(&transport, "t").with_serializer(Sealed);
    let args = json!({"a": 1, "b": [2, null]});
    let answer: Value = sealing.call(&context, "join", &args).await.unwrap();
    assert_eq!(answer, json!(["alice", args]));
    assert_eq!(sealing.call::<Value>(&context, "soon", &args).await.unwrap(), args);
    let error = sealing.call::<Value>(&context, "absent", &args).await.unwrap_err();
    assert!(error.is_no_such_method());
    sealing.cast(&context, "join", &()).await.unwrap();

    let plain = client(&transport, "t");
    let sent = context.clone().with("user", "\"alice\"!");
    let answer = plain.call::<Value>(&sent, "soon", &()).await.unwrap();
    assert_eq!(answer, json!({"by": "alice", "sealed": {}}), "the payload on the wire");
    server.wait().await.unwrap();
}

async fn what_a_serializer_refuses_is_an_error(url: String) {
    let transport = connect(&url).await;
    let target = Target::new("t").with_server("s");
    let server = RpcServer::builder(&transport, target).endpoint(endpoint()).serializer(Sealed);
    let server = server.start().await.unwrap();
    let context = Context::new().with("user", "alice");
    let sealing = client(&transport, "t").with_serializer(Sealed);
    let error = sealing.cast(&context, "join", &json!({"a": "unsealable"})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ClientSendError, "{error}");
    assert_eq!(error.outcome(), Some(Outcome::NotSent));
    let error = sealing.call::<Value>(&context, "later", &()).await.unwrap_err();
    assert!(error.is_remote_class("ValueError"), "the result: {error}");
    let plain = client(&transport, "t");
    let sent = context.with("user", "\"alice\"!");
    let error = plain.call::<Value>(&sent, "soon", &json!({"a": 1})).await.unwrap_err();
    assert!(error.is_remote_class("ValueError"), "the arguments: {error}");
    let error = plain.call::<Value>((), "soon", &()).await.unwrap_err();
    assert!(error.remote().is_some(), "the context: {error}");
    server.wait().await.unwrap();
}

async fn contexts_may_be_changed_alone(url: String) {
    let transport = connect(&url).await;
    let serializer = RequestContextSerializer::new(
        NoOpSerializer,
        |context: &Context| {
            let mut sent = context.clone();
            sent.remove("token");
            sent
        },
        |context: Context| context.with("user", "from afar"),
    );
    let endpoint = Endpoint::new().method("ctxt", |context: Context, (): ()| {
        let of = |key| context.get(key).cloned();
        Ok::<_, Failure>((of("user"), of("token"), context.client_timeout()))
    });
    let target = Target::new("t").with_server("s");
    let server = RpcServer::builder(&transport, target).endpoint(endpoint).serializer(serializer);
    let server = server.start().await.unwrap();
    let context = Context::new().with("user", "alice").with("token", "secret");
    let client = client(&transport, "t")
        .with_serializer(serializer)
        .with_call_monitor_timeout(std::time::Duration::from_secs(5));
    let seen: Value = client.call(&context, "ctxt", &()).await.unwrap();
    assert_eq!(seen, json!(["from afar", null, 5.0]));
    server.wait().await.unwrap();
}
