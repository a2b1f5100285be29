//! The shards of an engine, with their threads. The last holder stops them.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::reactor::BackendKind;
use crate::shard::run::{Command, ShardHandle};

/// What every clone of an engine and every connection with handles holds.
pub(crate) struct Shards {
    pub(crate) shards: Vec<ShardHandle>,
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
    /// Each shard that runs holds a receiver.
    pub(crate) alive: watch::Sender<()>,
    pub(crate) backend: BackendKind,
    pub(crate) next: AtomicUsize,
}

impl Shards {
    pub(crate) fn tell_stop(&self) {
        for shard in &self.shards {
            // A full or closed mailbox belongs to a shard that is already dead.
            let _ = shard.commands.try_send(Command::Stop);
        }
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        self.tell_stop();
    }
}
