//! The reader thread of one connection: reads a batch, takes the lock once, sends the results.

use std::io::{ErrorKind, Read};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::loopback::clock::now;
use crate::loopback::config::ConnectionId;
use crate::loopback::connection::input::NextRead;
use crate::loopback::connection::outgoing::Outgoing;
use crate::loopback::shared::Shared;

/// Size of the receive buffer: two frames of RabbitMQ's default size, a thousand small messages.
const RECEIVE_BYTES: usize = 256 << 10;

/// How long a client may take to close its half after the last response.
const LAST_READ_MAX: Duration = Duration::from_secs(1);

/// Reads until either side ends the connection, then cleans up.
pub(crate) fn run(shared: &Shared, id: ConnectionId, out: &Arc<Outgoing>) {
    let mut flushes = Vec::new();
    read_batches(shared, id, out, &mut flushes);
    {
        let mut broker = shared.lock();
        broker.now = now();
        broker.disconnect(id);
        broker.end_batch(&mut flushes);
    }
    flush(&mut flushes);
    out.end();
    drain(out);
    out.kill();
}

fn read_batches(
    shared: &Shared,
    id: ConnectionId,
    out: &Outgoing,
    flushes: &mut Vec<Arc<Outgoing>>,
) {
    let mut buffer = vec![0; RECEIVE_BYTES];
    let mut filled = 0;
    loop {
        match (&out.stream).read(&mut buffer[filled..]) {
            Ok(0) => return,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // A time-out means two missed heartbeats.
            Err(_) => return,
        }
        let (used, next) = {
            let mut broker = shared.lock();
            broker.now = now();
            let (used, next) = broker.handle_input(id, &buffer[..filled]);
            broker.end_batch(flushes);
            if broker.wants_sweeper() {
                shared.sweep.notify_one();
            }
            (used, next)
        };
        flush(flushes);
        buffer.copy_within(used..filled, 0);
        filled -= used;
        if filled == buffer.len() {
            // The frame is larger than the buffer; the agreed frame size limits this growth.
            buffer.resize(buffer.len() * 2, 0);
        }
        match next {
            NextRead::Continue => out.wait_for_room(),
            NextRead::Hold => shared.wait_until_unblocked(id),
            NextRead::End => return,
        }
    }
}

fn flush(flushes: &mut Vec<Arc<Outgoing>>) {
    for out in flushes.drain(..) {
        out.flush();
    }
}

/// Reads and discards input for a moment, so that the last frame reaches the client.
fn drain(out: &Outgoing) {
    let deadline = now() + LAST_READ_MAX;
    let mut discarded = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(now());
        if left.is_zero() || out.stream.set_read_timeout(Some(left)).is_err() {
            return;
        }
        match (&out.stream).read(&mut discarded) {
            Ok(0) => return,
            Ok(_) => (),
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(_) => return,
        }
    }
}

impl Shared {
    /// Waits while the broker is blocked and this connection has published.
    fn wait_until_unblocked(&self, id: ConnectionId) {
        let mut broker = self.lock();
        while broker.connection_mut(id).is_paused && !self.is_stopping() {
            broker = self.unblocked.wait(broker).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
