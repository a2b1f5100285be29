//! Observes a call or a cast: a span, and a report to a collector if there is one.
//!
//! Without an observer it costs two loads. Invariant: the message is the same with and without one.

use tracing::Span;
use tracing::span::Entered;

use crate::error::Error;
use crate::observe::report::InvocationReport;
use crate::observe::spans;
use crate::rpc::client::client::RpcClient;

/// Observes one call or cast. Dropped before its end, it reports none.
pub(crate) struct CallObserver<'a>(Option<Box<Observed<'a>>>);

/// Boxed, because a future is moved with what it holds.
struct Observed<'a> {
    span: Span,
    reported: Option<InvocationReport<'a>>,
}

impl<'a> CallObserver<'a> {
    /// Starts to observe a `call` or `cast`, in the span that `span` opens.
    #[inline]
    pub(crate) fn begin(
        client: &'a RpcClient,
        call_type: &'a str,
        method: &'a str,
        span: impl FnOnce() -> Span,
    ) -> Self {
        if !spans::is_enabled() && !client.is_reported() {
            return Self(None);
        }
        Self::observed(span(), client.reported(call_type, method))
    }

    #[cold]
    fn observed(span: Span, reported: Option<InvocationReport<'a>>) -> Self {
        let is_observed = !span.is_disabled() || reported.is_some();
        Self(is_observed.then(|| Box::new(Observed { span, reported })))
    }

    /// The span of the call or cast.
    pub(crate) fn span(&self) -> Option<&Span> {
        self.0.as_ref().map(|observed| &observed.span)
    }

    /// Enters its span until the result is dropped.
    pub(crate) fn enter(&self) -> Option<Entered<'_>> {
        self.span().map(Span::enter)
    }

    /// Records its result.
    pub(crate) fn ended<T>(self, result: &Result<T, Error>) {
        if let Some(observed) = self.0 {
            observed.ended(result);
        }
    }
}

impl Observed<'_> {
    #[cold]
    fn ended<T>(self: Box<Self>, result: &Result<T, Error>) {
        spans::record_result(&self.span, result);
        if let Some(reported) = self.reported {
            reported.finish(result);
        }
    }
}
