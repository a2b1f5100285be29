//! Where the user's endpoints run.

use crate::error::{Error, ErrorKind};

/// Where the methods of a server's endpoints run.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Executor {
    /// Threads of the server, as many as the transport's `executor_threads` at most. Methods may
    /// block.
    #[default]
    Threads,
    /// Tasks on a tokio runtime. Plain methods run there too and must not block it.
    Runtime(tokio::runtime::Handle),
    /// On the shard, between two reads of the socket: the shortest way. A method that takes long
    /// holds up every connection of the shard, so plain methods only, and only short ones.
    Inline,
}

impl Executor {
    /// Refuses what cannot run here; `what` are the user's functions, some of them async.
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
