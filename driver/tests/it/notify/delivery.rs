//! Notifications on every broker: each arrives exactly as often as it should.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret::{
    Context, ErrorKind, Executor, Failure, Notification, NotificationConfig, NotificationDriver,
    NotificationEndpoint, NotificationFilter, NotificationListener, NotificationListenerBuilder,
    Notifier, Outcome, Priority, Retry, Serializer, Target, Transport,
};
use serde_json::{Value, json};

use crate::support::every_broker::on_every_broker;
use crate::support::fixture::{connect, eventually};

on_every_broker! {
    a_notification_arrives_with_all_its_parts
    every_priority_reaches_its_own_function
    a_notification_waits_for_a_listener
    listeners_of_one_topic_share
    topics_are_independent_and_a_listener_may_have_several
    every_pool_gets_everything_once
    endpoints_see_what_their_filters_let_pass
    every_executor_listens
    stopping_handles_what_was_taken
    nothing_to_listen_to_is_an_error
    serializers_work_on_both_sides
    options_make_a_notifier
    waiting_has_a_limit
}

/// The notifications that listeners received.
#[derive(Clone, Default)]
pub(crate) struct Received(Arc<Mutex<Vec<Notification>>>);

impl Received {
    pub(crate) fn recorder(&self) -> impl Fn(Notification) + Send + Sync + use<> {
        let received = self.clone();
        move |notification| received.0.lock().unwrap().push(notification)
    }

    pub(crate) fn endpoint(&self) -> NotificationEndpoint {
        Priority::ALL
            .into_iter()
            .fold(NotificationEndpoint::new(), |endpoint, one| endpoint.on(one, self.recorder()))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Waits until `count` notifications have arrived; takes them.
    pub(crate) fn take(&self, count: usize) -> Vec<Notification> {
        eventually(|| self.len() >= count);
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub(crate) fn numbers(&self, count: usize) -> Vec<i64> {
        self.take(count).iter().map(|one| one.payload.as_i64().unwrap()).collect()
    }
}

pub(crate) fn notifier(transport: &Transport, topic: &str) -> Notifier {
    Notifier::builder(transport).publisher_id("pub.host1").topic(topic).build()
}

pub(crate) fn listener(transport: &Transport, topic: &str) -> NotificationListenerBuilder {
    NotificationListener::builder(transport, Target::new(topic))
}

async fn a_notification_arrives_with_all_its_parts(url: String) {
    let transport = connect(&url).await;
    let received = Received::default();
    let listening = listener(&transport, "t").endpoint(received.endpoint()).start().await.unwrap();
    for driver in [NotificationDriver::Messaging, NotificationDriver::MessagingV2] {
        let notifier =
            Notifier::builder(&transport).publisher_id("püb").topic("t").driver(driver).build();
        let context = Context::new().with("user", "álice").with("auth_token", "s3cret");
        let payload = json!({"big": "x".repeat(300_000), "l": [1, 2.5, null, "é"]});
        notifier.info(&context, "ev.start", &payload).await.unwrap();
        let got = received.take(1).remove(0);
        assert_eq!((got.publisher_id.as_str(), got.event_type.as_str()), ("püb", "ev.start"));
        assert_eq!((got.priority, got.payload), (Priority::Info, payload));
        assert_eq!(got.context, Context::new().with("user", "álice"), "no secret is sent");
        assert_eq!(got.message_id.len(), 36);
        assert!(got.timestamp.starts_with("20"), "{}", got.timestamp);
    }
    listening.wait().await.unwrap();
    assert_eq!(listening.stats().handled, 2);
    transport.close().await.unwrap();
}

async fn every_priority_reaches_its_own_function(url: String) {
    let transport = connect(&url).await;
    let received: Vec<(Priority, Received)> =
        Priority::ALL.into_iter().map(|one| (one, Received::default())).collect();
    let endpoint = received.iter().fold(NotificationEndpoint::new(), |endpoint, (one, list)| {
        endpoint.on(*one, list.recorder())
    });
    let listening = listener(&transport, "t").endpoint(endpoint).start().await.unwrap();
    let notifier = notifier(&transport, "t");
    notifier.audit((), "audit", &1).await.unwrap();
    notifier.debug((), "debug", &1).await.unwrap();
    notifier.info((), "info", &1).await.unwrap();
    notifier.warn((), "warn", &1).await.unwrap();
    notifier.error((), "error", &1).await.unwrap();
    notifier.critical((), "critical", &1).await.unwrap();
    notifier.sample((), "sample", &1).await.unwrap();
    for (priority, received) in received {
        let got = received.take(1);
        assert_eq!((got.len(), got[0].event_type.as_str()), (1, priority.as_str()));
        assert_eq!(got[0].priority, priority);
    }
    listening.wait().await.unwrap();
    transport.close().await.unwrap();
}

async fn a_notification_waits_for_a_listener(url: String) {
    let transport = connect(&url).await;
    let notifier = notifier(&transport, "t");
    for number in 0..10 {
        notifier.error((), "ev", &number).await.unwrap();
    }
    let received = Received::default();
    let endpoint = NotificationEndpoint::new().error(received.recorder());
    let listening = listener(&transport, "t").endpoint(endpoint).start().await.unwrap();
    let mut numbers = received.numbers(10);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    listening.wait().await.unwrap();
    transport.close().await.unwrap();
}

async fn listeners_of_one_topic_share(url: String) {
    let transport = connect(&url).await;
    let both = [Received::default(), Received::default()];
    let mut listeners = Vec::new();
    for received in &both {
        let builder = listener(&transport, "t").endpoint(received.endpoint());
        listeners.push(builder.start().await.unwrap());
    }
    let notifier = notifier(&transport, "t");
    for number in 0..50 {
        notifier.info((), "ev", &number).await.unwrap();
    }
    eventually(|| both[0].len() + both[1].len() >= 50);
    assert!(both[0].len() > 0 && both[1].len() > 0, "both listeners receive some");
    let mut all = [both[0].numbers(0), both[1].numbers(0)].concat();
    all.sort_unstable();
    assert_eq!(all, (0..50).collect::<Vec<_>>(), "no notification is lost or arrives twice");
    for listening in listeners {
        listening.wait().await.unwrap();
    }
    transport.close().await.unwrap();
}

async fn topics_are_independent_and_a_listener_may_have_several(url: String) {
    let transport = connect(&url).await;
    let (one, both) = (Received::default(), Received::default());
    let first = listener(&transport, "a").endpoint(one.endpoint()).start().await.unwrap();
    let several = listener(&transport, "b").target(Target::new("c")).endpoint(both.endpoint());
    let second = several.start().await.unwrap();
    for topic in ["a", "b", "c"] {
        notifier(&transport, topic).info((), topic, &json!({})).await.unwrap();
    }
    let types = |all: Vec<Notification>| -> BTreeSet<String> {
        all.into_iter().map(|one| one.event_type).collect()
    };
    assert_eq!(types(one.take(1)), ["a".to_owned()].into());
    assert_eq!(types(both.take(2)), ["b".to_owned(), "c".to_owned()].into());
    let several = Notifier::builder(&transport).topic("a").topic("b").build();
    several.info((), "to both", &()).await.unwrap();
    assert_eq!((one.take(1).len(), both.take(1).len()), (1, 1));
    first.wait().await.unwrap();
    second.wait().await.unwrap();
    transport.close().await.unwrap();
}

async fn every_pool_gets_everything_once(url: String) {
    let transport = connect(&url).await;
    let received = [Received::default(), Received::default(), Received::default()];
    let mut listeners = Vec::new();
    for (received, pool) in received.iter().zip([None, Some("pool1"), Some("pool2")]) {
        for _ in 0..2 {
            let mut builder = listener(&transport, "t").endpoint(received.endpoint());
            if let Some(pool) = pool {
                builder = builder.pool(pool);
            }
            listeners.push(builder.start().await.unwrap());
        }
    }
    let notifier = notifier(&transport, "t");
    for number in 0..20 {
        notifier.info((), "ev", &number).await.unwrap();
        notifier.warn((), "ev", &(100 + number)).await.unwrap();
    }
    for received in &received {
        let mut numbers = received.numbers(40);
        numbers.sort_unstable();
        assert_eq!(numbers, (0..20).chain(100..120).collect::<Vec<_>>());
    }
    for listening in listeners {
        listening.wait().await.unwrap();
    }
    transport.close().await.unwrap();
}

async fn endpoints_see_what_their_filters_let_pass(url: String) {
    let transport = connect(&url).await;
    let (some, all) = (Received::default(), Received::default());
    let filter = NotificationFilter::new().event_type("a|b").unwrap();
    let filter = filter.payload("state", "^active$").unwrap();
    let listening = listener(&transport, "t")
        .endpoint(some.endpoint().with_filter(filter))
        .endpoint(all.endpoint())
        .start()
        .await
        .unwrap();
    let notifier = notifier(&transport, "t");
    for (event_type, state) in [("a", "active"), ("b", "deleted"), ("c", "active"), ("b", "active")]
    {
        notifier.info((), event_type, &json!({"state": state})).await.unwrap();
    }
    assert_eq!(all.take(4).len(), 4);
    eventually(|| listening.stats().handled == 4);
    listening.wait().await.unwrap();
    let types: BTreeSet<_> = some.take(2).into_iter().map(|one| one.event_type).collect();
    assert_eq!(types, ["a".to_owned(), "b".to_owned()].into());
    transport.close().await.unwrap();
}

async fn every_executor_listens(url: String) {
    let transport = connect(&url).await;
    let runtime = tokio::runtime::Handle::current();
    for executor in [Executor::Threads, Executor::Runtime(runtime), Executor::Inline] {
        let received = Received::default();
        let is_inline = matches!(executor, Executor::Inline);
        let mut endpoint = received.endpoint();
        if !is_inline {
            let record = Arc::new(received.recorder());
            endpoint = endpoint.async_on(Priority::Info, move |notification: Notification| {
                let record = Arc::clone(&record);
                async move {
                    tokio::task::yield_now().await;
                    record(notification);
                }
            });
        }
        let builder = listener(&transport, "t").endpoint(endpoint).executor(executor);
        let listening = builder.start().await.unwrap();
        let notifier = notifier(&transport, "t");
        for number in 0..20 {
            notifier.info((), "ev", &number).await.unwrap();
        }
        assert_eq!(received.take(20).len(), 20);
        listening.wait().await.unwrap();
    }
    transport.close().await.unwrap();
}

async fn stopping_handles_what_was_taken(url: String) {
    let transport = connect(&url).await;
    let received = Received::default();
    let notifier = notifier(&transport, "t");
    for number in 0..500 {
        notifier.info((), "ev", &number).await.unwrap();
    }
    let builder = listener(&transport, "t").endpoint(received.endpoint()).batch_size(64);
    let listening = builder.start().await.unwrap();
    eventually(|| received.len() > 0);
    listening.stop().await.unwrap();
    listening.stop().await.unwrap();
    listening.wait().await.unwrap();
    let mut first = received.numbers(0);
    assert_eq!(first.len() as u64, listening.stats().handled);
    let rest = listener(&transport, "t").endpoint(received.endpoint()).start().await.unwrap();
    first.extend(received.numbers(500 - first.len()));
    first.sort_unstable();
    assert_eq!(first, (0..500).collect::<Vec<_>>(), "each once, by one of the listeners");
    rest.wait().await.unwrap();
    transport.close().await.unwrap();
}

async fn nothing_to_listen_to_is_an_error(url: String) {
    let transport = connect(&url).await;
    let error = listener(&transport, "t").start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ServerListenError, "{error}");
    let endpoint = || Received::default().endpoint();
    let error = listener(&transport, "").endpoint(endpoint()).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidTarget, "{error}");
    let inline = listener(&transport, "t").endpoint(endpoint()).executor(Executor::Inline);
    let error = inline.batch_size(2).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ServerListenError, "{error}");
    let bad = Notifier::builder(&transport).topic("t".repeat(300)).build();
    let error = bad.info((), "ev", &Value::Null).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidTarget, "{error}");
    transport.close().await.unwrap();
}

/// Reverses texts, and marks each context.
struct Reverser;

impl Serializer for Reverser {
    fn serialize_entity(&self, _: &Context, entity: Value) -> Result<Value, Failure> {
        self.deserialize_entity(&Context::new(), entity)
    }

    fn deserialize_entity(&self, _: &Context, entity: Value) -> Result<Value, Failure> {
        let text = entity.as_str().ok_or_else(|| Failure::builtin("ValueError", "no text"))?;
        Ok(text.chars().rev().collect::<String>().into())
    }

    fn serialize_context(&self, context: &Context) -> Result<Context, Failure> {
        Ok(context.clone().with("travelled", true))
    }
}

async fn serializers_work_on_both_sides(url: String) {
    let transport = connect(&url).await;
    let (plain, mirrored) = (Received::default(), Received::default());
    let direct = listener(&transport, "t").endpoint(plain.endpoint()).pool("plain");
    let direct = direct.start().await.unwrap();
    let through = listener(&transport, "t").endpoint(mirrored.endpoint()).serializer(Reverser);
    let through = through.start().await.unwrap();
    let notifier = Notifier::builder(&transport).topic("t").serializer(Reverser).build();
    notifier.info(Context::new().with("user", "alice"), "ev", "abc").await.unwrap();
    let sent = plain.take(1).remove(0);
    assert_eq!(sent.payload, "cba", "the payload on the wire");
    assert_eq!(sent.context, Context::new().with("user", "alice").with("travelled", true));
    assert_eq!(mirrored.take(1)[0].payload, "abc", "the payload the listener gets");
    let error = notifier.info((), "ev", &5).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::ClientSendError, Some(Outcome::NotSent))
    );
    let unwritable = std::collections::BTreeMap::from([(vec![1], 1)]);
    let error = self::notifier(&transport, "t").info((), "ev", &unwritable).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::ClientSendError, Some(Outcome::NotSent))
    );
    // A payload that the listener's serializer refuses fails alone.
    let other = self::notifier(&transport, "t");
    other.info((), "ev", &5).await.unwrap();
    other.info((), "ev", "abc").await.unwrap();
    assert_eq!(mirrored.take(1)[0].payload, "cba");
    eventually(|| through.stats().dropped == 1);
    direct.wait().await.unwrap();
    through.wait().await.unwrap();
    transport.close().await.unwrap();
}

async fn options_make_a_notifier(url: String) {
    let transport = connect(&url).await;
    let all = Received::default();
    let listening = listener(&transport, "a").target(Target::new("b")).endpoint(all.endpoint());
    let listening = listening.start().await.unwrap();
    let built = |config: &NotificationConfig| Notifier::builder(&transport).config(config);
    let config = NotificationConfig::default().with_drivers(["messagingv2", "log"]);
    let notifier = built(&config.with_topics(["a", "b"]).with_retry(Some(2))).unwrap().build();
    notifier.info((), "ev", &1).await.unwrap();
    assert_eq!(all.take(2).len(), 2, "one for each topic");
    let nothing = built(&NotificationConfig::default()).unwrap().build();
    assert!(!nothing.is_enabled(), "without a driver no notification, as in oslo");
    nothing.info((), "ev", &1).await.unwrap();
    for (driver, kind) in
        [("pigeon", ErrorKind::DriverLoadFailure), ("routing", ErrorKind::ConfigurationError)]
    {
        let error = built(&NotificationConfig::default().with_drivers([driver])).err().unwrap();
        assert_eq!(error.kind(), kind, "{error}");
    }
    let once = notifier.with_retry(Retry::Never).with_publisher_id("other");
    once.warn((), "ev", &1).await.unwrap();
    assert!(all.take(2).iter().all(|one| one.publisher_id == "other"));
    listening.wait().await.unwrap();
    transport.close().await.unwrap();
}

async fn waiting_has_a_limit(url: String) {
    let transport = connect(&url).await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let is_begun = Arc::new(AtomicBool::new(false));
    let begun = Arc::clone(&is_begun);
    let endpoint = NotificationEndpoint::new().info(move |_: Notification| {
        begun.store(true, Ordering::Release);
        let _ = held.lock().unwrap().recv();
    });
    let listening = listener(&transport, "t").endpoint(endpoint).start().await.unwrap();
    notifier(&transport, "t").info((), "ev", &1).await.unwrap();
    eventually(|| is_begun.load(Ordering::Acquire));
    let error = listening.wait_within(Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TaskTimeout, "{error}");
    drop(release);
    listening.wait().await.unwrap();
    transport.close().await.unwrap();
}
