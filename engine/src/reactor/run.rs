//! Runs a program on the chosen backend: on a runtime of its own, or on one that already runs.

use std::future::Future;
use std::io;

use crate::reactor::epoll::Epoll;
use crate::reactor::probe::BackendKind;
use crate::reactor::{Reactor, uring};

/// A program that can run on either backend.
pub(crate) trait Program {
    fn run(self, reactor: impl Reactor) -> impl Future<Output = ()>;
}

/// Creates the runtime on this thread and runs `program` to its end.
pub(crate) fn block_on(
    kind: BackendKind,
    ready: impl FnOnce(io::Result<()>),
    program: impl Program,
) {
    match kind {
        BackendKind::Uring => match uring::Runtime::new() {
            Ok(runtime) => {
                ready(Ok(()));
                if let Err(error) = runtime.block_on(|reactor| program.run(reactor)) {
                    tracing::error!(
                        name: "leveret.engine.ring.unwatched",
                        %error, "the shard cannot watch its ring"
                    );
                }
            }
            Err(error) => ready(Err(error)),
        },
        BackendKind::Epoll => {
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => {
                    ready(Ok(()));
                    tokio::task::LocalSet::new().block_on(&runtime, program.run(Epoll::default()));
                }
                Err(error) => ready(Err(error)),
            }
        }
    }
}

/// Runs `program` to its end on the current runtime, beside its other tasks.
pub(crate) async fn run_attached(kind: BackendKind, program: impl Program) -> io::Result<()> {
    match kind {
        BackendKind::Uring => uring::run_attached(|reactor| program.run(reactor)).await,
        BackendKind::Epoll => {
            let tasks = tokio::task::LocalSet::new();
            tasks.run_until(program.run(Epoll::default())).await;
            Ok(())
        }
    }
}
