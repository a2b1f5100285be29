//! The topology is the one that oslo declares, option by option.

use super::*;

const ID: &str = "00000000000000000000000000000001";

fn with(change: impl FnOnce(&mut EntityOptions)) -> Topology {
    let mut entities = EntityOptions::default();
    change(&mut entities);
    Topology::new("openstack", entities)
}

#[test]
fn requests_are_routed_as_by_oslo() {
    let topology = with(|_| {});
    let target = Target::new("t").with_server("s");
    let route = topology.request(&target).unwrap();
    assert_eq!(route.routing_key, "t.s");
    let exchange = route.exchange.unwrap();
    assert_eq!((exchange.name.as_str(), exchange.kind), ("openstack", "topic"));
    assert!(!exchange.durable && !exchange.auto_delete);
    let route = topology.request(&target.with_fanout(true)).unwrap();
    assert_eq!(route.routing_key, "", "fanout wins over the server's name");
    let exchange = route.exchange.unwrap();
    assert_eq!((exchange.name.as_str(), exchange.kind), ("t_fanout", "fanout"));
    assert!(!exchange.durable && exchange.auto_delete);
    let route = topology.request(&Target::new("t").with_exchange("nova")).unwrap();
    assert_eq!(route.exchange.unwrap().name, "nova");
}

#[test]
fn a_server_has_three_queues() {
    let target = Target::new("t").with_server("s");
    let [topic, server, fanout] = with(|_| {}).server(&target, ID).unwrap();
    let facts = |one: &Subscription| {
        let (exchange, key) = one.binding.clone().unwrap();
        (one.queue.name.clone(), exchange.name, key, one.queue.arguments.clone())
    };
    assert_eq!(facts(&topic), ("t".into(), "openstack".into(), "t".into(), vec![]));
    assert_eq!(facts(&server), ("t.s".into(), "openstack".into(), "t.s".into(), vec![]));
    let name = format!("t_fanout_{ID}");
    let expires = vec![("x-expires", Argument::Number(1_800_000))];
    assert_eq!(facts(&fanout), (name, "t_fanout".into(), "t".into(), expires));
}

#[test]
fn options_change_flags_and_arguments() {
    let target = Target::new("t").with_server("s");
    let [topic, _, fanout] = with(|entities| {
        (entities.quorum, entities.quorum_delivery_limit) = (true, 7);
    })
    .server(&target, ID)
    .unwrap();
    assert!(topic.queue.durable && topic.binding.unwrap().0.durable);
    let quorum = ("x-queue-type", Argument::Text("quorum"));
    let limit = ("x-delivery-limit", Argument::Number(7));
    assert_eq!(topic.queue.arguments, [quorum, limit]);
    assert!(!fanout.queue.durable, "permanent options do not change transient queues");
    let topology = with(|entities| {
        (entities.transient_quorum, entities.transient_ttl) = (true, Duration::ZERO);
    });
    let replies = topology.replies(ID);
    assert_eq!(replies.queue.arguments, [quorum], "no ttl, no x-expires");
    assert!(replies.queue.durable && replies.binding.is_none());
    let [topic, _, fanout] = with(|entities| {
        (entities.durable, entities.auto_delete) = (true, true);
    })
    .server(&target, ID)
    .unwrap();
    assert!(topic.queue.durable && topic.queue.auto_delete);
    assert!(!fanout.queue.durable && !fanout.queue.auto_delete);
}

#[test]
fn names_too_long_for_amqp_are_refused() {
    let topology = with(|_| {});
    let long = Target::new("t".repeat(200)).with_server("s".repeat(55));
    assert!(topology.request(&long).is_err());
    let long = Target::new("t".repeat(220)).with_server("s");
    assert!(topology.server(&long, ID).is_err());
}

#[test]
fn transient_quorum_queues_have_the_limits_too() {
    let topology = with(|entities| {
        (entities.transient_quorum, entities.quorum_delivery_limit) = (true, 7);
    });
    let limit = ("x-delivery-limit", Argument::Number(7));
    assert!(topology.replies(ID).queue.arguments.contains(&limit));
}

#[test]
fn fanouts_share_a_stream() {
    let target = Target::new("t").with_server("s");
    let topology = with(|entities| {
        (entities.transient_quorum, entities.stream_fanout) = (true, true);
    });
    let [topic, _, fanout] = topology.server(&target, "").unwrap();
    assert!(!topic.queue.is_stream() && fanout.queue.is_stream());
    let (exchange, key) = fanout.binding.unwrap();
    assert_eq!((exchange.name.as_str(), key.as_str()), ("t_fanout", "t"));
    assert!(exchange.durable && exchange.auto_delete);
    assert_eq!(fanout.queue.name, "t_fanout");
    assert!(fanout.queue.durable);
    let kind = ("x-queue-type", Argument::Text("stream"));
    assert_eq!(fanout.queue.arguments, [kind, ("x-max-age", Argument::Seconds(1800))]);
    assert_eq!(fanout.queue.consume_arguments, [("x-stream-offset", Argument::Text("last"))]);
}

#[test]
fn mirrored_queues_and_their_consumers_have_the_arguments_of_oslo() {
    let target = Target::new("t").with_server("s");
    let topology = with(|entities| (entities.ha, entities.cancel_on_failover) = (true, true));
    let mut all = topology.server(&target, ID).unwrap().to_vec();
    all.push(topology.replies(ID));
    for Subscription { queue, .. } in all {
        assert_eq!(queue.arguments[0], ("x-ha-policy", Argument::Text("all")), "{queue:?}");
        assert_eq!(queue.consume_arguments, [("x-cancel-on-ha-failover", Argument::Flag(true))]);
    }
}

#[test]
fn notifications_have_a_queue_for_each_topic_and_priority() {
    let topology = with(|entities| entities.durable = true);
    let target = Target::new("notifications");
    let stored = topology.notifications(&target, Priority::Info, None).unwrap();
    let (exchange, key) = stored.binding.unwrap();
    assert_eq!((exchange.name.as_str(), exchange.kind), ("openstack", "topic"));
    assert_eq!(stored.queue.name, "notifications.info");
    assert_eq!(key, "notifications.info");
    assert!(exchange.durable && stored.queue.durable && stored.queue.arguments.is_empty());
    let nova = target.with_exchange("nova");
    let pooled = topology.notifications(&nova, Priority::Error, Some("pool")).unwrap();
    let (exchange, key) = pooled.binding.unwrap();
    assert_eq!((exchange.name.as_str(), key.as_str()), ("nova", "notifications.error"));
    assert_eq!(pooled.queue.name, "pool", "the pool's name, verbatim");
}

#[test]
fn each_topic_has_an_exchange_for_local_requests() {
    let topology = with(|entities| entities.profile = QueueProfile::LocalRandom);
    let target = Target::new("t").with_server("s");
    let route = topology.request(&Target::new("t")).unwrap();
    let exchange = route.exchange.unwrap();
    assert_eq!((exchange.name.as_str(), exchange.kind), ("openstack_t_local", "x-local-random"));
    assert_eq!(route.routing_key, "");
    let local = topology.local(&target, ID).unwrap().unwrap();
    assert_eq!(local.binding, Some((exchange, String::new())));
    assert_eq!(local.queue.name, format!("t_local_{ID}"));
    assert!(local.queue.exclusive && !local.queue.durable);
    // Everything else is as with other profiles, for their clients.
    assert_eq!(topology.request(&target).unwrap().exchange.unwrap().name, "openstack");
    let fanout = topology.request(&Target::new("t").with_fanout(true)).unwrap();
    assert_eq!(fanout.exchange.unwrap().name, "t_fanout");
    let [topic, ..] = topology.server(&target, ID).unwrap();
    assert_eq!(topic, with(|_| {}).server(&target, ID).unwrap()[0]);
    assert_eq!(with(|_| {}).local(&target, ID).unwrap(), None);
}
