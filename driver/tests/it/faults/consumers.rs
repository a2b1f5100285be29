//! Consumers whose queues the broker refuses for longer than the engine's attempts last.

use std::time::{Duration, Instant};

use leveret_support::{ALL, Broker, NONE};
use tokio::task::block_in_place;

use super::{BACK, Cluster, Service, vhost_of};
use crate::support::fixture::{connect, run};

/// Longer than the engine's own attempts.
const AWAY: Duration = Duration::from_secs(14);

#[test]
fn consumers_outlast_permissions_that_are_withdrawn() {
    let broker = Broker::shared();
    let url = broker.vhost("withdrawn");
    let user = format!("user-{}", vhost_of(&url));
    run(async {
        let serving = connect(&broker.url_for(&user, &url, ALL)).await;
        let service = Service::between(serving, connect(&url).await).await;
        service.works_within(BACK).await;
        block_in_place(|| {
            broker.set_permissions(&user, &url, [NONE, ".*", NONE]);
            broker.delete_queues(&url);
        });
        tokio::time::sleep(AWAY).await;
        block_in_place(|| {
            assert_eq!(consumed(broker, &url), 0, "no queue has a consumer meanwhile");
            broker.set_permissions(&user, &url, ALL);
        });
        service.works_within(BACK).await;
        assert_eq!(block_in_place(|| consumed(broker, &url)), 4);
        service.stop().await;
    });
}

/// Counts the queues of server and listener that have a consumer.
fn consumed(broker: &Broker, url: &str) -> usize {
    let is_served = |name: &str| name.starts_with('t') || name.starts_with("happened");
    let queues = broker.queues_of(url);
    queues.iter().filter(|queue| is_served(&queue.name) && queue.consumers > 0).count()
}

#[test]
fn consumers_outlast_the_absence_of_the_node_that_has_their_queues() {
    let cluster = Cluster::lock();
    let nodes = cluster.nodes();
    cluster.add_vhost("homes");
    let options = "?amqp_durable_queues=true&rabbit_interval_max=1";
    let url_at = |node: usize| nodes[node].url_of("homes") + options;
    run(async {
        // A durable classic queue is on the node where it was first declared.
        let first = Service::start(&url_at(0)).await;
        first.works_within(BACK).await;
        first.stop().await;
        let service = Service::start(&url_at(1)).await;
        service.works_within(BACK).await;
        let begun = Instant::now();
        block_in_place(|| nodes[0].kill());
        tokio::time::sleep(AWAY.saturating_sub(begun.elapsed())).await;
        block_in_place(|| nodes[0].restart());
        service.works_within(BACK).await;
        service.stop().await;
    });
}
