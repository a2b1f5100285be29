//! First come, first served; what is withdrawn, sent again or closed; the bytes that count.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::shard::border::block_on::block_on;
use crate::shard::clock::{Clock, Expires, deadline_in};

const WAIT: Duration = Duration::from_secs(9);

fn outbox(bytes_max: usize) -> Outbox {
    let room = Tickets::new(&Arc::new(Clock::new(Instant::now())));
    Outbox::new(Arc::new(Doorbell::new()), room, bytes_max)
}

fn record(token: u64) -> Record {
    let (end, fingerprint, retries) = (0, 0, 0);
    let (mandatory, retain, settled, maybe_taken) = (false, false, false, false);
    Record { end, fingerprint, token, mandatory, retain, settled, retries, maybe_taken }
}

fn rendered(frames: &[u8], parts: &[(usize, Bytes)]) -> Rendered {
    let (frames, parts) = (frames.to_vec(), parts.to_vec());
    Rendered { frames, parts, frame_max: 4096, fingerprint: 0 }
}

#[test]
fn bytes_and_records_are_swapped_together() {
    let outbox = outbox(100);
    outbox.push(&rendered(b"one", &[]), record(1), &mut None).unwrap();
    outbox.push(&rendered(b"three", &[]), record(2), &mut None).unwrap();
    assert!(outbox.is_filled());
    let segment = outbox.take(Segment::default(), false);
    assert_eq!(segment.bytes, b"onethree");
    assert_eq!(segment.records.iter().map(|r| r.end).collect::<Vec<_>>(), [3, 8]);
    assert!(!outbox.is_filled());
    assert!(outbox.take(segment, false).is_empty(), "a spare comes back as it was given");
}

#[test]
fn a_full_outbox_refuses_and_a_lone_oversized_publication_fits() {
    let outbox = outbox(4);
    outbox.push(&rendered(b"giant", &[]), record(1), &mut None).unwrap();
    assert!(matches!(
        outbox.push(&rendered(b"x", &[]), record(2), &mut None),
        Err(PushError::Full { .. })
    ));
    outbox.take(Segment::default(), true);
    assert!(matches!(
        outbox.push(&rendered(b"x", &[]), record(2), &mut None),
        Err(PushError::Full { .. })
    ));
    assert_eq!(outbox.bytes(), 5, "what was sent and is unconfirmed");
    let mut waiting = pin!(outbox.acquire(1, deadline_in(WAIT)));
    assert!(poll(waiting.as_mut()).is_pending());
    outbox.release(5);
    let mut permit = Some(block_on(waiting).unwrap());
    outbox.push(&rendered(b"x", &[]), record(2), &mut permit).unwrap();
}

type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Permit<'a>, TicketError>> + 'a>>;

/// Returns a future that waits in the queue for room.
fn wait(outbox: &Outbox, bytes: usize) -> Waiting<'_> {
    let mut waiting: Waiting<'_> = Box::pin(outbox.acquire(bytes, deadline_in(WAIT)));
    assert!(poll(waiting.as_mut()).is_pending());
    waiting
}

fn poll<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn granted<'a>(waiting: &mut Waiting<'a>) -> Option<Permit<'a>> {
    match poll(waiting.as_mut()) {
        Poll::Ready(permit) => Some(permit.unwrap()),
        Poll::Pending => None,
    }
}

/// An outbox of 100 bytes that are all sent and unconfirmed.
fn full() -> Outbox {
    let outbox = outbox(100);
    outbox.push(&rendered(&[0; 100], &[]), record(1), &mut None).unwrap();
    outbox.take(Segment::default(), true);
    outbox
}

fn is_full(outbox: &Outbox) -> bool {
    let refused = outbox.push(&rendered(b"x", &[]), record(9), &mut None);
    matches!(refused, Err(PushError::Full { bytes: 1 }))
}

#[test]
fn free_room_goes_to_the_first_waiters_and_to_no_newcomer() {
    let outbox = full();
    let mut waiting: Vec<_> = (0..4).map(|_| wait(&outbox, 40)).collect();
    outbox.release(40);
    assert!(waiting.iter_mut().all(|one| granted(one).is_none()), "half is not free yet");
    assert!(is_full(&outbox), "others wait");
    outbox.release(45);
    let mut permits: Vec<_> = waiting.iter_mut().take(2).map(granted).collect();
    assert!(permits.iter().all(Option::is_some));
    assert!(granted(&mut waiting[2]).is_none(), "two fit into 85 bytes");
    assert!(is_full(&outbox), "what was granted is not taken by others");
    for permit in &mut permits {
        outbox.push(&rendered(&[0; 40], &[]), record(2), permit).unwrap();
    }
    assert_eq!(outbox.bytes(), 95);
    drop(permits);
    outbox.take(Segment::default(), true);
    outbox.release(80);
    assert!(waiting[2..].iter_mut().all(|one| granted(one).is_some()));
    drop(waiting);
    outbox.push(&rendered(&[0; 85], &[]), record(3), &mut None).unwrap();
}

#[test]
fn room_that_is_not_used_goes_to_the_next() {
    let outbox = full();
    let [mut first, second, mut third] = [60, 60, 60].map(|bytes| wait(&outbox, bytes));
    outbox.release(100);
    drop(second);
    let permit = granted(&mut first);
    assert!(permit.is_some() && granted(&mut third).is_none());
    drop(permit);
    let permit = granted(&mut third);
    assert!(permit.is_some());
    let [fourth, mut fifth] = [100, 100].map(|bytes| wait(&outbox, bytes));
    drop(permit);
    // It was granted room and has not been polled since.
    drop(fourth);
    assert!(granted(&mut fifth).is_some());
    drop(fifth);
    assert!(outbox.push(&rendered(&[0; 100], &[]), record(2), &mut None).is_ok());
}

#[test]
fn a_wait_that_times_out_blocks_no_later_wait() {
    let outbox = outbox(100);
    outbox.push(&rendered(&[0; 60], &[]), record(1), &mut None).unwrap();
    outbox.take(Segment::default(), true);
    let mut large = wait(&outbox, 200);
    let mut small = wait(&outbox, 40);
    outbox.release(20);
    assert!(granted(&mut large).is_none() && granted(&mut small).is_none());
    outbox.waiters.expire(Instant::now() + 2 * WAIT);
    assert!(matches!(poll(large.as_mut()), Poll::Ready(Err(TicketError::TimedOut))));
    assert!(matches!(poll(small.as_mut()), Poll::Ready(Err(TicketError::TimedOut))));
    outbox.push(&rendered(&[0; 60], &[]), record(2), &mut None).unwrap();
}

#[test]
fn a_publication_above_the_budget_waits_until_it_is_alone() {
    let outbox = full();
    let (mut giant, mut small) = (wait(&outbox, 300), wait(&outbox, 1));
    outbox.release(99);
    assert!(granted(&mut giant).is_none() && granted(&mut small).is_none());
    outbox.release(1);
    let mut permit = granted(&mut giant);
    assert!(granted(&mut small).is_none());
    outbox.push(&rendered(&[0; 300], &[]), record(2), &mut permit).unwrap();
    outbox.take(Segment::default(), true);
    outbox.release(300);
    assert!(granted(&mut small).is_some());
}

#[test]
fn a_body_that_has_grown_needs_more_than_it_was_granted() {
    let outbox = full();
    let mut waiting = wait(&outbox, 10);
    outbox.release(100);
    let mut permit = granted(&mut waiting);
    outbox.push(&rendered(&[0; 90], &[]), record(2), &mut None).unwrap();
    let grown = outbox.push(&rendered(&[0; 11], &[]), record(3), &mut permit);
    assert!(matches!(grown, Err(PushError::Full { bytes: 11 })));
    outbox.push(&rendered(&[0; 4], &[]), record(3), &mut permit).unwrap();
    outbox.push(&rendered(&[0; 6], &[]), record(4), &mut permit).unwrap();
    assert!(is_full(&outbox));
}

#[test]
fn closing_an_outbox_ends_every_wait() {
    for end in [Outbox::stop_accepting, |outbox: &Outbox, error| drop(outbox.close(error))] {
        let outbox = full();
        let mut waiting: Vec<_> = (0..3).map(|_| wait(&outbox, 60)).collect();
        end(&outbox, Error::stopped());
        for one in &mut waiting {
            let refused = outbox.push(&rendered(b"x", &[]), record(2), &mut granted(one));
            assert!(matches!(refused, Err(PushError::Closed(_))));
        }
        assert!(block_on(outbox.acquire(60, deadline_in(WAIT))).is_ok(), "also later ones");
    }
}

#[test]
fn a_withdrawn_publication_does_not_leave() {
    let outbox = outbox(100);
    let body = [(2, Bytes::from_static(b"BODY"))];
    outbox.push(&rendered(b"aa", &[]), record(1), &mut None).unwrap();
    outbox.push(&rendered(b"bbb", &[]), record(2), &mut None).unwrap();
    outbox.push(&rendered(b"cccc", &body), record(3), &mut None).unwrap();
    assert!(matches!(outbox.withdraw(2), Withdrawn::Unsent));
    assert!(matches!(outbox.withdraw(2), Withdrawn::No), "once");
    let segment = outbox.take(Segment::default(), true);
    assert_eq!(segment.bytes, b"aacccc");
    assert_eq!(segment.parts[0].at, 4);
    assert_eq!(segment.size(), 10);
    assert!(matches!(outbox.withdraw(1), Withdrawn::No), "it has left");
    outbox.push(&rendered(&[0; 90], &[]), record(4), &mut None).unwrap();
    let full = outbox.push(&rendered(b"x", &[]), record(5), &mut None);
    assert!(matches!(full, Err(PushError::Full { .. })), "what left counts: 10 of 100 bytes");
}

#[test]
fn resent_publications_leave_first_and_count() {
    let outbox = outbox(10);
    outbox.push(&rendered(b"first", &[]), record(1), &mut None).unwrap();
    let lost = outbox.take(Segment::default(), true);
    outbox.push(&rendered(b"new", &[]), record(2), &mut None).unwrap();
    outbox.send_again(lost);
    outbox.release(5);
    let full = outbox.push(&rendered(b"xyz", &[]), record(3), &mut None);
    assert!(matches!(full, Err(PushError::Full { .. })), "8 of 10 bytes");
    let segment = outbox.take(Segment::default(), true);
    assert_eq!(segment.bytes, b"first");
    // The connection is lost again: the publication is older than those that wait, and is withdrawn
    // now.
    outbox.send_again(segment);
    outbox.release(5);
    assert!(matches!(outbox.withdraw(1), Withdrawn::No), "it may have been sent");
    assert!(outbox.is_filled());
    assert!(outbox.take(Segment::default(), true).is_empty());
    assert!(outbox.is_filled());
    assert_eq!(outbox.take(Segment::default(), true).bytes, b"new");
    assert!(!outbox.is_filled());
    outbox.push(&rendered(b"7 bytes", &[]), record(4), &mut None).unwrap();
}

#[test]
fn a_closed_outbox_says_why() {
    let outbox = outbox(100);
    outbox.push(&rendered(b"left", &[]), record(1), &mut None).unwrap();
    outbox.stop_accepting(Error::stopped());
    assert!(matches!(
        outbox.push(&rendered(b"x", &[]), record(2), &mut None),
        Err(PushError::Closed(_))
    ));
    assert_eq!(outbox.close(Error::stopped()).unsent.bytes, b"left");
    let refused = outbox.push(&rendered(b"x", &[]), record(2), &mut None);
    assert!(matches!(refused, Err(PushError::Closed(_))));
}

#[test]
fn a_body_cut_for_larger_frames_is_rendered_again() {
    let outbox = outbox(100);
    let large = Rendered { frame_max: 131_072, ..rendered(b"x", &[]) };
    assert!(matches!(outbox.push(&large, record(1), &mut None), Err(PushError::FrameMax)));
    outbox.open(1, 131_072);
    outbox.push(&large, record(1), &mut None).unwrap();
}
