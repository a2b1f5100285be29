//! The operations that handles request of a connection, except for publishing.
//!
//! Invariants: every request gets one response before its deadline; a declaration is recorded for
//! replay only after the broker has accepted it. Recovery is in `reconnect`.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, basic};
use tokio::sync::{mpsc, oneshot};

use super::border::shared::{ChannelShared, Operation, Request, Response, Undo};
use super::connection::methods::{cancel_method, close_method, open_channel};
use super::connection::state::Conn;
use super::connection::tasks;
use super::recovery::recover;
use crate::error::{Error, ErrorKind};
use crate::reactor;
use crate::shard::connection::channel::consumer::ChannelConsumer;

/// How long the tasks of an abandoned socket may take to end.
const ABANDON_TIMEOUT: Duration = Duration::from_millis(500);

/// Performs the requests of the handles. When the last handle is dropped, closes the connection.
pub(crate) async fn serve(conn: Rc<Conn>, mut requests: mpsc::Receiver<Request>) {
    while let Some(request) = requests.recv().await {
        tasks::spawn(&conn, perform(Rc::clone(&conn), request));
    }
    // No caller is left to receive an error, so the result is ignored.
    let _ = close(&conn, conn.config.operation_timeout).await;
}

/// Performs one request within its timeout.
async fn perform(conn: Rc<Conn>, request: Request) {
    let Request { operation, timeout, reply } = request;
    // The caller gave up before the request started.
    if reply.as_ref().is_some_and(oneshot::Sender::is_closed) {
        return;
    }
    if let Operation::CloseConnection = operation {
        let closed = close(&conn, timeout).await;
        reply.map(|reply| conn.answer(reply, closed.map(|()| Response::Done)));
        return;
    }
    let undo = Cell::new(Undo::Nothing);
    let ending = operation.ending_consumer();
    let closing = match &operation {
        Operation::CloseChannel { channel } => Some(Arc::clone(channel)),
        _ => None,
    };
    if let Some((channel, consumer_tag)) = &ending {
        // Marked at once, so that a recovery does not subscribe it again.
        mark_cancelling(&conn, channel, consumer_tag);
    }
    let work = async {
        conn.wait_until_open().await?;
        if let Some(channel) = operation.channel() {
            conn.wait_for_channel(conn.number_of(channel)?).await?;
        }
        run(&conn, operation, &undo).await
    };
    let answer = reactor::within(timeout, work).await;
    let answer = answer.unwrap_or_else(|| {
        Err(Error::timed_out("the broker").with_cause(conn.shared.status.down_reason()))
    });
    let failed = answer.is_err();
    if let Some(channel) = closing.filter(|_| failed) {
        // Removed even if the broker did not answer, so that a recovery does not reopen it.
        end_channel(&conn, &channel);
    }
    if let Some((channel, consumer_tag)) = ending {
        // Removed even if the broker refused. What the broker still delivers to it is requeued.
        end_consumer(&conn, &channel, &consumer_tag);
    }
    let abandoned = reply.is_some_and(|reply| !conn.answer(reply, answer));
    if (abandoned || failed)
        && let Some(operation) = undo.into_inner().operation()
    {
        // Best effort: what cannot be reverted ends with the connection.
        let _ = reactor::within(timeout, run(&conn, operation, &Cell::default())).await;
    }
}

/// Flushes and closes a connection. After `timeout`, drops it without the broker's answer.
pub(crate) async fn close(conn: &Rc<Conn>, timeout: Duration) -> Result<(), Error> {
    conn.begin_closing();
    let orderly = async {
        conn.wait_until_all_flushed().await;
        let is_flushed = !conn.has_unsettled();
        conn.close().await;
        is_flushed
    };
    match reactor::within(timeout, orderly).await {
        Some(true) => Ok(()),
        Some(false) => Err(Error::new(
            ErrorKind::ConnectionClosed,
            "the connection was lost before all that was published had left and was confirmed",
        )),
        None => {
            conn.abandon();
            let _ = reactor::within(ABANDON_TIMEOUT, conn.wait_until_closed()).await;
            Err(Error::timed_out("closing"))
        }
    }
}

/// Runs an operation. Sets `undo` as soon as there is something to revert.
async fn run(conn: &Rc<Conn>, operation: Operation, undo: &Cell<Undo>) -> Result<Response, Error> {
    match operation {
        Operation::OpenChannel(options) => {
            let number = conn.free_channel()?;
            let shared = Arc::new(ChannelShared::new(number, options, Arc::clone(&conn.shared)));
            conn.add_channel(Arc::clone(&shared));
            undo.set(Undo::CloseChannel(Arc::clone(&shared)));
            let epoch = conn.epoch(number)?;
            let opened = open_channel(conn, number).await;
            let opened = opened.and_then(|()| conn.start_publishing(number, epoch));
            opened.inspect_err(|error| conn.remove_channel(number, error))?;
            Ok(Response::Channel(shared))
        }
        Operation::Method { channel, method, keep } => {
            let channel = conn.number_of(&channel)?;
            let reply = match keep {
                true => conn.request(channel, method.clone()).await?,
                false => request_removal(conn, channel, &method).await?,
            };
            if let AMQPClass::Basic(basic::AMQPMethod::Qos(qos)) = &method {
                conn.with_channel(channel, |state| state.deliveries.prefetch = qos.prefetch_count)?;
            }
            if keep {
                conn.topology.borrow_mut().remember(channel, method);
            }
            Ok(Response::Method(reply))
        }
        Operation::Consume { channel, consume, sink, shared } => {
            let method = consume.method();
            let tag = consume.consumer_tag.clone();
            undo.set(Undo::Cancel(Arc::clone(&channel), tag.clone()));
            let channel = conn.number_of(&channel)?;
            conn.with_channel(channel, |state| {
                let (is_of_stream, is_starting, is_cancelling) =
                    (consume.is_of_stream(), true, false);
                state.deliveries.consumers.push(ChannelConsumer {
                    request: consume,
                    sink,
                    is_of_stream,
                    is_starting,
                    is_cancelling,
                    shared,
                });
            })?;
            let begun = conn.request(channel, method).await;
            begun.inspect_err(|_| drop(conn.remove_consumer(channel, &tag)))?;
            conn.with_consumer(channel, &tag, |consumer| consumer.is_starting = false);
            Ok(Response::Done)
        }
        Operation::Cancel { channel, consumer_tag } => {
            mark_cancelling(conn, &channel, &consumer_tag);
            let number = conn.number_of(&channel)?;
            // The broker may delete the queue with its consumer. The guard keeps recovery from
            // declaring it again meanwhile.
            let _guard = conn.recovery_channel.lock().await;
            let cancelled = conn.request(number, cancel_method(&consumer_tag)).await;
            end_consumer(conn, &channel, &consumer_tag);
            cancelled.map(|_| Response::Done)
        }
        Operation::Verify { channel, consumer_tag } => {
            recover::verify(conn, conn.number_of(&channel)?, &consumer_tag).await;
            Ok(Response::Done)
        }
        Operation::CloseChannel { channel } => {
            close_channel(conn, &channel).await.map(|()| Response::Done)
        }
        Operation::CloseConnection => unreachable!("performed on its own"),
    }
}

/// Requests a method that may be a deletion or unbinding. Recovery does not declare again what it
/// removes.
async fn request_removal(
    conn: &Rc<Conn>,
    channel: u16,
    method: &AMQPClass,
) -> Result<AMQPClass, Error> {
    let gone = conn.topology.borrow_mut().forget(method);
    // Recovery may be declaring it on another channel, and the broker keeps no order across
    // channels.
    let _guard = match gone.is_empty() {
        true => None,
        false => Some(conn.recovery_channel.lock().await),
    };
    let reply = conn.request(channel, method.clone()).await;
    if reply.is_err() {
        conn.topology.borrow_mut().restore(gone);
    }
    reply
}

/// Marks a consumer as being cancelled: it accepts no deliveries, unless its sink does. The
/// broker's answer arrives behind deliveries already sent, so a full inbox must not stop the
/// reading.
fn mark_cancelling(conn: &Conn, channel: &Arc<ChannelShared>, tag: &str) {
    if let Ok(channel) = conn.number_of(channel) {
        conn.with_consumer(channel, tag, |consumer| consumer.is_cancelling = true);
    }
    conn.shared.read_bell.ring();
}

/// Removes a consumer, whether the broker has confirmed the cancellation or not.
fn end_consumer(conn: &Conn, channel: &Arc<ChannelShared>, tag: &str) {
    let channel = conn.number_of(channel);
    if let Some(mut consumer) = channel.ok().and_then(|channel| conn.remove_consumer(channel, tag))
    {
        consumer.sink.closed(None);
        conn.forget_unused_queue(&consumer.request.queue);
    }
}

/// Closes a channel, unless it is closed. Nothing may follow `channel.close` on the wire (504), so
/// the channel's state is removed before it is sent.
async fn close_channel(conn: &Rc<Conn>, channel: &Arc<ChannelShared>) -> Result<(), Error> {
    let Ok(number) = conn.number_of(channel) else {
        return Ok(());
    };
    channel.outbox.stop_accepting(Error::stopped());
    let _ =
        reactor::within(conn.config.operation_timeout / 2, conn.wait_until_flushed(number)).await;
    let _guard = conn.recovery_channel.lock().await;
    // Another close may have been faster.
    if !end_channel(conn, channel) {
        return Ok(());
    }
    conn.shared.read_bell.ring();
    match conn.request(number, close_method()).await {
        // The broker had closed it, or it was never open.
        Err(error) if error.kind() == ErrorKind::ChannelClosed => Ok(()),
        closed => closed.map(drop),
    }
}

/// Removes a channel, and returns false if it has been removed. Auto-delete queues that lose their
/// last consumer are not declared again.
fn end_channel(conn: &Conn, channel: &Arc<ChannelShared>) -> bool {
    let Ok(number) = conn.number_of(channel) else {
        return false;
    };
    let queues = conn.with_channel(number, |state| {
        state
            .deliveries
            .consumers
            .iter()
            .map(|consumer| consumer.request.queue.clone())
            .collect::<Vec<_>>()
    });
    conn.remove_channel(number, &Error::stopped());
    for queue in queues.unwrap_or_default() {
        conn.forget_unused_queue(&queue);
    }
    true
}
