//! Gathers deliveries into batches: a full batch leaves at once, others after their timeout.
//!
//! A batch is also full when its items are large, since the peer decides how large they are. As in
//! oslo, the timeout counts from when the last batch left, not from the first delivery; an empty
//! batch is not handed over. Invariant: a delivery is in one batch. Not here: how a batch is
//! processed (`processor`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::runtime::timer::{Key, Timer};
use crate::transport::intake_limit::WAITING_BYTES_MAX;

/// A batch is full from so many bytes on: half of what may wait, so that a batch never waits for
/// messages that are not read any more.
const BYTES_MAX: usize = WAITING_BYTES_MAX / 2;

/// The size and the timeout of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batching {
    pub(crate) size: usize,
    pub(crate) timeout: Option<Duration>,
}

/// Gathers items into batches.
pub(crate) struct Batcher<T> {
    batching: Batching,
    timer: Arc<Timer>,
    state: Mutex<State<T>>,
    hand_over: Box<dyn Fn(Vec<T>) + Send + Sync>,
}

struct State<T> {
    items: Vec<T>,
    bytes: usize,
    alarm: Option<Key>,
    /// Counts batches, so that a late timer does not end the next one.
    round: u64,
    is_closed: bool,
}

impl<T: Send + 'static> Batcher<T> {
    /// Gathers for `hand_over`, which runs on the thread that completes a batch, or on a shard at
    /// the timeout, and must not block.
    pub(crate) fn new(
        batching: Batching,
        timer: Arc<Timer>,
        hand_over: impl Fn(Vec<T>) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let (items, alarm) = (Vec::new(), None);
        let state = Mutex::new(State { items, bytes: 0, alarm, round: 0, is_closed: false });
        let batcher = Arc::new(Self { batching, timer, state, hand_over: Box::new(hand_over) });
        batcher.set_alarm(&mut batcher.lock());
        batcher
    }

    /// Adds an item of so many bytes.
    pub(crate) fn push(self: &Arc<Self>, item: T, bytes: usize) {
        let mut state = self.lock();
        state.items.push(item);
        state.bytes += bytes;
        let is_full = state.items.len() >= self.batching.size || state.bytes >= BYTES_MAX;
        if is_full || state.is_closed {
            self.complete(state);
        }
    }

    /// Hands over the present batch, and from now on every item at once.
    pub(crate) fn close(self: &Arc<Self>) {
        let mut state = self.lock();
        state.is_closed = true;
        self.complete(state);
    }

    fn complete(self: &Arc<Self>, mut state: MutexGuard<'_, State<T>>) {
        let items = std::mem::take(&mut state.items);
        state.bytes = 0;
        self.set_alarm(&mut state);
        drop(state);
        if !items.is_empty() {
            (self.hand_over)(items);
        }
    }

    fn set_alarm(self: &Arc<Self>, state: &mut State<T>) {
        if let Some(alarm) = state.alarm.take() {
            self.timer.cancel(alarm);
        }
        state.round += 1;
        if let Some(timeout) = self.batching.timeout.filter(|_| !state.is_closed) {
            let (this, round) = (Arc::downgrade(self), state.round);
            state.alarm = Some(self.timer.after(timeout, move || Self::ring(&this, round)));
        }
    }

    fn ring(this: &Weak<Self>, round: u64) {
        let Some(this) = this.upgrade() else { return };
        let state = this.lock();
        if state.round == round {
            this.complete(state);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No user code runs under this lock, so the state is consistent even if it is poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Batcher<T> {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(alarm) = state.alarm.take() {
            self.timer.cancel(alarm);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use leveret_engine::{Engine, EngineConfig};

    use super::*;

    type Batches = Receiver<Vec<u8>>;

    fn gathering(size: usize, timeout_ms: Option<u64>) -> (Engine, Arc<Batcher<u8>>, Batches) {
        let engine = Engine::start(EngineConfig::default()).unwrap();
        let timer = Arc::new(Timer::new(&engine));
        let (sender, batches) = channel();
        let batching = Batching { size, timeout: timeout_ms.map(Duration::from_millis) };
        let hand_over = move |batch| drop(sender.send(batch));
        (engine, Batcher::new(batching, timer, hand_over), batches)
    }

    #[test]
    fn a_full_batch_leaves_at_once_and_the_rest_at_the_end() {
        let (_engine, batcher, batches) = gathering(3, None);
        (0..7).for_each(|item| batcher.push(item, 1));
        batcher.close();
        batcher.push(9, 1);
        drop(batcher);
        let all: Vec<_> = batches.iter().collect();
        assert_eq!(all, [vec![0, 1, 2], vec![3, 4, 5], vec![6], vec![9]]);
    }

    #[test]
    fn a_batch_is_full_by_its_bytes_too() {
        let (_engine, batcher, batches) = gathering(100, None);
        let half = BYTES_MAX / 2;
        for (item, bytes) in [(1, half), (2, half - 1), (3, 1), (4, 10 * BYTES_MAX), (5, 1)] {
            batcher.push(item, bytes);
        }
        batcher.close();
        drop(batcher);
        assert_eq!(batches.iter().collect::<Vec<_>>(), [vec![1, 2, 3], vec![4], vec![5]]);
    }

    #[test]
    fn time_completes_a_batch_but_not_an_empty_one() {
        let (_engine, batcher, batches) = gathering(100, Some(20));
        batcher.push(1, 1);
        assert_eq!(batches.recv().unwrap(), [1]);
        batcher.push(2, 1);
        assert_eq!(batches.recv().unwrap(), [2], "the alarm is set again");
        batcher.close();
        drop(batcher);
        assert!(batches.recv().is_err(), "no empty batch");
    }
}
