//! The public spans: their names, their fields, and the code that runs inside them. The test needs
//! its own process, because its subscriber is global.
#![expect(clippy::disallowed_methods, reason = "tests of real brokers need the real clock")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leveret::{
    Context, Endpoint, Failure, Notification, NotificationEndpoint, NotificationListener, Notifier,
    RpcClient, RpcServer, Target, TraceParent, Transport,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context as LayerContext, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// One recorded span: its name, whether it has ended, and its fields.
#[derive(Clone, Debug, Default)]
struct RecordedSpan {
    name: &'static str,
    is_closed: bool,
    fields: HashMap<&'static str, String>,
}

impl RecordedSpan {
    fn get(&self, field: &str) -> &str {
        self.fields.get(field).map_or("(none)", String::as_str)
    }
}

impl Visit for RecordedSpan {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}").replace('"', ""));
    }
}

/// Records every span of Leveret, in the order of their start.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(u64, RecordedSpan)>>>);

impl Spans {
    fn change(&self, id: &Id, change: impl FnOnce(&mut RecordedSpan)) {
        let mut spans = self.0.lock().unwrap();
        // The latest span with this id, because ids are reused.
        if let Some((_, recorded)) =
            spans.iter_mut().rev().find(|(known, _)| *known == id.into_u64())
        {
            change(recorded);
        }
    }

    /// Waits until `count` spans of this name have ended, for at most a minute; returns them.
    fn closed(&self, name: &str, count: usize) -> Vec<RecordedSpan> {
        let start = Instant::now();
        loop {
            let spans = self.0.lock().unwrap().clone();
            let found: Vec<_> = spans.into_iter().map(|(_, recorded)| recorded).collect();
            let found: Vec<_> =
                found.into_iter().filter(|recorded| recorded.name == name).collect();
            if found.len() == count && found.iter().all(|recorded| recorded.is_closed) {
                return found;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{name}: {found:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: LayerContext<'_, S>) {
        if attributes.metadata().target() == "leveret::trace" {
            assert_eq!(*attributes.metadata().level(), tracing::Level::DEBUG);
            let mut recorded =
                RecordedSpan { name: attributes.metadata().name(), ..RecordedSpan::default() };
            attributes.record(&mut recorded);
            self.0.lock().unwrap().push((id.into_u64(), recorded));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: LayerContext<'_, S>) {
        self.change(id, |recorded| values.record(recorded));
    }

    fn on_close(&self, id: Id, _: LayerContext<'_, S>) {
        self.change(&id, |recorded| recorded.is_closed = true);
    }
}

fn current_span() -> String {
    tracing::Span::current().metadata().map_or("nothing", |span| span.name()).to_owned()
}

#[test]
fn every_road_has_its_span() {
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let transport = Transport::connect_blocking("fake:///spans").unwrap();
    let endpoint = Endpoint::new()
        .method("where", |_: Context, (): ()| Ok::<_, Failure>(current_span()))
        .async_method("whence", |context: Context, (): ()| async move {
            tokio::task::yield_now().await;
            Ok::<_, Failure>((current_span(), context.traceparent().unwrap().to_string()))
        })
        .method("boom", |_: Context, (): ()| {
            Err::<(), _>(Failure::builtin("ValueError", "no").with_args([]))
        });
    let target = Target::new("t").with_server("s");
    let server = RpcServer::builder(&transport, target).endpoint(endpoint).start_blocking();
    let server = server.unwrap();
    let client = RpcClient::new(&transport, Target::new("t"));

    let parent = TraceParent::new(0xabc, 0xdef, true).unwrap();
    let context = Context::new().with("request_id", "req-1").with_traceparent(parent);
    let span: String = client.call_blocking(&context, "where", &()).unwrap();
    assert_eq!(span, "serve");
    let (span, seen_parent): (String, String) =
        client.call_blocking(&context, "whence", &()).unwrap();
    assert_eq!((span.as_str(), seen_parent), ("serve", parent.to_string()));
    client.call_blocking::<()>((), "boom", &()).unwrap_err();
    client.cast_blocking(&context, "where", &()).unwrap();
    client.cast_buffered_blocking((), "where", &()).unwrap();

    let calls = spans.closed("call", 3);
    assert_eq!(calls[0].get("otel.name"), "t.where");
    assert_eq!(calls[0].get("otel.kind"), "client");
    assert_eq!(calls[0].get("messaging.destination.name"), "t");
    assert_eq!(calls[0].get("rpc.method"), "where");
    assert_eq!(calls[0].get("openstack.request_id"), "req-1");
    assert_eq!(calls[0].get("traceparent"), parent.to_string());
    assert_eq!(calls[0].get("error.type"), "(none)");
    assert_eq!(calls[2].get("traceparent"), "(none)");
    assert_eq!(
        (calls[2].get("error.type"), calls[2].get("otel.status_code")),
        ("RemoteError", "ERROR")
    );
    let casts = spans.closed("cast", 2);
    assert_eq!((casts[0].get("otel.kind"), casts[1].get("rpc.method")), ("producer", "where"));
    let served = spans.closed("serve", 5);
    server.wait_blocking().unwrap();
    let boom = served.iter().find(|recorded| recorded.get("rpc.method") == "boom").unwrap();
    assert_eq!(boom.get("error.type"), "ValueError");
    assert_eq!(boom.get("messaging.message.id").len(), 32);
    assert_eq!(served[0].get("traceparent"), parent.to_string());
    assert_eq!(served[0].get("otel.name"), "where receive");

    let spans_seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&spans_seen);
    let endpoint = NotificationEndpoint::new().info(move |_: Notification| {
        record.lock().unwrap().push(current_span());
    });
    let listener = NotificationListener::builder(&transport, Target::new("happened"))
        .endpoint(endpoint)
        .start_blocking()
        .unwrap();
    let notifier = Notifier::builder(&transport).topic("happened").build();
    notifier.info_blocking(&context, "vm.start", &serde_json::json!({"s": "s3cret"})).unwrap();
    let notified = spans.closed("notify", 1);
    assert_eq!((notified[0].get("event_type"), notified[0].get("priority")), ("vm.start", "info"));
    let heard = spans.closed("hear", 1);
    assert_eq!(heard[0].get("traceparent"), parent.to_string());
    assert_eq!(heard[0].get("messaging.batch.message_count"), "1");
    assert_eq!(*spans_seen.lock().unwrap(), ["hear"]);
    listener.wait_blocking().unwrap();
    assert!(!format!("{:?}", spans.0.lock().unwrap()).contains("s3cret"), "no payloads");
}
