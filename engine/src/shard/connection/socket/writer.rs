//! Writes control frames, acknowledgements and publications to a socket.
//!
//! Invariants: one write is in flight; each tick sends control frames and acknowledgements before
//! the publications of one channel; other frames interleave only between publications.

use std::future::{Future as _, poll_fn};
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;

use zeroize::Zeroize as _;

use crate::reactor::{self, AfterWrite, Completion, Stream};
use crate::shard::border::outbox::segment::Segment;
use crate::shard::connection::state::Conn;
use crate::shard::stats::Stats;

/// A segment up to this size is copied behind pending control frames, which saves a send.
const COALESCE: usize = 16 << 10;

/// Whether the writer has something to send.
pub(crate) fn has_work(conn: &Conn) -> bool {
    if conn.proto.borrow().as_ref().is_some_and(|proto| proto.has_output()) {
        return true;
    }
    let blocked = conn.is_blocked();
    let channels = conn.channels.borrow();
    channels.values().any(|state| state.has_urgent_acks() || (!blocked && state.has_publications()))
}

/// Writes until the socket is down.
pub(crate) async fn write<S: Stream>(conn: Rc<Conn>, stream: Rc<S>) {
    let mut control = Vec::new();
    let mut last_channel = 0;
    while !conn.is_down() {
        let bell = &conn.shared.write_bell;
        let awake = || conn.is_down() || has_work(&conn);
        poll_fn(|cx| bell.poll_sleep(cx, awake)).await;
        if let Err(error) = write_tick(&conn, &*stream, &mut control, &mut last_channel).await {
            conn.fail_operation("sending", &error);
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
        return send_control(conn, stream, control, AfterWrite::Waits).await;
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
            (segment, end, send_control(conn, stream, control, AfterWrite::Waits).await)
        } else {
            match send_control(conn, stream, control, AfterWrite::Continues).await {
                Ok(()) => {
                    let alive =
                        || conn.with_channel(number, |state| state.epoch()).ok() == Some(epoch);
                    send_segment(conn, stream, control, segment, alive).await
                }
                failed => (segment, 0, failed),
            }
        };
    // A channel that was closed meanwhile has already completed its publications.
    let finished = conn.with_channel(number, |state| {
        let outcomes = &mut conn.outcomes.borrow_mut();
        let publications = &mut state.publications;
        let is_refused = publications.finish_send(segment, in_flight, written, outcomes);
        (is_refused, publications.awaits_answer())
    });
    let (is_refused, awaited) = finished.unwrap_or((false, None));
    if is_refused {
        conn.delayed.notify_one();
    }
    if let Some((_, bytes)) = awaited {
        conn.awaits_answer.notify_one();
        // Callers that find the outbox full wait for the answer.
        if bytes >= conn.config.outbox_bytes / 4 {
            conn.ask_now.notify_one();
        }
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
        if proto.has_secret_output() {
            conn.sends_secret.set(true);
            // A vector that grows leaves copies behind.
            control.reserve(2 * COALESCE);
        }
        proto.take_output(control);
    }
    for state in conn.channels.borrow_mut().values_mut() {
        if state.has_acks() {
            state.write_acks(control);
        }
    }
}

/// Writes the remaining control frames, as far as the peer accepts them.
pub(crate) async fn flush_control<S: Stream>(conn: &Rc<Conn>, stream: &S) {
    let mut control = Vec::new();
    if let Some(proto) = conn.proto.borrow_mut().as_mut() {
        proto.take_output(&mut control);
    }
    let _ = send_control(conn, stream, &mut control, AfterWrite::Continues).await;
}

async fn send_control<S: Stream>(
    conn: &Rc<Conn>,
    stream: &S,
    control: &mut Vec<u8>,
    after: AfterWrite,
) -> std::io::Result<()> {
    let mut buffer = std::mem::take(control);
    let end = buffer.len();
    let (at, result) = send_range(conn, stream, &mut buffer, 0..end, after).await;
    debug_assert!(result.is_err() || at == end);
    if conn.sends_secret.take() {
        buffer.zeroize();
        // The room that was reserved for it is not needed again.
        buffer = Vec::new();
    }
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
            result = send_control(conn, stream, control, AfterWrite::Continues).await;
        }
        let is_last = cut + 1 == segment.cuts.len();
        while result.is_ok() && at < end {
            let stop = segment.parts.get(part).map_or(end, |part| part.at.min(end));
            let after = match is_last && part == segment.parts.len() {
                true => AfterWrite::Waits,
                false => AfterWrite::Continues,
            };
            (at, result) = send_range(conn, stream, &mut segment.bytes, at..stop, after).await;
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
    range: Range<usize>,
    after: AfterWrite,
) -> (usize, std::io::Result<()>) {
    let mut at = range.start;
    while at < range.end {
        let bytes = std::mem::take(buffer);
        let (done, back) = match after {
            AfterWrite::Waits if !has_work(conn) => {
                write_last(conn, stream, bytes, at..range.end).await
            }
            _ => stream.write(bytes, at..range.end, AfterWrite::Continues).await,
        };
        *buffer = back;
        match count_write(conn, done) {
            Ok(written) => at += written,
            Err(error) => return (at, Err(error)),
        }
    }
    (at, Ok(()))
}

/// Writes what there is to write. Because the thread may sleep over its completion, the bell wakes
/// the writer meanwhile.
async fn write_last<S: Stream>(
    conn: &Rc<Conn>,
    stream: &S,
    bytes: Vec<u8>,
    range: Range<usize>,
) -> Completion<Vec<u8>> {
    let bell = &conn.shared.write_bell;
    let mut write = pin!(stream.write(bytes, range, AfterWrite::Waits));
    let mut is_set = false;
    let done = poll_fn(|cx| {
        let polled = write.as_mut().poll(cx);
        if polled.is_pending()
            && !std::mem::replace(&mut is_set, true)
            && bell.poll_sleep(cx, || has_work(conn)).is_ready()
        {
            // Work has come: the thread must not sleep.
            cx.waker().wake_by_ref();
        }
        polled
    })
    .await;
    bell.answer();
    done
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
