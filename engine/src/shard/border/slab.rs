//! A slab of pending answers: reusable slots, and the waiter of each.
//!
//! A token is a slot index and a generation. Freeing a slot raises its generation, so an answer for
//! a ticket that was dropped or has timed out no longer matches and is ignored. Invariant: a slot
//! is completed once. Locks and deadlines are in `tickets`.

use std::sync::Arc;
use std::task::Waker;

use crate::shard::panics::{Foreign, Panics};

/// Why a ticket ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// The deadline passed.
    #[error("no answer before the deadline")]
    TimedOut,
    /// The engine stopped or died, so no answer can arrive.
    #[error("the engine stopped")]
    Aborted,
}

/// Receives answers that no task or thread waits for.
pub(crate) trait CompletionListener<T>: Send + Sync {
    /// Receives the answer, or the reason why there is none. Called once, without a lock held,
    /// usually on the shard.
    fn on_complete(&self, token: Token, cookie: u64, answer: Result<T, TicketError>);

    /// Whether an answer is still of use. Called on the shard, without a lock held.
    fn is_wanted(&self, cookie: u64) -> bool;
}

/// The slots and the indices of the free ones.
pub(crate) struct Slab<T> {
    pub(crate) slots: Vec<Slot<T>>,
    pub(crate) free: Vec<u32>,
}

/// One slot. The generation distinguishes its successive users.
pub(crate) struct Slot<T> {
    generation: u32,
    pub(crate) state: State<T>,
}

/// What a slot is used for.
pub(crate) enum State<T> {
    Free,
    Waiting(Option<Waker>),
    /// The slot is freed as soon as the answer arrives.
    Listener(Arc<dyn CompletionListener<T>>, u64),
    Done(Result<T, TicketError>),
}

/// The slot and generation of a pending answer; the answer is addressed to it.
pub type Token = u64;

fn token(slot: u32, generation: u32) -> Token {
    u64::from(generation) << 32 | u64::from(slot + 1)
}

/// Returns the slot index of a token made by [`token`].
pub(crate) fn index(token: Token) -> u32 {
    (token as u32) - 1
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    /// Returns the slot of a token, or `None` if the slot was freed since.
    pub(crate) fn slot(&mut self, token: Token) -> Option<&mut Slot<T>> {
        let index = (token as u32).checked_sub(1)?;
        let slot = self.slots.get_mut(index as usize)?;
        (slot.generation == (token >> 32) as u32).then_some(slot)
    }

    /// Takes a free slot, or grows the slab.
    pub(crate) fn occupy(&mut self, state: State<T>) -> Token {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, state: State::Free });
            (self.slots.len() - 1) as u32
        });
        let entry = &mut self.slots[slot as usize];
        entry.state = state;
        token(slot, entry.generation)
    }

    /// Stores the answer of a slot and returns the wakeup to run once the lock is released.
    pub(crate) fn end(&mut self, index: u32, answer: Result<T, TicketError>) -> Option<Wakeup<T>> {
        let slot = &mut self.slots[index as usize];
        let token = token(index, slot.generation);
        match &mut slot.state {
            State::Free | State::Done(_) => None,
            State::Waiting(waker) => {
                let waker = waker.take();
                slot.state = State::Done(answer);
                waker.map(Wakeup::Task)
            }
            State::Listener(..) => {
                let State::Listener(listener, cookie) = self.release(index) else {
                    unreachable!("just matched");
                };
                Some(Wakeup::Listener { listener, token, cookie, answer })
            }
        }
    }

    /// Frees a slot and invalidates its token.
    pub(crate) fn release(&mut self, index: u32) -> State<T> {
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        std::mem::replace(&mut slot.state, State::Free)
    }
}

/// A waiter to wake. Collected under the lock, run after it is released.
pub(crate) enum Wakeup<T> {
    Task(Waker),
    Listener {
        listener: Arc<dyn CompletionListener<T>>,
        token: Token,
        cookie: u64,
        answer: Result<T, TicketError>,
    },
}

impl<T> Wakeup<T> {
    /// Calls foreign code. A panic is contained, so the remaining wakeups run too.
    pub(crate) fn run(self, panics: &Panics) {
        match self {
            Self::Task(waker) => panics.contain(Foreign::Waker, || waker.wake()),
            Self::Listener { listener, token, cookie, answer } => {
                panics.contain(Foreign::FailureSink, || listener.on_complete(token, cookie, answer))
            }
        };
    }
}
