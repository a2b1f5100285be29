//! Hears of refused publications without a thread or task that waits for confirms.
//!
//! A confirm wakes its waker on the shard; this waker looks at the outcome right there and acts
//! only if it is a refusal. So calls and replies, whose confirms tell nobody anything, wake nobody.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use leveret_engine::{Confirm, Outcome};

/// Calls `refused` if the publication ends in anything but a confirm: on the shard, so it must be
/// quick and must not block, or at once, if that has happened already.
pub(crate) fn on_refusal<F: FnOnce(Outcome) + Send + 'static>(confirm: Confirm, refused: F) {
    let watch = Arc::new(Watch(Mutex::new(Some((confirm, refused)))));
    watch.wake();
}

struct Watch<F>(Mutex<Option<(Confirm, F)>>);

impl<F: FnOnce(Outcome) + Send + 'static> Wake for Watch<F> {
    fn wake(self: Arc<Self>) {
        let waker = Waker::from(Arc::clone(&self));
        let mut watch = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((mut confirm, refused)) = watch.take() else { return };
        match Pin::new(&mut confirm).poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => *watch = Some((confirm, refused)),
            Poll::Ready(outcome) => {
                drop(watch);
                if !outcome.is_ok() {
                    refused(outcome);
                }
            }
        }
    }
}
