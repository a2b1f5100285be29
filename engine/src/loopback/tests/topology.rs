//! Declaring, binding and deleting, and the refusals of each.

use amq_protocol::protocol::{AMQPClass, basic, exchange, queue};

use crate::loopback::config::LoopbackConfig;
use crate::loopback::server::Loopback;
use crate::loopback::tests::client::{Client, arguments, start};

fn named(name: &str) -> queue::Declare {
    queue::Declare { queue: name.into(), ..queue::Declare::default() }
}

fn refused(client: &mut Client, declare: queue::Declare) -> (u16, String) {
    client.send_queue(queue::AMQPMethod::Declare(declare));
    let refusal = client.expect_channel_close(1);
    client.open_channel(1);
    refusal
}

#[test]
fn an_equal_declaration_succeeds_and_a_different_one_is_refused() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    let declare = queue::Declare {
        durable: true,
        arguments: arguments(&[("x-max-length", 5)]),
        ..named("q")
    };
    client.declare(declare.clone());
    client.declare(declare.clone());

    let (code, text) = refused(&mut client, queue::Declare { durable: false, ..declare.clone() });
    assert_eq!(code, 406);
    assert_eq!(
        text,
        "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': \
         received 'false' but current is 'true'"
    );
    let other = queue::Declare { arguments: arguments(&[]), ..declare.clone() };
    let (code, text) = refused(&mut client, other);
    assert_eq!(code, 406);
    assert!(text.contains("inequivalent arg 'x-max-length' for queue 'q'"), "{text}");
    let bad = queue::Declare { arguments: arguments(&[("x-expires", 0)]), ..named("other") };
    assert_eq!(refused(&mut client, bad).0, 406);
}

#[test]
fn the_width_of_an_integer_argument_does_not_matter() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    let narrow = arguments(&[("x-max-length", 5)]);
    client.declare(queue::Declare { arguments: narrow, ..named("q") });
    let mut wide = arguments(&[]);
    wide.insert("x-max-length".into(), amq_protocol::types::AMQPValue::LongLongInt(5));
    client.declare(queue::Declare { arguments: wide, ..named("q") });
}

#[test]
fn a_passive_declaration_checks_existence_and_a_missing_name_is_404() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    let passive = queue::Declare { passive: true, ..named("q") };
    let (code, text) = refused(&mut client, passive.clone());
    assert_eq!((code, text.as_str()), (404, "NOT_FOUND - no queue 'q' in vhost '/'"));
    client.declare_queue("q");
    client.publish("", "q", b"1");
    let ok = client.declare(passive);
    assert_eq!((ok.message_count, ok.consumer_count), (1, 0));

    let passive = exchange::Declare {
        exchange: "e".into(),
        kind: "direct".into(),
        passive: true,
        ..exchange::Declare::default()
    };
    client.send_exchange(exchange::AMQPMethod::Declare(passive));
    let (code, text) = client.expect_channel_close(1);
    assert_eq!((code, text.as_str()), (404, "NOT_FOUND - no exchange 'e' in vhost '/'"));
}

#[test]
fn an_exclusive_queue_is_locked_for_other_connections_and_deleted_with_its_owner() {
    let loopback = start();
    let mut owner = Client::with_channel(loopback.addr());
    owner.declare(queue::Declare { exclusive: true, ..named("mine") });
    let mut other = Client::with_channel(loopback.addr());
    let (code, text) = refused(&mut other, named("mine"));
    assert_eq!(code, 405);
    assert!(text.starts_with("RESOURCE_LOCKED - cannot obtain exclusive access"), "{text}");
    let close = amq_protocol::protocol::connection::AMQPMethod::Close(Default::default());
    owner.send(0, AMQPClass::Connection(close));
    owner.method(0);
    assert_eq!(loopback.queue_len("/", "mine"), None, "gone before the close is answered");
    other.declare_queue("mine");
}

#[test]
fn an_unnamed_queue_gets_a_name_and_an_empty_name_means_the_last_queue() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    let ok = client.declare(named(""));
    assert!(ok.queue.as_str().starts_with("amq.gen-"));
    client.bind("", "amq.direct", "key");
    client.publish("amq.direct", "key", b"x");
    assert_eq!(client.get(ok.queue.as_str(), true).unwrap().body, b"x");
    assert_eq!(refused(&mut client, named("amq.mine")).0, 403);
}

#[test]
fn an_auto_delete_queue_is_deleted_with_its_last_consumer() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.declare(queue::Declare { auto_delete: true, ..named("q") });
    client.consume("q", "a", true);
    client.consume("q", "b", true);
    for tag in ["a", "b"] {
        assert_eq!(loopback.queue_len("/", "q"), Some(0));
        let cancel = basic::Cancel { consumer_tag: tag.into(), nowait: false };
        client.send_basic(basic::AMQPMethod::Cancel(cancel));
        let ok = basic::CancelOk { consumer_tag: tag.into() };
        assert_eq!(client.method(1), AMQPClass::Basic(basic::AMQPMethod::CancelOk(ok)));
    }
    assert_eq!(loopback.queue_len("/", "q"), None);
}

#[test]
fn an_auto_delete_exchange_is_deleted_with_its_last_binding() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    let declare = exchange::Declare {
        exchange: "e".into(),
        kind: "fanout".into(),
        auto_delete: true,
        ..exchange::Declare::default()
    };
    client.send_exchange(exchange::AMQPMethod::Declare(declare));
    client.method(1);
    client.declare_queue("q");
    client.bind("q", "e", "");
    assert!(loopback.has_exchange("/", "e"));
    let delete = queue::Delete { queue: "q".into(), ..queue::Delete::default() };
    client.send_queue(queue::AMQPMethod::Delete(delete));
    client.method(1);
    assert!(!loopback.has_exchange("/", "e"));
}

#[test]
fn a_queue_with_messages_is_deleted_if_empty_only_after_a_purge() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.declare_queue("q");
    client.publish("", "q", b"1");
    let if_empty = queue::Delete { queue: "q".into(), if_empty: true, ..Default::default() };
    client.send_queue(queue::AMQPMethod::Delete(if_empty.clone()));
    assert_eq!(client.expect_channel_close(1).0, 406);
    client.open_channel(1);
    let purge = queue::Purge { queue: "q".into(), nowait: false };
    client.send_queue(queue::AMQPMethod::Purge(purge));
    let ok = queue::AMQPMethod::PurgeOk(queue::PurgeOk { message_count: 1 });
    assert_eq!(client.method(1), AMQPClass::Queue(ok));
    client.send_queue(queue::AMQPMethod::Delete(if_empty));
    let ok = queue::AMQPMethod::DeleteOk(queue::DeleteOk { message_count: 0 });
    assert_eq!(client.method(1), AMQPClass::Queue(ok));
}

#[test]
fn consumers_are_notified_when_their_queue_is_deleted() {
    let loopback = start();
    let mut consumer = Client::with_channel(loopback.addr());
    consumer.declare_queue("q");
    consumer.consume("q", "tag", true);
    let mut other = Client::with_channel(loopback.addr());
    let delete = queue::Delete { queue: "q".into(), ..queue::Delete::default() };
    other.send_queue(queue::AMQPMethod::Delete(delete));
    let cancel = basic::Cancel { consumer_tag: "tag".into(), nowait: true };
    assert_eq!(consumer.method(1), AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel)));
}

#[test]
fn an_unused_queue_expires() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    let expires = arguments(&[("x-expires", 30)]);
    client.declare(queue::Declare { arguments: expires, ..named("q") });
    while loopback.queue_len("/", "q").is_some() {
        std::thread::yield_now();
    }
    assert_eq!(refused(&mut client, queue::Declare { passive: true, ..named("q") }).0, 404);
}

#[test]
fn exchange_methods_are_refused_as_by_rabbitmq() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.declare_exchange("e", "topic");
    let declare = |name: &str, kind: &str| {
        exchange::AMQPMethod::Declare(exchange::Declare {
            exchange: name.into(),
            kind: kind.into(),
            ..exchange::Declare::default()
        })
    };
    client.send_exchange(declare("e", "direct"));
    let (code, text) = client.expect_channel_close(1);
    assert_eq!(code, 406);
    assert!(text.contains("received 'direct' but current is 'topic'"), "{text}");
    client.open_channel(1);
    client.send_exchange(declare("amq.mine", "direct"));
    assert_eq!(client.expect_channel_close(1).0, 403);
    client.open_channel(1);
    client.send_exchange(exchange::AMQPMethod::Bind(exchange::Bind::default()));
    assert_eq!(client.expect_connection_close().0, 540);
    let mut client = Client::with_channel(loopback.addr());
    client.send_exchange(declare("h", "x-unknown"));
    assert_eq!(client.expect_connection_close().0, 503);
}

#[test]
fn transient_queues_may_be_refused_as_newer_brokers_do() {
    let config = LoopbackConfig { refuse_transient_queues: true, ..LoopbackConfig::default() };
    let loopback = Loopback::start(config).unwrap();
    let mut client = Client::with_channel(loopback.addr());
    client.declare(queue::Declare { durable: true, ..named("kept") });
    client.declare(queue::Declare { exclusive: true, ..named("mine") });
    client.send_queue(queue::AMQPMethod::Declare(named("q")));
    let (code, text) = client.expect_connection_close();
    assert_eq!(code, 541);
    assert!(text.contains("transient_nonexcl_queues"), "{text}");
}
