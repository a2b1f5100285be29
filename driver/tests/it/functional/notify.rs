//! `test_functional.NotifyTestCase`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret::{
    Notification, NotificationDriver, NotificationEndpoint, NotificationListener, Notifier,
    Priority, Target, Transport,
};
use serde_json::{Value, json};

use crate::support::every_broker::in_every_dialect;
use crate::support::fixture::{connect, eventually};

in_every_dialect! {
    test_simple
    test_multiple_topics
    test_multiple_servers
    test_independent_topics
    test_all_categories
    test_simple_batch
}

type Event = (Priority, String, Value, String);

/// A listener with all seven methods, and the notifications it received.
struct Fixture {
    listener: NotificationListener,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Fixture {
    async fn start(transport: &Transport, topics: &[&str]) -> Self {
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let endpoint = Priority::ALL.into_iter().fold(NotificationEndpoint::new(), |all, one| {
            let events = Arc::clone(&events);
            all.on(one, move |heard: Notification| {
                let event = (one, heard.event_type, heard.payload, heard.publisher_id);
                events.lock().unwrap().push(event);
            })
        });
        let builder = NotificationListener::builder(transport, Target::new(topics[0]));
        let builder = topics[1..].iter().fold(builder, |all, one| all.target(Target::new(*one)));
        let listener = builder.endpoint(endpoint).start().await.unwrap();
        Self { listener, events }
    }

    fn len(&self) -> usize {
        self.events.lock().unwrap().len()
    }

    fn events(&self, count: usize) -> Vec<Event> {
        eventually(|| self.len() >= count);
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

/// Upstream notifies with driver `messaging`.
fn notifier(transport: &Transport, topic: &str, publisher: &str) -> Notifier {
    let builder = Notifier::builder(transport).publisher_id(publisher).topic(topic);
    builder.driver(NotificationDriver::Messaging).build()
}

async fn test_simple(url: String) {
    let transport = connect(&url).await;
    let fixture = Fixture::start(&transport, &["t"]).await;
    notifier(&transport, "t", "abc").info((), "test", &json!("Hello World!")).await.unwrap();
    let hello = (Priority::Info, "test".to_owned(), json!("Hello World!"), "abc".to_owned());
    assert_eq!(fixture.events(1), [hello]);
    fixture.listener.wait().await.unwrap();
    transport.close().await.unwrap();
}

async fn test_multiple_topics(url: String) {
    let transport = connect(&url).await;
    let fixture = Fixture::start(&transport, &["a", "b"]).await;
    let one = notifier(&transport, "a", "pub-1");
    let other = notifier(&transport, "b", "pub-2");
    let mut sent = Vec::new();
    for (number, (notifier, publisher)) in
        [(&one, "pub-1"), (&other, "pub-2")].into_iter().cycle().take(10).enumerate()
    {
        notifier.info((), &format!("event-{number}"), &number).await.unwrap();
        sent.push((Priority::Info, format!("event-{number}"), json!(number), publisher.to_owned()));
    }
    let mut heard = fixture.events(10);
    heard.sort_by_key(|event| event.2.as_i64());
    assert_eq!(heard, sent);
    fixture.listener.wait().await.unwrap();
    transport.close().await.unwrap();
}

async fn test_multiple_servers(url: String) {
    let transport = connect(&url).await;
    let both = [Fixture::start(&transport, &["t"]).await, Fixture::start(&transport, &["t"]).await];
    let notifier = notifier(&transport, "t", "test");
    for number in 0..20 {
        notifier.info((), "event", &number).await.unwrap();
    }
    eventually(|| both[0].len() + both[1].len() >= 20);
    let heard = [both[0].events(1), both[1].events(1)];
    assert!(
        heard.iter().all(|events| (1..20).contains(&events.len())),
        "both listeners receive some"
    );
    let mut numbers: Vec<_> = heard.concat().iter().map(|event| event.2.as_i64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..20).map(Some).collect::<Vec<_>>(), "no notification arrives twice");
    for fixture in both {
        fixture.listener.wait().await.unwrap();
    }
    transport.close().await.unwrap();
}

async fn test_independent_topics(url: String) {
    let transport = connect(&url).await;
    let mut fixtures = Vec::new();
    for topic in ["a", "b"] {
        fixtures.push(Fixture::start(&transport, &[topic]).await);
    }
    for topic in ["a", "b"] {
        let notifier = notifier(&transport, topic, topic);
        for number in 0..10 {
            notifier.info((), "event", &number).await.unwrap();
        }
    }
    for (fixture, topic) in fixtures.into_iter().zip(["a", "b"]) {
        let heard = fixture.events(10);
        assert_eq!(heard.len(), 10);
        assert!(heard.iter().all(|event| event.3 == topic), "{heard:?}");
        fixture.listener.wait().await.unwrap();
    }
    transport.close().await.unwrap();
}

async fn test_all_categories(url: String) {
    let transport = connect(&url).await;
    let fixture = Fixture::start(&transport, &["t"]).await;
    let notifier = notifier(&transport, "t", "abc");
    for priority in Priority::ALL {
        let payload = json!({"message": priority.as_str()});
        notifier.notify(priority, (), "type", &payload).await.unwrap();
    }
    let mut heard = fixture.events(7);
    heard.sort_by_key(|event| event.0);
    for (event, priority) in heard.iter().zip(Priority::ALL) {
        assert_eq!((event.0, &event.2["message"]), (priority, &json!(priority.as_str())));
    }
    fixture.listener.wait().await.unwrap();
    transport.close().await.unwrap();
}

async fn test_simple_batch(url: String) {
    let transport = connect(&url).await;
    let batches: Arc<Mutex<Vec<usize>>> = Arc::default();
    let seen = Arc::clone(&batches);
    let endpoint =
        NotificationEndpoint::new().on_batch(Priority::Info, move |batch: Vec<Notification>| {
            seen.lock().unwrap().push(batch.len());
        });
    let listener = NotificationListener::builder(&transport, Target::new("t"))
        .endpoint(endpoint)
        .batch_size(100)
        .batch_timeout(Duration::from_secs(2));
    let notifier = notifier(&transport, "t", "abc");
    for number in 0..205 {
        notifier.info((), "event", &number).await.unwrap();
    }
    let listener = listener.start().await.unwrap();
    eventually(|| batches.lock().unwrap().iter().sum::<usize>() == 205);
    assert_eq!(*batches.lock().unwrap(), [100, 100, 5]);
    listener.wait().await.unwrap();
    transport.close().await.unwrap();
}
