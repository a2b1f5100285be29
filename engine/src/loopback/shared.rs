//! State shared by the threads of a loopback broker, and how they start.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::loopback::broker::state::Broker;
use crate::loopback::clock;
use crate::loopback::config::ConnectionId;

/// State shared by the threads.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) broker: Mutex<Broker>,
    /// Wakes readers that are paused.
    pub(crate) unblocked: Condvar,
    /// Wakes the thread that drops what has expired.
    pub(crate) sweep: Condvar,
    pub(crate) stopping: AtomicBool,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Broker> {
        self.broker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Delivers the messages that were held back while a connection was full.
    pub(crate) fn resume(&self, id: ConnectionId) {
        let mut flushes = Vec::new();
        {
            let mut broker = self.lock();
            broker.now = clock::now();
            broker.resume(id);
            broker.end_batch(&mut flushes);
        }
        flushes.iter().for_each(|out| out.flush());
    }
}

/// Starts a named thread.
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run)
}
