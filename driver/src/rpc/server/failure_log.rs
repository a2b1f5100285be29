//! How exceptions of methods are logged.

use crate::error::failure::Failure;
use crate::rpc::server::method::RegisteredMethod;

/// How the exception of a request is logged.
pub(super) enum FailureLog<'a> {
    /// The method raises it.
    Raised(&'a RegisteredMethod),
    /// No method serves the request, which its caller foresaw or not.
    Unserved { is_foreseen: bool },
}

impl FailureLog<'_> {
    /// Logs an exception: as an error with its traceback, or for debugging if it was expected.
    pub(super) fn log(&self, failure: &Failure) {
        let traceback = || failure.traceback().concat();
        match self {
            Self::Raised(method) if method.expects(failure) => {
                tracing::debug!(
                    name: "leveret.request.failed_as_expected",
                    method = %method.name, %failure, "an expected exception"
                );
            }
            Self::Raised(method) => tracing::error!(
                name: "leveret.request.failed",
                method = %method.name, %failure, traceback = traceback(),
                "Exception during message handling"
            ),
            Self::Unserved { is_foreseen: true } => tracing::debug!(
                name: "leveret.request.unserved", %failure, "no method serves it"
            ),
            Self::Unserved { is_foreseen: false } => {
                tracing::error!(
                    name: "leveret.request.unserved", %failure, "no method serves a request"
                );
            }
        }
    }
}
#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use leveret_support::EventSubscriber;
    use tracing::{Event, Level};

    use super::*;
    use crate::message::context::Context;
    use crate::rpc::server::endpoint::Endpoint;

    #[test]
    fn what_was_to_be_expected_is_said_quietly() {
        let endpoint = Endpoint::new()
            .method("find", |_: Context, (): ()| Ok::<_, Failure>(()))
            .expecting(["KeyError"]);
        let levels = Arc::<Mutex<Vec<Level>>>::default();
        let kept = Arc::clone(&levels);
        let keep = move |event: &Event<'_>| kept.lock().unwrap().push(*event.metadata().level());
        tracing::subscriber::with_default(EventSubscriber(keep), || {
            let failure_log = FailureLog::Raised(endpoint.find("find").unwrap());
            failure_log.log(&Failure::builtin("KeyError", "k"));
            failure_log.log(&Failure::builtin("ValueError", "v"));
            let missing = Failure::no_such_method("x");
            FailureLog::Unserved { is_foreseen: true }.log(&missing);
            FailureLog::Unserved { is_foreseen: false }.log(&missing);
        });
        let levels = levels.lock().unwrap();
        assert_eq!(*levels, [Level::DEBUG, Level::ERROR, Level::DEBUG, Level::ERROR]);
    }
}
