//! Restores what the broker closed on its own: reopens channels and subscribes consumers again.
//!
//! Queues are declared on a channel of their own, because a refusal closes the channel it was
//! requested on, with all its consumers. Invariant: recovery retries a consumer until its owner
//! cancels it, and the consumer's status holds the reason why it waits. If the broker leaves a step
//! unanswered, the `watchdog` drops the connection, and it reconnects.

use std::rc::Rc;
use std::time::Duration;

use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::queue::DeclareOk;

use crate::error::{Error, ErrorKind};
use crate::reactor;
use crate::shard::border::status::ConnectionState;
use crate::shard::connection::channel::consumer::ChannelConsumer;
use crate::shard::connection::channel::state::ChannelState;
use crate::shard::connection::methods::{cancel_method, close_method, open_channel};
use crate::shard::connection::state::{Conn, RecoveryTask};
use crate::shard::connection::tasks;
use crate::shard::recovery::verify_queues;

/// For a channel that is reopened: how long unconfirmed publications may take to settle, how long
/// those that may not be sent twice, and how often that is checked.
const SETTLE: Duration = Duration::from_millis(100);
const SETTLE_UNREPEATABLE: Duration = Duration::from_secs(1);
const SETTLE_POLL: Duration = Duration::from_millis(5);
/// How long a channel waits for the other connections of the group to bind their queues to an
/// exchange that was declared again.
const GROUP_AUDIT_TIMEOUT: Duration = Duration::from_millis(500);
/// The pauses between attempts for one consumer. They double up to the maximum.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Starts the tasks that the last batch requested. During a reconnect, `connect` handles them.
pub(crate) fn start_tasks(conn: &Rc<Conn>) {
    if conn.shared.status.state() == ConnectionState::Connecting {
        return;
    }
    let recovery_tasks = std::mem::take(&mut *conn.recovery_tasks.borrow_mut());
    for task in recovery_tasks {
        tasks::spawn(conn, run_task(Rc::clone(conn), task));
    }
}

async fn run_task(conn: Rc<Conn>, task: RecoveryTask) {
    match task {
        RecoveryTask::ReopenChannel(number, missing) => {
            reopen_closed_channel(&conn, number, missing).await
        }
        RecoveryTask::RenewChannel(number) => renew_channel(&conn, number).await,
        RecoveryTask::Resubscribe(number, tag) => resubscribe(&conn, number, &tag).await,
    }
}

/// Reopens a closed channel and subscribes its consumers. If that fails, drops the connection.
async fn reopen_closed_channel(conn: &Rc<Conn>, number: u16, missing: Option<String>) {
    // Its owner closed it meanwhile.
    let Ok(epoch) = conn.epoch(number) else { return };
    let opened = open_channel(conn, number).await;
    if let Some(exchange) = missing {
        let intents = conn.topology.borrow().of_exchange(&exchange);
        let declared = replay_on_recovery_channel(conn, intents).await;
        conn.log(|| {
            tracing::warn!(
                name: "leveret.engine.exchange.gone",
                exchange, error = declared.err().map(tracing::field::display),
                "an exchange was deleted and is declared again"
            );
        });
        // Other connections have to bind their queues to the exchange before publications are sent
        // to it.
        conn.config.topology_group.audit_and_wait(GROUP_AUDIT_TIMEOUT).await;
    }
    // The channel was closed meanwhile, or lost with the connection; then `connect` reopens it.
    if conn.is_epoch_over(number, epoch) {
        return;
    }
    match opened.and_then(|()| conn.start_publishing(number, epoch)) {
        Ok(()) => resubscribe_all(conn, number),
        Err(error) => conn.fail(error),
    }
}

/// Reopens a channel that keeps refusing publications, because the channel and not the queue is at
/// fault (`reopen_policy`).
async fn renew_channel(conn: &Rc<Conn>, number: u16) {
    // If the broker closed it meanwhile, another task reopens it.
    if !conn.with_channel(number, |state| state.is_open()).unwrap_or(false) {
        return;
    }
    conn.log(|| {
        tracing::info!(
            name: "leveret.engine.channel.renewed", channel = number,
            "a channel keeps refusing publications and is reopened"
        );
    });
    let Ok(epoch) = conn.epoch(number) else { return };
    let _ = conn.with_channel(number, ChannelState::pause);
    // Gives unconfirmed publications a short time to be confirmed or refused.
    let settled = async |is_pending: fn(&mut ChannelState) -> bool| {
        while conn.with_channel(number, is_pending).unwrap_or(false) {
            reactor::sleep(SETTLE_POLL).await;
        }
    };
    let _ = reactor::within(SETTLE, settled(|state| state.publications.is_unsettled())).await;
    let unrepeatable = settled(|state| state.publications.has_unrepeatable());
    let _ = reactor::within(SETTLE_UNREPEATABLE, unrepeatable).await;
    if conn.is_epoch_over(number, epoch) {
        return;
    }
    let closed = conn.request(number, close_method()).await;
    // The broker closed it, or the connection was lost. Another task reopens it.
    if conn.is_epoch_over(number, epoch) {
        return;
    }
    if let Err(error) = closed
        && error.kind() != ErrorKind::ChannelClosed
    {
        return conn.fail(error);
    }
    let error = Error::new(ErrorKind::ChannelClosed, "the channel was reopened");
    let _ = conn.with_channel(number, |state| {
        state.handle_connection_lost(&error, &mut conn.outcomes.borrow_mut());
    });
    conn.complete_outcomes();
    reopen_closed_channel(conn, number, None).await;
}

/// Starts to subscribe all consumers of a channel.
pub(crate) fn resubscribe_all(conn: &Rc<Conn>, number: u16) {
    let tags = conn.with_channel(number, |state| {
        state
            .deliveries
            .consumers
            .iter()
            .map(|c| c.request.consumer_tag.clone())
            .collect::<Vec<_>>()
    });
    for tag in tags.unwrap_or_default() {
        tasks::spawn(conn, run_task(Rc::clone(conn), RecoveryTask::Resubscribe(number, tag)));
    }
}

/// Subscribes a consumer again, unless another task does so.
async fn resubscribe(conn: &Rc<Conn>, number: u16, tag: &str) {
    if let Some(_claim) = Claim::take(conn, number, tag) {
        retry_consume(conn, number, tag).await;
    }
}

/// Watches the queue of a consumer that was subscribed again.
fn watch_queue(conn: &Rc<Conn>, number: u16, tag: &str) {
    let Ok(epoch) = conn.epoch(number) else { return };
    let (weak, tag) = (Rc::downgrade(conn), tag.to_owned());
    tasks::spawn(conn, async move {
        let gone = verify_queues::watch_until_gone(&weak, number, epoch, &tag).await;
        if let Some((queue, conn)) = gone.zip(weak.upgrade()) {
            replace_lost_consumer(&conn, number, &tag, &queue).await;
        }
    });
}

/// Checks that the queue of a consumer exists, has a consumer and holds no ready messages. Replaces
/// the consumer if not.
pub(crate) async fn verify(conn: &Rc<Conn>, number: u16, tag: &str) {
    let is_healthy = |found: &DeclareOk| found.consumer_count > 0 && found.message_count == 0;
    if let Some(queue) = verify_queues::find_unhealthy_queue(conn, number, tag, is_healthy).await {
        replace_lost_consumer(conn, number, tag, &queue).await;
    }
}

/// Checks that the queue of a consumer exists and has a consumer. Replaces the consumer if not.
pub(crate) async fn verify_consumed(conn: &Rc<Conn>, number: u16, tag: &str) {
    let is_healthy = |found: &DeclareOk| found.consumer_count > 0;
    if let Some(queue) = verify_queues::find_unhealthy_queue(conn, number, tag, is_healthy).await {
        replace_lost_consumer(conn, number, tag, &queue).await;
    }
}

async fn replace_lost_consumer(conn: &Rc<Conn>, number: u16, tag: &str, queue: &str) {
    conn.log(|| {
        tracing::warn!(
            name: "leveret.engine.queue.gone",
            queue, consumer_tag = tag, "a queue is gone or has no consumer; subscribing again"
        );
    });
    cancel_and_resubscribe(conn, number, tag).await;
}

/// Cancels a consumer and subscribes it again. The broker still knows the tag of the lost consumer,
/// so it has to be cancelled first.
async fn cancel_and_resubscribe(conn: &Rc<Conn>, number: u16, tag: &str) {
    if let Some(_claim) = Claim::take(conn, number, tag)
        && conn.request(number, cancel_method(tag)).await.is_ok()
    {
        retry_consume(conn, number, tag).await;
    }
}

/// The exclusive right to subscribe a consumer. Released on drop, also if the task panics.
struct Claim<'a> {
    conn: &'a Conn,
    number: u16,
    tag: &'a str,
}

impl<'a> Claim<'a> {
    /// Claims a consumer, unless it is being cancelled or another task has claimed it.
    fn take(conn: &'a Conn, number: u16, tag: &'a str) -> Option<Self> {
        let claim = |consumer: &mut ChannelConsumer| {
            !consumer.is_cancelling && !std::mem::replace(&mut consumer.is_starting, true)
        };
        let is_taken = conn.with_consumer(number, tag, claim) == Some(true);
        // `then`, not `then_some`: a `Self` built in vain would release the other task's claim on
        // drop.
        is_taken.then(|| Self { conn, number, tag })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.conn.with_consumer(self.number, self.tag, |consumer| consumer.is_starting = false);
    }
}

/// Retries until the consumer is subscribed, its owner cancels it or the connection is lost.
/// Declares the queue first if it was declared through this connection.
async fn retry_consume(conn: &Rc<Conn>, number: u16, tag: &str) {
    let mut pause = PAUSE;
    while !conn.is_down() && !conn.stopping.get() {
        match consume(conn, number, tag).await {
            Ok(()) => {
                mark_consuming(conn, number, tag);
                return watch_queue(conn, number, tag);
            }
            // The status of every consumer then shows the connection's error.
            Err(_) if conn.is_down() => return,
            Err(error) => mark_waiting(conn, number, tag, &error),
        }
        let interrupted = conn.wait_until(|conn| conn.is_down() || conn.stopping.get());
        let _ = reactor::within(pause.mul_f64(0.75 + fastrand::f64() / 4.0), interrupted).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Sets the status to consuming, and logs it if that is a change.
fn mark_consuming(conn: &Conn, number: u16, tag: &str) {
    if conn.with_consumer(number, tag, |consumer| consumer.shared.set_consuming()) == Some(true) {
        conn.log(|| {
            tracing::info!(
                name: "leveret.engine.consumer.back",
                channel = number, consumer_tag = tag, "a consumer consumes again"
            );
        });
    }
}

/// Sets the status to waiting, and logs each new reason once.
fn mark_waiting(conn: &Conn, number: u16, tag: &str, reason: &Error) {
    let waits = |consumer: &mut ChannelConsumer| {
        consumer.shared.set_waiting(reason).then(|| consumer.request.queue.clone())
    };
    if let Some(Some(queue)) = conn.with_consumer(number, tag, waits) {
        conn.log(|| {
            tracing::warn!(
                name: "leveret.engine.consumer.waiting",
                channel = number, consumer_tag = tag, queue, error = %reason,
                "a consumer cannot consume; it is tried again"
            );
        });
    }
}

async fn consume(conn: &Rc<Conn>, number: u16, tag: &str) -> Result<(), Error> {
    let request = conn.with_consumer(number, tag, |consumer| {
        (!consumer.is_cancelling).then(|| {
            consumer.sink.before_resubscribe(&mut consumer.request.arguments);
            consumer.request.clone()
        })
    });
    // Its owner cancelled it meanwhile.
    let Some(Some(request)) = request else { return Ok(()) };
    conn.wait_for_channel(number).await?;
    let intents = conn.topology.borrow().of_queue(&request.queue);
    replay_on_recovery_channel(conn, intents).await?;
    if conn.with_consumer(number, tag, |consumer| consumer.is_cancelling) != Some(false) {
        return Ok(());
    }
    conn.request(number, request.method()).await?;
    if conn.with_consumer(number, tag, |_| ()).is_none() {
        // Its owner timed out while cancelling it and removed it.
        conn.request(number, cancel_method(tag)).await?;
    }
    Ok(())
}

/// Replays intents in order. Stops at the first error.
pub(crate) async fn replay(conn: &Rc<Conn>, intents: Vec<(u16, AMQPClass)>) -> Result<(), Error> {
    for (channel, method) in intents {
        let Some(channel) = conn.existing_channel(channel) else { return Ok(()) };
        conn.request(channel, method).await?;
    }
    Ok(())
}

/// Replays intents on a channel of their own. If the broker allows no further channel, replays them
/// on the channels they were declared on.
pub(crate) async fn replay_on_recovery_channel(
    conn: &Rc<Conn>,
    intents: Vec<(u16, AMQPClass)>,
) -> Result<(), Error> {
    if intents.is_empty() {
        return Ok(());
    }
    let _guard = conn.recovery_channel.lock().await;
    let opened = match conn.free_channel() {
        Ok(number) => conn.open_channel(number).await.ok().map(|_| number),
        Err(_) => None,
    };
    let Some(number) = opened else { return replay(conn, intents).await };
    for (_, method) in intents {
        if conn.topology.borrow().is_wanted(&method) {
            // A refusal closes the channel, so it needs no `channel.close`.
            conn.request(number, method).await?;
        }
    }
    conn.request(number, close_method()).await.map(drop)
}
