//! Runs a program on the chosen backend: on a runtime of its own, or on one that already runs.

use std::future::Future;
use std::io;

use crate::reactor::epoll::Epoll;
use crate::reactor::probe::BackendKind;
use crate::reactor::{Reactor, uring};

/// A program that can run on either backend.
pub(crate) trait Program {
    type Output;

    fn run(self, reactor: impl Reactor) -> impl Future<Output = Self::Output>;
}

/// Creates the runtime on this thread, calls `ready`, and runs `program` to its end.
pub(crate) fn block_on<P: Program>(
    kind: BackendKind,
    ready: impl FnOnce(),
    program: P,
) -> io::Result<P::Output> {
    match kind {
        BackendKind::Uring => {
            let runtime = uring::Runtime::new()?;
            ready();
            runtime.block_on(|reactor| program.run(reactor))
        }
        BackendKind::Epoll => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            ready();
            let tasks = tokio::task::LocalSet::new();
            Ok(tasks.block_on(&runtime, program.run(Epoll::default())))
        }
    }
}

/// Runs `program` to its end on the current runtime, beside its other tasks.
pub(crate) async fn run_attached<P: Program>(
    kind: BackendKind,
    program: P,
) -> io::Result<P::Output> {
    match kind {
        BackendKind::Uring => uring::run_attached(|reactor| program.run(reactor)).await,
        BackendKind::Epoll => {
            let tasks = tokio::task::LocalSet::new();
            Ok(tasks.run_until(program.run(Epoll::default())).await)
        }
    }
}
