//! One pending answer per ticket: `.await` it in a task, `wait()` for it on a thread.
//!
//! Tickets are slots of a slab, so taking one allocates nothing in steady state. A token is a slot
//! and its generation: an answer that comes after its ticket was dropped or timed out finds another
//! generation and is ignored. Invariant: a ticket ends once: answered, timed out, or aborted with
//! the engine.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::clock::{Clock, Expires};
use super::wheel::Wheel;

/// Why a ticket ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// The deadline passed.
    #[error("no answer before the deadline")]
    TimedOut,
    /// The engine stopped or died; no answer can come.
    #[error("the engine stopped")]
    Aborted,
}

/// The slab of tickets of one kind of answer.
#[derive(Debug)]
pub struct Tickets<T> {
    slab: Mutex<Slab<T>>,
    clock: Arc<Clock>,
}

#[derive(Debug)]
struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    wheel: Wheel,
    aborted: bool,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    Free,
    Waiting(Option<Waker>),
    Done(Result<T, TicketError>),
}

/// A place in the slab; the number that comes back with the answer.
pub type Token = u64;

fn token(slot: u32, generation: u32) -> Token {
    u64::from(generation) << 32 | u64::from(slot + 1)
}

impl<T: Send + 'static> Tickets<T> {
    /// An empty slab whose deadlines are watched by `clock`.
    pub(crate) fn new(clock: &Arc<Clock>) -> Arc<Self> {
        let wheel = Wheel::new(clock.start());
        let slab = Slab { slots: Vec::new(), free: Vec::new(), wheel, aborted: false };
        let tickets = Arc::new(Self { slab: Mutex::new(slab), clock: Arc::clone(clock) });
        let weak = Arc::downgrade(&tickets);
        clock.watch(weak);
        tickets
    }

    /// Takes a ticket that times out at `deadline` (met within 10 ms, never early), if one is
    /// given.
    pub fn open(self: &Arc<Self>, deadline: Option<Instant>) -> Ticket<T> {
        let mut slab = self.lock();
        let slot = slab.free.pop().unwrap_or_else(|| {
            slab.slots.push(Slot { generation: 0, state: State::Free });
            (slab.slots.len() - 1) as u32
        });
        let aborted = slab.aborted;
        let entry = &mut slab.slots[slot as usize];
        entry.state =
            if aborted { State::Done(Err(TicketError::Aborted)) } else { State::Waiting(None) };
        let token = token(slot, entry.generation);
        if let Some(deadline) = deadline.filter(|_| !aborted) {
            let first = slab.wheel.is_empty();
            slab.wheel.set(slot, deadline);
            drop(slab);
            if first {
                self.clock.start_ticking();
            }
        }
        Ticket { tickets: Arc::clone(self), token }
    }

    /// Answers a ticket. The answer comes back when nobody waits for it any more.
    pub fn complete(&self, token: Token, answer: T) -> Result<(), T> {
        let mut slab = self.lock();
        let waker = slab.finish(token, answer)?;
        drop(slab);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Answers many tickets under one lock; tokens nobody waits for are skipped.
    pub(crate) fn complete_all(&self, answers: impl Iterator<Item = (Token, T)>) {
        let mut wakers = Wakers::default();
        let mut slab = self.lock();
        for (token, answer) in answers {
            wakers.extend(slab.finish(token, answer).ok().flatten());
        }
        drop(slab);
        wakers.wake();
    }

    /// Gives a waiting ticket a new deadline; false when nobody waits for it any more.
    pub fn extend(&self, token: Token, deadline: Instant) -> bool {
        let mut slab = self.lock();
        let waiting = matches!(slab.slot(token), Some(Slot { state: State::Waiting(_), .. }));
        if waiting {
            let slot = (token as u32) - 1;
            slab.wheel.clear(slot);
            slab.wheel.set(slot, deadline);
        }
        waiting
    }

    /// Tickets that wait or hold an answer not yet taken.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        let slab = self.lock();
        slab.slots.len() - slab.free.len()
    }

    fn lock(&self) -> MutexGuard<'_, Slab<T>> {
        // No user code runs under this lock, so a poisoned one is whole.
        self.slab.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll(&self, token: Token, waker: &Waker) -> Poll<Result<T, TicketError>> {
        let mut slab = self.lock();
        let slot = slab.slot(token).expect("a live ticket owns its slot");
        match &mut slot.state {
            State::Waiting(current) => {
                if !current.as_ref().is_some_and(|known| known.will_wake(waker)) {
                    *current = Some(waker.clone());
                }
                Poll::Pending
            }
            State::Done(_) => {
                let State::Done(answer) = std::mem::replace(&mut slot.state, State::Free) else {
                    unreachable!("just matched");
                };
                Poll::Ready(answer)
            }
            State::Free => panic!("a ticket was polled after its answer"),
        }
    }
}

impl<T> Slab<T> {
    fn slot(&mut self, token: Token) -> Option<&mut Slot<T>> {
        let index = (token as u32).checked_sub(1)?;
        let slot = self.slots.get_mut(index as usize)?;
        (slot.generation == (token >> 32) as u32).then_some(slot)
    }

    fn finish(&mut self, token: Token, answer: T) -> Result<Option<Waker>, T> {
        match self.slot(token) {
            Some(slot) if matches!(slot.state, State::Waiting(_)) => {
                let before = std::mem::replace(&mut slot.state, State::Done(Ok(answer)));
                self.wheel.clear((token as u32) - 1);
                let State::Waiting(waker) = before else { unreachable!("just matched") };
                Ok(waker)
            }
            _ => Err(answer),
        }
    }

    fn release(&mut self, token: Token) {
        let index = (token as u32) - 1;
        self.wheel.clear(index);
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.state = State::Free;
        self.free.push(index);
    }
}

impl<T> Slot<T> {
    /// Ends a wait in `error`.
    fn fail(&mut self, error: TicketError) -> Option<Waker> {
        let State::Waiting(waker) = &mut self.state else { return None };
        let waker = waker.take();
        self.state = State::Done(Err(error));
        waker
    }
}

impl<T: Send + 'static> Expires for Tickets<T> {
    fn expire(&self, now: Instant) -> bool {
        let mut wakers = Wakers::default();
        let mut slab = self.lock();
        let Slab { slots, wheel, .. } = &mut *slab;
        wheel.advance(now, |slot| wakers.extend(slots[slot as usize].fail(TicketError::TimedOut)));
        let idle = slab.wheel.is_empty();
        drop(slab);
        wakers.wake();
        !idle
    }

    fn abort(&self) {
        let mut wakers = Wakers::default();
        let mut slab = self.lock();
        slab.aborted = true;
        for index in 0..slab.slots.len() as u32 {
            slab.wheel.clear(index);
            wakers.extend(slab.slots[index as usize].fail(TicketError::Aborted));
        }
        drop(slab);
        wakers.wake();
    }
}

/// Wakers collected under a lock and woken after it.
#[derive(Default)]
struct Wakers(Vec<Waker>);

impl Wakers {
    fn extend(&mut self, waker: Option<Waker>) {
        self.0.extend(waker);
    }

    fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

/// A pending answer. Dropping it gives up waiting and frees its place; the answer is then ignored.
#[must_use = "a dropped ticket waits for nothing"]
#[derive(Debug)]
pub struct Ticket<T: Send + 'static> {
    tickets: Arc<Tickets<T>>,
    token: Token,
}

impl<T: Send + 'static> Ticket<T> {
    /// The number that answers this ticket.
    #[must_use]
    pub fn token(&self) -> Token {
        self.token
    }

    /// Parks this thread until the answer, the deadline or the end of the engine.
    ///
    /// # Errors
    /// `TimedOut` at the deadline, `Aborted` when the engine stopped.
    pub fn wait(self) -> Result<T, TicketError> {
        super::park::block_on(self)
    }
}

impl<T: Send + 'static> Future for Ticket<T> {
    type Output = Result<T, TicketError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.tickets.poll(self.token, cx.waker())
    }
}

impl<T: Send + 'static> Drop for Ticket<T> {
    fn drop(&mut self) {
        self.tickets.lock().release(self.token);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn tickets() -> (Arc<Clock>, Arc<Tickets<u32>>) {
        let clock = Arc::new(Clock::new(Instant::now()));
        let tickets = Tickets::new(&clock);
        (clock, tickets)
    }

    #[test]
    fn an_answer_reaches_a_waiting_thread() {
        let (_clock, tickets) = tickets();
        let ticket = tickets.open(None);
        let token = ticket.token();
        let other = Arc::clone(&tickets);
        let thread = std::thread::spawn(move || other.complete(token, 7));
        assert_eq!(ticket.wait(), Ok(7));
        thread.join().unwrap().unwrap();
        assert_eq!(tickets.outstanding(), 0);
    }

    #[test]
    fn a_late_answer_finds_another_generation() {
        let (_clock, tickets) = tickets();
        let first = tickets.open(None);
        let stale = first.token();
        drop(first);
        let second = tickets.open(None);
        assert_eq!(tickets.complete(stale, 1), Err(1), "same slot, older generation");
        tickets.complete(second.token(), 2).unwrap();
        assert_eq!(tickets.complete(second.token(), 3), Err(3), "once only");
        assert_eq!(second.wait(), Ok(2));
    }

    #[test]
    fn a_deadline_ends_a_ticket_and_an_answer_forgets_it() {
        let (clock, tickets) = tickets();
        let deadline = clock.start() + Duration::from_millis(10);
        let (late, early) = (tickets.open(Some(deadline)), tickets.open(Some(deadline)));
        tickets.complete(early.token(), 5).unwrap();
        assert!(!tickets.expire(deadline + Duration::from_millis(8)));
        assert_eq!(late.wait(), Err(TicketError::TimedOut));
        assert_eq!(early.wait(), Ok(5));
    }

    #[test]
    fn an_extended_ticket_lives_on() {
        let (clock, tickets) = tickets();
        let deadline = clock.start() + Duration::from_millis(10);
        let ticket = tickets.open(Some(deadline));
        assert!(tickets.extend(ticket.token(), deadline + Duration::from_secs(1)));
        assert!(tickets.expire(deadline + Duration::from_millis(8)), "still watched");
    }

    #[test]
    fn the_end_of_the_engine_ends_every_wait() {
        let (_clock, tickets) = tickets();
        let ticket = tickets.open(None);
        tickets.abort();
        assert_eq!(ticket.wait(), Err(TicketError::Aborted));
        assert_eq!(tickets.open(None).wait(), Err(TicketError::Aborted), "also later ones");
    }
}
