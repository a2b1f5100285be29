//! Slab of pending answers: slots that are used again, and who is told what comes to them.
//!
//! A token is a slot and its generation: an answer that comes after its ticket was dropped or timed
//! out finds another generation and is ignored. Invariant: a place ends once. Not here: locks and
//! deadlines (`tickets`).

use std::sync::Arc;
use std::task::Waker;

use crate::shard::panics::{Foreign, Panics};

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

/// Hears of answers that no task or thread waits for.
pub(crate) trait AnswerListener<T>: Send + Sync {
    /// The answer, or why there is none. Called once, under no lock, mostly on the shard.
    fn on_answer(&self, token: Token, cookie: u64, answer: Result<T, TicketError>);
}

/// The slots, and which of them are free.
pub(crate) struct Slab<T> {
    pub(crate) slots: Vec<Slot<T>>,
    pub(crate) free: Vec<u32>,
}

/// One of them; its generation tells its users apart.
pub(crate) struct Slot<T> {
    generation: u32,
    pub(crate) state: State<T>,
}

/// What a slot is used for.
pub(crate) enum State<T> {
    Free,
    Waiting(Option<Waker>),
    /// Free as soon as it is answered.
    Listener(Arc<dyn AnswerListener<T>>, u64),
    Done(Result<T, TicketError>),
}

/// A place in the slab; the number that comes back with the answer.
pub type Token = u64;

fn token(slot: u32, generation: u32) -> Token {
    u64::from(generation) << 32 | u64::from(slot + 1)
}

/// The slot of a token that was given out.
pub(crate) fn index(token: Token) -> u32 {
    (token as u32) - 1
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    /// The slot of a token, unless it has another user by now.
    pub(crate) fn slot(&mut self, token: Token) -> Option<&mut Slot<T>> {
        let index = (token as u32).checked_sub(1)?;
        let slot = self.slots.get_mut(index as usize)?;
        (slot.generation == (token >> 32) as u32).then_some(slot)
    }

    /// Takes a slot; grows when none is free.
    pub(crate) fn occupy(&mut self, state: State<T>) -> Token {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, state: State::Free });
            (self.slots.len() - 1) as u32
        });
        let entry = &mut self.slots[slot as usize];
        entry.state = state;
        token(slot, entry.generation)
    }

    /// Ends a wait; says who is to be told.
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

    /// Frees a slot: its token finds nothing any more.
    pub(crate) fn release(&mut self, index: u32) -> State<T> {
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        std::mem::replace(&mut slot.state, State::Free)
    }
}

/// Who is to be told of an answer, gathered under a lock and told after it.
pub(crate) enum Wakeup<T> {
    Task(Waker),
    Listener {
        listener: Arc<dyn AnswerListener<T>>,
        token: Token,
        cookie: u64,
        answer: Result<T, TicketError>,
    },
}

impl<T> Wakeup<T> {
    /// Foreign code is called here: whatever it does, the next one is told as well.
    pub(crate) fn run(self, panics: &Panics) {
        match self {
            Self::Task(waker) => panics.contain(Foreign::Waker, || waker.wake()),
            Self::Listener { listener, token, cookie, answer } => {
                panics.contain(Foreign::RefusalSink, || listener.on_answer(token, cookie, answer))
            }
        };
    }
}
