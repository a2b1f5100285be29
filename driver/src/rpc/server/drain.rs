//! Empties queues that would lose their requests with a server that stops, and removes those that
//! would take further ones.

use std::time::Duration;

use leveret_engine::DeliverySink;

use crate::broker::errors;
use crate::broker::subscriber::{Removed, Subscriber};
use crate::dialect::queues::ServerQueue;
use crate::error::Error;
use crate::runtime::timer::{self, Timer};
use crate::topology::Subscription;

/// How long a server that stops waits for what is in a queue, and between two checks.
const DRAIN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// How long a broker takes at most, by our estimate, from choosing the queues of a request to
/// having it in them.
const ROUTED_WITHIN: Duration = Duration::from_millis(100);

/// Unbinds a queue that goes with the server, and waits until what is in it was delivered, for 10 s
/// at most: workers may be behind.
pub(super) async fn drain(
    subscriber: &Subscriber,
    timer: &Timer,
    subscription: &Subscription,
) -> Result<(), Error> {
    subscriber.unbind(subscription).await?;
    let deadline = timer::deadline_in(DRAIN);
    loop {
        match subscriber.count_ready(&subscription.queue.name).await? {
            0 => return Ok(()),
            requests if timer::now() >= deadline => {
                tracing::warn!(
                    name: "leveret.server.requests_left",
                    requests, "a server that stops leaves requests behind"
                );
                return Ok(());
            }
            // Where the engine has stopped, the next check says so.
            _ => drop(timer.sleep(PAUSE).await),
        }
    }
}

/// Removes the queues that no server consumes from any more; requests that came late are taken.
pub(super) async fn remove_unused<'a>(
    subscriber: &Subscriber,
    timer: &Timer,
    queues: impl Iterator<Item = &'a ServerQueue>,
    sink: impl Fn(&ServerQueue) -> Box<dyn DeliverySink>,
) -> Result<(), Error> {
    let mut unbound = Vec::new();
    for queue in queues {
        if subscriber.is_unused(&queue.subscription.queue.name).await? {
            subscriber.unbind(&queue.subscription).await?;
            unbound.push(queue);
        }
    }
    if !unbound.is_empty() {
        // RabbitMQ may have routed requests a moment ago that are not in a queue yet.
        let _ = timer.sleep(ROUTED_WITHIN).await;
    }
    let deadline = timer::deadline_in(DRAIN);
    for served in unbound {
        let queue = &served.subscription.queue.name;
        loop {
            match subscriber.remove(queue).await? {
                Removed::Done => break,
                // A server that began to consume meanwhile relies on what was unbound.
                Removed::InUse => {
                    subscriber.rebind(&served.subscription).await?;
                    break;
                }
                Removed::NotEmpty if timer::now() < deadline => {}
                Removed::NotEmpty => {
                    tracing::warn!(
                        name: "leveret.server.requests_left",
                        queue,
                        "a server that stops leaves requests behind"
                    );
                    break;
                }
            }
            let rest = subscriber.consume_again(queue, served.source.no_ack, sink(served)).await?;
            let _ = timer.sleep(PAUSE).await;
            rest.cancel().await.map_err(errors::from_engine)?;
        }
    }
    Ok(())
}
