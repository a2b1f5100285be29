//! A value that the first caller opens and all callers share: a connection, a channel, a route.
//!
//! One opening runs at a time, and every caller that needs the value polls it ([`SharedTask`]), so
//! the opening goes on when a caller gives up. After a failed opening the next caller starts
//! another. A value that is closed for good is [forgotten](OpenOnce::forget), and the next caller
//! opens a new one. Invariant: the first value is read without a lock and without a reference
//! count; in return it stays in memory after it was forgotten. The engine bounds an opening, as
//! each of its steps has a deadline; `open` bounds how long a caller waits.

use std::future::Future;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::broker::errors::transport_closed;
use crate::broker::shared_task::SharedTask;
use crate::error::Error;

/// A value that the first caller opens.
pub(crate) struct OpenOnce<T> {
    /// Shared with the future of the opening, which must not own the [`SharedTask`].
    value: Arc<Value<T>>,
    task: SharedTask,
}

struct Value<T> {
    first: OnceLock<T>,
    /// The first value was forgotten.
    is_first_forgotten: AtomicBool,
    later: Mutex<Later<T>>,
}

struct Later<T> {
    /// The value opened after the first one was forgotten.
    value: Option<Arc<T>>,
    is_closed: bool,
}

/// An opened value.
pub(crate) enum Opened<'a, T> {
    First(&'a T),
    /// A value opened after the first one was forgotten.
    Later(Arc<T>),
}

impl<T> OpenOnce<T> {
    /// Returns the value if it is open.
    pub(crate) fn get(&self) -> Option<Opened<'_, T>> {
        self.value.get()
    }

    /// Whether an opening runs, with or without callers that wait for it.
    pub(crate) fn is_opening(&self) -> bool {
        self.get().is_none() && self.task.is_running()
    }

    /// Forgets `value`, so that the next caller opens another one. Does nothing if another caller
    /// has forgotten it already, or if the cell is [closed](Self::close).
    pub(crate) fn forget(&self, value: &T) {
        let mut later = self.value.later();
        if later.is_closed {
            return;
        }
        if self.value.first.get().is_some_and(|first| std::ptr::eq(first, value)) {
            self.value.is_first_forgotten.store(true, Ordering::Release);
        }
        let forgotten = later.value.take_if(|other| std::ptr::eq(&raw const **other, value));
        drop(later);
        drop(forgotten);
    }

    /// [Forgets](Self::forget) the value if `is_closed` returns true for it.
    pub(crate) fn forget_if(&self, is_closed: impl FnOnce(&T) -> bool) {
        if let Some(value) = self.get().filter(|opened| is_closed(opened)) {
            self.forget(&value);
        }
    }

    /// Whether [`close`](Self::close) was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.value.later().is_closed
    }

    /// Drops the running opening; nothing is opened afterwards. An open value stays readable.
    pub(crate) fn close(&self) {
        self.value.later().is_closed = true;
        self.task.close();
    }
}

impl<T: Send + Sync + 'static> OpenOnce<T> {
    /// Returns the value. Opens it with `open` unless it is open or an opening runs.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the opening to the other callers, or to the next one.
    ///
    /// # Errors
    /// The error of the opening; `Closed` after [`close`](Self::close).
    pub(crate) async fn get_or_open<F>(&self, open: impl Fn() -> F) -> Result<Opened<'_, T>, Error>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        loop {
            if let Some(opened) = self.get() {
                return Ok(opened);
            }
            let task = || {
                let (value, opening) = (Arc::clone(&self.value), open());
                Box::pin(async move {
                    // An earlier opening may have succeeded in the meantime.
                    if value.get().is_some() {
                        return Ok(());
                    }
                    value.set(opening.await?)
                }) as _
            };
            self.task.run(task).await?;
        }
    }
}

impl<T> Default for OpenOnce<T> {
    fn default() -> Self {
        let value = Value {
            first: OnceLock::new(),
            is_first_forgotten: AtomicBool::new(false),
            later: Mutex::new(Later { value: None, is_closed: false }),
        };
        Self { value: Arc::new(value), task: SharedTask::default() }
    }
}

impl<T> Value<T> {
    fn get(&self) -> Option<Opened<'_, T>> {
        if self.is_first_forgotten.load(Ordering::Acquire) {
            return self.later().value.clone().map(Opened::Later);
        }
        self.first.get().map(Opened::First)
    }

    fn set(&self, value: T) -> Result<(), Error> {
        let mut later = self.later();
        if later.is_closed {
            drop(later);
            return Err(transport_closed());
        }
        match self.first.set(value) {
            Ok(()) => {}
            Err(value) => later.value = Some(Arc::new(value)),
        }
        Ok(())
    }

    fn later(&self) -> MutexGuard<'_, Later<T>> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Deref for Opened<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::First(value) => value,
            Self::Later(value) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use leveret_engine::block_on;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_forgotten_value_is_opened_again() {
        let (cell, opened) = (OpenOnce::default(), Arc::new(AtomicUsize::new(0)));
        let open = || {
            let opened = Arc::clone(&opened);
            async move { Ok(opened.fetch_add(1, Ordering::Relaxed)) }
        };
        let value = || *block_on(cell.get_or_open(open)).unwrap();
        assert!(cell.get().is_none());
        assert_eq!([value(), value()], [0, 0]);
        cell.forget_if(|value| *value != 0);
        let first = cell.get().unwrap();
        cell.forget(&first);
        assert!(cell.get().is_none());
        assert_eq!([value(), value()], [1, 1]);
        // A late caller forgets no newer value.
        cell.forget(&first);
        assert_eq!(value(), 1);
        cell.forget_if(|value| *value == 1);
        assert_eq!(value(), 2);
    }

    #[test]
    fn a_closed_cell_keeps_its_value_and_opens_none() {
        let cell = OpenOnce::default();
        block_on(cell.get_or_open(|| async { Ok(1) })).unwrap();
        cell.close();
        cell.forget_if(|_| true);
        assert_eq!(*block_on(cell.get_or_open(|| async { Ok(2) })).unwrap(), 1);
        let empty = OpenOnce::default();
        empty.close();
        let error = block_on(empty.get_or_open(|| async { Ok(2) })).map(|one| *one).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert!(!empty.is_opening());
    }

    #[test]
    fn a_value_opened_after_close_is_dropped() {
        let cell = Arc::new(OpenOnce::default());
        let closes = Arc::clone(&cell);
        let held = Arc::new(());
        let open = || {
            let (closes, held) = (Arc::clone(&closes), Arc::clone(&held));
            async move {
                closes.close();
                Ok(held)
            }
        };
        assert!(block_on(cell.get_or_open(open)).is_err());
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
