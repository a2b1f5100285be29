//! One live socket: joins the protocol state machine and the reactor.
//!
//! The tasks of a socket share a stream: one reads, one writes, others keep the timers. Invariants:
//! there is at most one read and one write in flight; a read is never cancelled, so a task that
//! wants it to end shuts the socket down; each tick of the writer sends control frames and
//! acknowledgements before publications, and other frames interleave only between publications.

use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use crate::buffer::BufferPool;
use crate::error::{Error, ErrorKind};
use crate::reactor::{self, Stream};
use crate::shard::border::segment::Segment;
use crate::shard::connection::state::Conn;
use crate::shard::connection::{tasks, watchdog};
use crate::shard::stats::Stats;

/// A segment up to this size is copied behind pending control frames, which saves a send.
const COALESCE: usize = 16 << 10;
/// How often a reader without a free block retries.
const POOL_RETRY: Duration = Duration::from_millis(1);
/// How long acknowledgements may be deferred.
const ACK_DELAY: Duration = Duration::from_millis(5);
/// How long the last writes of a socket that is down may take. Applies twice.
const LAST_WRITES_TIMEOUT: Duration = Duration::from_millis(100);

/// What recovery does while a socket is up.
pub(crate) struct RecoveryHooks {
    /// Starts the recovery tasks that the last batch requested.
    pub(crate) start_recovery: fn(&Rc<Conn>),
    /// Tasks that run until the socket is down.
    pub(crate) tasks: Vec<Pin<Box<dyn Future<Output = ()>>>>,
}

/// Runs a socket until it is down. Returns when no operation is left on it.
pub(crate) async fn run<S: Stream>(conn: Rc<Conn>, stream: S, hooks: RecoveryHooks) {
    let stream = Rc::new(stream);
    // A panic in a task fails the connection, and that ends the other tasks.
    let reader = read(Rc::clone(&conn), Rc::clone(&stream), hooks.start_recovery);
    let reader = tasks::spawn(&conn, reader);
    let mut writer = tasks::spawn(&conn, write(Rc::clone(&conn), Rc::clone(&stream)));
    let own = [
        tasks::spawn(&conn, run_heartbeats(Rc::clone(&conn))),
        tasks::spawn(&conn, flush_deferred_acks(Rc::clone(&conn))),
        tasks::spawn(&conn, resend_nacked(Rc::clone(&conn))),
        tasks::spawn(&conn, watchdog::run(Rc::clone(&conn))),
    ];
    let beside: Vec<_> = hooks.tasks.into_iter().map(|task| tasks::spawn(&conn, task)).collect();
    conn.wait_until(|conn| conn.is_down()).await;
    own.iter().chain(&beside).for_each(tokio::task::JoinHandle::abort);
    // The `close-ok` may still wait to be sent, behind what the writer is sending.
    let written = reactor::within(LAST_WRITES_TIMEOUT, &mut writer).await.is_some();
    if written {
        let _ = reactor::within(LAST_WRITES_TIMEOUT, flush_control(&conn, &*stream)).await;
    }
    stream.shutdown();
    // Both end: after the shutdown the read completes and the write fails.
    let _ = reader.await;
    if !written {
        let _ = writer.await;
    }
}

async fn read<S: Stream>(conn: Rc<Conn>, stream: Rc<S>, start_recovery: fn(&Rc<Conn>)) {
    let mut pool = BufferPool::new(conn.config.block_bytes, conn.config.blocks_max);
    while !conn.is_down() {
        wait_for_consumers(&conn).await;
        let Some(block) = next_block(&conn, &mut pool).await else { break };
        let (done, block) = stream.read(block).await;
        let filled = match done {
            Ok(0) => {
                conn.fail(lost("the broker closed the socket without connection.close"));
                break;
            }
            Ok(filled) => filled,
            Err(error) => {
                conn.fail(lost(&format!("receiving failed: {error}")));
                break;
            }
        };
        Stats::count(&conn.stats.reads, 1);
        Stats::count(&conn.stats.bytes_in, filled as u64);
        let block = pool.share(block);
        let result = match conn.proto.borrow_mut().as_mut() {
            Some(proto) => {
                let now = reactor::now();
                proto.handle_input(&block, filled, now, &mut |event| conn.handle_event(event))
            }
            None => break,
        };
        conn.end_batch();
        pool.put_back(block);
        if let Err(error) = result {
            conn.log(|| {
                tracing::error!(
                    name: "leveret.engine.protocol.broken", %error, "the peer broke the protocol"
                );
            });
            conn.fail(error.into());
        }
        start_recovery(&conn);
        if has_work(&conn) {
            conn.shared.write_bell.ring();
        }
    }
}

/// Stops reading while a consumer has no room. TCP then stops the broker.
async fn wait_for_consumers(conn: &Conn) {
    if !conn.is_full() {
        return;
    }
    Stats::count(&conn.stats.pauses, 1);
    set_reading(conn, false);
    let bell = &conn.shared.read_bell;
    std::future::poll_fn(|cx| bell.poll_sleep(cx, || !conn.is_full() || conn.is_down())).await;
    set_reading(conn, true);
}

async fn next_block(conn: &Conn, pool: &mut BufferPool) -> Option<Vec<u8>> {
    let mut paused = false;
    loop {
        let mid_body = conn.proto.borrow().as_ref()?.is_mid_body();
        if let Some(block) = pool.take(mid_body || conn.is_closing()) {
            if paused {
                set_reading(conn, true);
            }
            return Some(block);
        }
        if conn.is_down() {
            return None;
        }
        if !std::mem::replace(&mut paused, true) {
            Stats::count(&conn.stats.pauses, 1);
            set_reading(conn, false);
        }
        reactor::sleep(POOL_RETRY).await;
    }
}

fn set_reading(conn: &Conn, reading: bool) {
    conn.paused.set(!reading);
    if let Some(proto) = conn.proto.borrow_mut().as_mut() {
        proto.set_reading(reading, reactor::now());
    }
}

/// Whether the writer has something to send.
fn has_work(conn: &Conn) -> bool {
    if conn.proto.borrow().as_ref().is_some_and(|proto| proto.has_output()) {
        return true;
    }
    let blocked = conn.is_blocked();
    let channels = conn.channels.borrow();
    channels.values().any(|state| state.has_urgent_acks() || (!blocked && state.has_publications()))
}

async fn write<S: Stream>(conn: Rc<Conn>, stream: Rc<S>) {
    let mut control = Vec::new();
    let mut last_channel = 0;
    while !conn.is_down() {
        let bell = &conn.shared.write_bell;
        let awake = || conn.is_down() || has_work(&conn);
        std::future::poll_fn(|cx| bell.poll_sleep(cx, awake)).await;
        if let Err(error) = write_tick(&conn, &*stream, &mut control, &mut last_channel).await {
            conn.fail(lost(&format!("sending failed: {error}")));
        }
    }
}

/// Sends control frames and acknowledgements, then the publications of the next channel.
async fn write_tick<S: Stream>(
    conn: &Rc<Conn>,
    stream: &S,
    control: &mut Vec<u8>,
    last_channel: &mut u16,
) -> std::io::Result<()> {
    gather_control(conn, control);
    let Some(number) = next_channel(conn, *last_channel) else {
        return send_control(conn, stream, control).await;
    };
    *last_channel = number;
    let now = reactor::now();
    let taken = conn.with_channel(number, |state| (state.epoch(), state.publications.take(now)));
    let Ok((epoch, (segment, in_flight))) = taken else { return Ok(()) };
    if in_flight.is_some() {
        conn.pending.notify_one();
    }
    let (segment, written, result) =
        if segment.parts.is_empty() && segment.bytes.len() <= COALESCE && !control.is_empty() {
            control.extend_from_slice(&segment.bytes);
            let end = segment.bytes.len();
            (segment, end, send_control(conn, stream, control).await)
        } else {
            match send_control(conn, stream, control).await {
                Ok(()) => {
                    let alive =
                        || conn.with_channel(number, |state| state.epoch()).ok() == Some(epoch);
                    send_segment(conn, stream, control, segment, alive).await
                }
                failed => (segment, 0, failed),
            }
        };
    // A channel that was closed meanwhile has already completed its publications.
    let refused = conn.with_channel(number, |state| {
        state.publications.finish_send(segment, in_flight, written, &mut conn.outcomes.borrow_mut())
    });
    if refused.unwrap_or(false) {
        conn.delayed.notify_one();
    }
    conn.complete_outcomes();
    result
}

/// The next channel after `last`, in a circle, that has publications to send.
fn next_channel(conn: &Conn, last: u16) -> Option<u16> {
    if conn.is_blocked() {
        return None;
    }
    let channels = conn.channels.borrow();
    let after = channels.range(last.wrapping_add(1)..);
    after
        .chain(channels.range(..=last))
        .find(|(_, state)| state.has_publications())
        .map(|(number, _)| *number)
}

fn gather_control(conn: &Conn, control: &mut Vec<u8>) {
    if let Some(proto) = conn.proto.borrow_mut().as_mut() {
        proto.take_output(control);
    }
    for state in conn.channels.borrow_mut().values_mut() {
        if state.has_acks() {
            state.write_acks(control);
        }
    }
}

/// Writes the remaining control frames, as far as the peer accepts them.
async fn flush_control<S: Stream>(conn: &Rc<Conn>, stream: &S) {
    let mut control = Vec::new();
    if let Some(proto) = conn.proto.borrow_mut().as_mut() {
        proto.take_output(&mut control);
    }
    let _ = send_control(conn, stream, &mut control).await;
}

async fn send_control<S: Stream>(
    conn: &Rc<Conn>,
    stream: &S,
    control: &mut Vec<u8>,
) -> std::io::Result<()> {
    let mut buffer = std::mem::take(control);
    let end = buffer.len();
    let (at, result) = send_range(conn, stream, &mut buffer, 0, end).await;
    debug_assert!(result.is_err() || at == end);
    buffer.clear();
    *control = buffer;
    result
}

/// Sends a segment until its channel is no longer `alive`, and returns how many bytes were sent.
/// Nothing may follow the `channel.close-ok` of its channel (504).
async fn send_segment<S: Stream>(
    conn: &Rc<Conn>,
    stream: &S,
    control: &mut Vec<u8>,
    mut segment: Segment,
    alive: impl Fn() -> bool,
) -> (Segment, usize, std::io::Result<()>) {
    let mut at = 0;
    let mut result = Ok(());
    let mut part = 0;
    for cut in 0..segment.cuts.len() {
        let end = segment.cuts[cut];
        if cut > 0 {
            if !alive() {
                break;
            }
            gather_control(conn, control);
            result = send_control(conn, stream, control).await;
        }
        while result.is_ok() && at < end {
            let stop = segment.parts.get(part).map_or(end, |part| part.at.min(end));
            (at, result) = send_range(conn, stream, &mut segment.bytes, at, stop).await;
            if result.is_ok() && segment.parts.get(part).is_some_and(|part| part.at == at) {
                result = send_part(conn, stream, &mut segment, part).await;
                part += 1;
            }
        }
        if result.is_err() {
            // The kernel may have sent part of the last range, so everything up to the cut counts
            // as sent.
            return (segment, end, result);
        }
    }
    (segment, at, result)
}

async fn send_part<S: Stream>(
    conn: &Rc<Conn>,
    stream: &S,
    segment: &mut Segment,
    part: usize,
) -> std::io::Result<()> {
    let body = &mut segment.parts[part].body;
    let end = body.len();
    let mut at = 0;
    while at < end {
        let (done, back) = stream.write_shared(std::mem::take(body), at..end).await;
        *body = back;
        at += count_write(conn, done)?;
    }
    Ok(())
}

async fn send_range<S: Stream>(
    conn: &Rc<Conn>,
    stream: &S,
    buffer: &mut Vec<u8>,
    mut at: usize,
    end: usize,
) -> (usize, std::io::Result<()>) {
    while at < end {
        let (done, back) = stream.write(std::mem::take(buffer), at..end).await;
        *buffer = back;
        match count_write(conn, done) {
            Ok(written) => at += written,
            Err(error) => return (at, Err(error)),
        }
    }
    (at, Ok(()))
}

fn count_write(conn: &Conn, done: std::io::Result<usize>) -> std::io::Result<usize> {
    let written = done?;
    if written == 0 {
        return Err(std::io::ErrorKind::WriteZero.into());
    }
    Stats::count(&conn.stats.writes, 1);
    Stats::count(&conn.stats.bytes_out, written as u64);
    if let Some(proto) = conn.proto.borrow_mut().as_mut() {
        proto.sent(reactor::now());
    }
    Ok(written)
}

/// Sends deferred acknowledgements after their delay.
async fn flush_deferred_acks(conn: Rc<Conn>) {
    loop {
        conn.deferred_acks.notified().await;
        reactor::sleep(ACK_DELAY).await;
        conn.channels.borrow_mut().values_mut().for_each(|state| state.deliveries.flush_acks());
        conn.shared.write_bell.ring();
    }
}

/// Sends refused publications again when they are due.
async fn resend_nacked(conn: Rc<Conn>) {
    loop {
        let now = reactor::now();
        let due = conn
            .channels
            .borrow()
            .values()
            .filter_map(|state| state.publications.release_due(now))
            .min();
        conn.shared.write_bell.ring();
        let more = conn.delayed.notified();
        match due {
            Some(due) => drop(reactor::within(due.saturating_duration_since(now), more).await),
            None => more.await,
        }
    }
}

/// Enforces both heartbeat deadlines.
async fn run_heartbeats(conn: Rc<Conn>) {
    conn.wait_until(|conn| conn.opened.get()).await;
    loop {
        let next = conn.proto.borrow().as_ref().and_then(|proto| proto.next_timeout());
        let Some(next) = next else { return };
        reactor::sleep_until(next).await;
        let checked = match conn.proto.borrow_mut().as_mut() {
            Some(proto) => proto.handle_timeout(reactor::now()),
            None => return,
        };
        match checked {
            Ok(()) => conn.shared.write_bell.ring(),
            Err(error) => conn.fail_unresponsive(error.into()),
        }
    }
}

fn lost(text: &str) -> Error {
    Error::new(ErrorKind::ConnectionClosed, text)
}
