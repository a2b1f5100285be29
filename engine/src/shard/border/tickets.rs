//! Tickets: one pending answer each. A task awaits it, a thread calls `wait()`, or an
//! [`CompletionListener`] receives it.
//!
//! Tickets are slots of a slab, so opening one allocates nothing in steady state. Invariants: a
//! ticket ends once, by its answer, its deadline or the end of the engine; wakers and listeners run
//! without the lock held.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::shard::border::slab::{
    CompletionListener, Slab, Slot, State, TicketError, Token, Wakeup, index,
};
use crate::shard::clock::{Clock, Expires};
use crate::shard::panics::{Foreign, Panics};
use crate::shard::wheel::{TICK, Wheel};

/// The tickets of one kind of answer.
pub struct Tickets<T> {
    inner: Mutex<Inner<T>>,
    clock: Arc<Clock>,
}

struct Inner<T> {
    slab: Slab<T>,
    wheel: Wheel,
    aborted: bool,
    /// The vector of the last batch of wakeups, kept for reuse.
    spare: Vec<Wakeup<T>>,
}

impl<T: Send + 'static> Tickets<T> {
    /// Creates an empty slab whose deadlines `clock` watches.
    pub(crate) fn new(clock: &Arc<Clock>) -> Arc<Self> {
        let wheel = Wheel::new(clock.start());
        let slab = Slab::new();
        let inner = Mutex::new(Inner { slab, wheel, aborted: false, spare: Vec::new() });
        let tickets = Arc::new(Self { inner, clock: Arc::clone(clock) });
        let weak = Arc::downgrade(&tickets);
        clock.watch(weak);
        tickets
    }

    /// Opens a ticket. With a `deadline`, the ticket times out then: never early, at most 10 ms
    /// late.
    pub fn open(self: &Arc<Self>, deadline: Option<Instant>) -> Ticket<T> {
        let mut inner = self.lock();
        let aborted = inner.aborted;
        let token = inner.slab.occupy(if aborted {
            State::Done(Err(TicketError::Aborted))
        } else {
            State::Waiting(None)
        });
        self.set_deadline(inner, token, deadline.filter(|_| !aborted));
        Ticket { tickets: Arc::clone(self), token }
    }

    /// Opens a ticket whose answer `listener` receives, together with `cookie`.
    pub(crate) fn open_with_listener(
        &self,
        deadline: Option<Instant>,
        listener: Arc<dyn CompletionListener<T>>,
        cookie: u64,
    ) -> Result<Token, TicketError> {
        let mut inner = self.lock();
        if inner.aborted {
            return Err(TicketError::Aborted);
        }
        let token = inner.slab.occupy(State::Listener(listener, cookie));
        self.set_deadline(inner, token, deadline);
        Ok(token)
    }

    fn set_deadline(
        &self,
        mut inner: MutexGuard<'_, Inner<T>>,
        token: Token,
        deadline: Option<Instant>,
    ) {
        let Some(deadline) = deadline else { return };
        let first = inner.wheel.is_empty();
        inner.wheel.set(index(token), deadline);
        drop(inner);
        if first {
            self.clock.start_ticking();
        }
    }

    /// Drops a ticket that has a listener. Returns false if the listener has received the answer,
    /// or is about to.
    pub(crate) fn forget(&self, token: Token) -> bool {
        let mut inner = self.lock();
        if !matches!(inner.slab.slot(token), Some(Slot { state: State::Listener(..), .. })) {
            return false;
        }
        let state = inner.release(token);
        drop(inner);
        drop(state);
        true
    }

    /// Whether a ticket waits for its answer.
    #[must_use]
    pub fn is_waiting(&self, token: Token) -> bool {
        matches!(self.lock().slab.slot(token), Some(Slot { state: State::Waiting(_), .. }))
    }

    /// Drops a ticket that has a listener to which an answer is of no use. Returns true if it did.
    pub(crate) fn forget_unless_wanted(&self, token: Token) -> bool {
        let (listener, cookie) = match self.lock().slab.slot(token) {
            Some(Slot { state: State::Listener(listener, cookie), .. }) => {
                (Arc::clone(listener), *cookie)
            }
            _ => return false,
        };
        let is_wanted = || listener.is_wanted(cookie);
        let is_wanted = self.panics().contain(Foreign::FailureSink, is_wanted).unwrap_or(true);
        !is_wanted && self.forget(token)
    }

    /// Answers a ticket. Returns the answer as `Err` if the ticket was dropped, has timed out or
    /// was answered before.
    pub fn complete(&self, token: Token, answer: T) -> Result<(), T> {
        let wakeup = self.lock().finish(token, answer)?;
        wakeup.into_iter().for_each(|wakeup| wakeup.run(self.panics()));
        Ok(())
    }

    /// Answers many tickets under one lock. Skips tokens of tickets that have ended.
    pub(crate) fn complete_all(&self, answers: impl Iterator<Item = (Token, T)>) {
        self.notify(|inner, wakeups| {
            for (token, answer) in answers {
                wakeups.extend(inner.finish(token, answer).ok().flatten());
            }
        });
    }

    /// Collects wakeups under the lock and runs them after releasing it.
    fn notify<R>(&self, gather: impl FnOnce(&mut Inner<T>, &mut Vec<Wakeup<T>>) -> R) -> R {
        let mut inner = self.lock();
        let mut wakeups = std::mem::take(&mut inner.spare);
        let result = gather(&mut inner, &mut wakeups);
        drop(inner);
        wakeups.drain(..).for_each(|wakeup| wakeup.run(self.panics()));
        self.lock().spare = wakeups;
        result
    }

    /// Replaces the deadline of a ticket. Returns false if the ticket has ended.
    pub fn extend(&self, token: Token, deadline: Instant) -> bool {
        let mut inner = self.lock();
        let waiting = matches!(inner.slab.slot(token), Some(Slot { state: State::Waiting(_), .. }));
        if waiting {
            inner.wheel.clear(index(token));
            inner.wheel.set(index(token), deadline);
        }
        waiting
    }

    /// Number of tickets that wait for an answer or hold one that was not taken yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        let Slab { slots, free } = &self.lock().slab;
        slots.len() - free.len()
    }

    /// The panic counters of the shard.
    pub(crate) fn panics(&self) -> &Arc<Panics> {
        self.clock.panics()
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // No user code runs under this lock, so the state behind a poisoned lock is consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll(&self, token: Token, waker: &Waker) -> Poll<Result<T, TicketError>> {
        let mut inner = self.lock();
        let slot = inner.slab.slot(token).expect("a live ticket owns its slot");
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
            State::Free | State::Listener(..) => panic!("a ticket was polled after its answer"),
        }
    }
}

impl<T> Inner<T> {
    fn finish(&mut self, token: Token, answer: T) -> Result<Option<Wakeup<T>>, T> {
        match self.slab.slot(token) {
            Some(Slot { state: State::Waiting(_) | State::Listener(..), .. }) => {
                self.wheel.clear(index(token));
                Ok(self.slab.end(index(token), Ok(answer)))
            }
            _ => Err(answer),
        }
    }

    fn release(&mut self, token: Token) -> State<T> {
        self.wheel.clear(index(token));
        self.slab.release(index(token))
    }
}

impl<T: Send + 'static> Expires for Tickets<T> {
    fn expire(&self, now: Instant) -> Option<Instant> {
        self.notify(|Inner { slab, wheel, .. }, wakeups| {
            wheel.advance(now, |slot| {
                wakeups.extend(slab.end(slot, Err(TicketError::TimedOut)));
            });
            (!wheel.is_empty()).then(|| now + TICK)
        })
    }

    fn abort(&self) {
        self.notify(|Inner { slab, wheel, aborted, .. }, wakeups| {
            *aborted = true;
            for index in 0..slab.slots.len() as u32 {
                wheel.clear(index);
                wakeups.extend(slab.end(index, Err(TicketError::Aborted)));
            }
        });
    }
}

impl<T> std::fmt::Debug for Tickets<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

/// A pending answer. Dropping the ticket frees its slot; an answer that arrives later is ignored.
#[must_use = "a dropped ticket waits for nothing"]
#[derive(Debug)]
pub struct Ticket<T: Send + 'static> {
    tickets: Arc<Tickets<T>>,
    token: Token,
}

impl<T: Send + 'static> Ticket<T> {
    /// The token that [`Tickets::complete`] answers this ticket by.
    #[must_use]
    pub fn token(&self) -> Token {
        self.token
    }

    /// Blocks this thread until the answer arrives, the deadline passes or the engine stops.
    ///
    /// # Errors
    /// `TimedOut` at the deadline, `Aborted` if the engine stopped.
    pub fn wait(self) -> Result<T, TicketError> {
        crate::shard::border::block_on::block_on(self)
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
        let left = self.tickets.lock().release(self.token);
        drop(left);
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
        assert!(tickets.expire(deadline + Duration::from_millis(8)).is_none());
        assert_eq!(late.wait(), Err(TicketError::TimedOut));
        assert_eq!(early.wait(), Ok(5));
    }

    #[test]
    fn an_extended_ticket_lives_on() {
        let (clock, tickets) = tickets();
        let deadline = clock.start() + Duration::from_millis(10);
        let ticket = tickets.open(Some(deadline));
        assert!(tickets.extend(ticket.token(), deadline + Duration::from_secs(1)));
        assert!(tickets.expire(deadline + Duration::from_millis(8)).is_some(), "still watched");
    }

    #[derive(Default)]
    struct Heard(Mutex<Vec<(u64, Result<u32, TicketError>)>>);

    impl CompletionListener<u32> for Heard {
        fn on_complete(&self, _token: Token, cookie: u64, answer: Result<u32, TicketError>) {
            self.0.lock().unwrap().push((cookie, answer));
        }

        fn is_wanted(&self, cookie: u64) -> bool {
            cookie.is_multiple_of(2)
        }
    }

    #[test]
    fn a_ticket_is_forgotten_unless_its_listener_wants_the_answer() {
        let (_clock, tickets) = tickets();
        let heard = Arc::new(Heard::default());
        let open =
            |cookie| tickets.open_with_listener(None, Arc::clone(&heard) as _, cookie).unwrap();
        let (wanted, unwanted) = (open(2), open(3));
        assert!(!tickets.forget_unless_wanted(wanted));
        assert!(tickets.forget_unless_wanted(unwanted));
        assert!(!tickets.forget_unless_wanted(unwanted), "it is gone");
        let awaited = tickets.open(None);
        assert!(tickets.is_waiting(awaited.token()));
        assert!(!tickets.forget_unless_wanted(awaited.token()), "someone waits");
        tickets.complete(awaited.token(), 1).unwrap();
        assert!(!tickets.is_waiting(awaited.token()));
        tickets.complete_all([(wanted, 7), (unwanted, 8)].into_iter());
        assert_eq!(*heard.0.lock().unwrap(), [(2, Ok(7))]);
    }

    #[test]
    fn a_listener_receives_each_answer_once_and_frees_its_slot() {
        let (clock, tickets) = tickets();
        let heard = Arc::new(Heard::default());
        let deadline = clock.start() + Duration::from_millis(10);
        let open =
            |deadline, cookie| tickets.open_with_listener(deadline, heard.clone(), cookie).unwrap();
        let (answered, late) = (open(None, 1), open(Some(deadline), 2));
        let (aborted, forgotten) = (open(None, 3), open(Some(deadline), 4));
        assert!(tickets.forget(forgotten));
        assert!(!tickets.forget(forgotten), "once");
        tickets.complete_all([(answered, 7), (forgotten, 8), (answered, 9)].into_iter());
        assert!(tickets.expire(deadline + Duration::from_millis(8)).is_none());
        assert_eq!(tickets.complete(late, 1), Err(1));
        tickets.abort();
        assert_eq!(tickets.complete(aborted, 1), Err(1));
        let (timed_out, stopped) = (TicketError::TimedOut, TicketError::Aborted);
        assert_eq!(*heard.0.lock().unwrap(), [(1, Ok(7)), (2, Err(timed_out)), (3, Err(stopped))]);
        assert_eq!(tickets.outstanding(), 0);
        assert_eq!(Arc::strong_count(&heard), 1, "the slab holds no listener longer than needed");
        assert!(
            tickets.open_with_listener(None, heard.clone(), 5).is_err(),
            "no engine, no answer"
        );
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
