//! Sockets, timers and the runtime of a shard. Nothing here knows AMQP.
//!
//! One small trait: owned buffers in, owned buffers out, nothing borrowed across an await. Three
//! implementations: `uring` (our own ring), `epoll` (plain tokio) and `sim` (memory and a virtual
//! clock). All of them keep these rules: one read and one write in flight per socket; a read is
//! never raced or dropped (a cancelled read loses its data), so deadlines are timers that shut the
//! socket down; the owner of a stream waits for its operations before dropping it.

mod background;
mod busy_poll;
mod connect;
mod epoll;
mod probe;
mod resolve;
mod run;
mod signals;
#[cfg(test)]
pub(crate) mod sim;
#[cfg(test)]
mod tests;
mod uring;

use std::future::{Future, poll_fn};
use std::io;
use std::ops::Range;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub(crate) use background::Background;
pub(crate) use connect::SocketOptions;
pub(crate) use probe::choose;
pub use probe::{BackendChoice, BackendKind};
pub(crate) use run::{Program, block_on, run_attached};
pub use signals::block_signals;

/// The completion of an operation on an owned buffer: the result, and the buffer.
pub(crate) type Completion<B> = (io::Result<usize>, B);

/// A backend: creates sockets and drives I/O.
pub(crate) trait Reactor: Clone + 'static {
    type Stream: Stream;

    /// Connects to the first address of `host` that answers, within the limits of `options`.
    /// Dropping the future abandons the attempt.
    fn connect(
        &self,
        host: &str,
        port: u16,
        options: SocketOptions,
    ) -> impl Future<Output = io::Result<Self::Stream>>;

    /// Lets the thread poll for I/O once without sleeping.
    fn poll_io(&self) -> impl Future<Output = io::Result<()>>;
}

/// What the writer does when a write has completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterWrite {
    /// It has more to do.
    Continues,
    /// It waits for work. So a completion that changes nothing else may be told together with the
    /// next event of the thread; at the latest after the time that a timer may be late.
    Waits,
}

/// One connected socket.
pub(crate) trait Stream: 'static {
    /// Reads into the whole of `block`; zero bytes mean that the peer has closed.
    fn read(&self, block: Vec<u8>) -> impl Future<Output = Completion<Vec<u8>>>;

    /// Writes part or all of `buffer[range]`.
    fn write(
        &self,
        buffer: Vec<u8>,
        range: Range<usize>,
        after: AfterWrite,
    ) -> impl Future<Output = Completion<Vec<u8>>>;

    /// Writes part or all of a range of a shared body.
    fn write_shared(
        &self,
        body: Bytes,
        range: Range<usize>,
    ) -> impl Future<Output = Completion<Bytes>>;

    /// Tells the peer that nothing more is written, where the stream has a way to. No write is in
    /// flight.
    fn close(&self) -> impl Future<Output = ()> {
        std::future::ready(())
    }

    /// Shuts down both directions; pending operations complete.
    fn shutdown(&self);
}

/// Reads the engine's clock; all other code receives the time as an argument. Virtual under `sim`.
pub(crate) fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks")]
    tokio::time::Instant::now().into_std()
}

/// Reads the clock on threads that are no shard.
pub(crate) fn now_off_shard() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the one place outside a shard that asks")]
    Instant::now()
}

pub(crate) async fn sleep_until(at: Instant) {
    tokio::time::sleep_until(at.into()).await;
}

pub(crate) async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Returns the output of `future`, or `None` after `limit`. Never wrap a read or a write in it.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(limit, future).await.ok()
}

/// Returns the output of `future`, or `None` once `stop` is ready. Never wrap a read or a write in
/// it.
pub(crate) async fn run_unless<F: Future>(
    stop: impl Future<Output = ()>,
    future: F,
) -> Option<F::Output> {
    let (mut stop, mut future) = (pin!(stop), pin!(future));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => stop.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// Returns the output of `operation`, which uses `stream`, or `None` once `stop` is ready. The
/// stream is shut down then, which ends the operation, and its end is waited for.
#[cfg(feature = "tls")]
pub(crate) async fn or_shut_down<T>(
    stream: &impl Stream,
    stop: impl Future<Output = ()>,
    operation: impl Future<Output = T>,
) -> Option<T> {
    let (mut stop, mut operation) = (pin!(stop), pin!(operation));
    let mut is_stopped = false;
    poll_fn(|cx| {
        if let Poll::Ready(output) = operation.as_mut().poll(cx) {
            return Poll::Ready((!is_stopped).then_some(output));
        }
        if !is_stopped && stop.as_mut().poll(cx).is_ready() {
            is_stopped = true;
            stream.shutdown();
        }
        Poll::Pending
    })
    .await
}

pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn_local(task)
}
