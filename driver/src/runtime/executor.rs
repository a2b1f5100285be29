//! Where the user's endpoints run.

use crate::error::{Error, ErrorKind};

/// Chooses where a server or listener runs the methods of its endpoints.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Executor {
    /// Threads of the server, at most `executor_threads` of them (64 unless set). Methods may
    /// block.
    #[default]
    Threads,
    /// Tasks on a tokio runtime. Plain methods run there too and must not block it.
    Runtime(tokio::runtime::Handle),
    /// The shard's own thread, between two reads of the socket: the lowest latency. A slow method
    /// delays every connection of the shard, so use it for short methods only. Async methods are
    /// refused with [`ErrorKind::ExecutorLoadFailure`].
    Inline,
    /// The shard's own thread as well, for async methods: one that waits continues as a task there.
    /// For services that [give their threads to shards](leveret_engine::Shard::run), where a method
    /// may call others, wait for timers and sockets of tokio, and spawn local tasks. No method may
    /// block. Any number of methods wait at a time.
    Local,
}

impl Executor {
    /// Checks that this executor can run the user's functions. `what` names them in the error;
    /// `any_async` tells whether one of them is async.
    pub(crate) fn check(&self, what: &str, any_async: bool) -> Result<(), Error> {
        if any_async && matches!(self, Self::Inline) {
            let text = format!(
                "async {what} need threads or a runtime; the inline executor runs plain ones only"
            );
            return Err(Error::new(ErrorKind::ExecutorLoadFailure, text));
        }
        Ok(())
    }
}
