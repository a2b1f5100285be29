//! The shards of an engine and their threads.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::reactor::BackendKind;
use crate::shard::run::{Command, ShardHandle};

/// Shared by every clone of an engine and every connection that has handles. Dropping the last
/// reference stops the shards.
pub(crate) struct Shards {
    pub(crate) shards: Vec<ShardHandle>,
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
    /// Each running shard holds a receiver.
    pub(crate) alive: watch::Sender<()>,
    pub(crate) backend: BackendKind,
    pub(crate) next: AtomicUsize,
}

impl Shards {
    pub(crate) fn request_stop(&self) {
        for shard in &self.shards {
            // The mailbox is full or closed only if the shard is already dead.
            let _ = shard.commands.try_send(Command::Stop);
        }
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        self.request_stop();
    }
}
