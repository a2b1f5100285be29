//! A call or cast as those see it who observe: a span, and a report to a collector if there is one.
//!
//! Mostly nobody observes, which costs two loads. Invariant: what is sent is the same either way.

use tracing::Span;
use tracing::span::Entered;

use crate::error::Error;
use crate::observe::report::Reported;
use crate::observe::spans;
use crate::rpc::client::client::RpcClient;

/// One under way; dropped before its end, it has none.
pub(crate) struct CallObserver<'a>(Option<Box<Observed<'a>>>);

/// What its observers have of it; apart, because what is in a future is moved with it.
struct Observed<'a> {
    span: Span,
    reported: Option<Reported<'a>>,
}

impl<'a> CallObserver<'a> {
    /// A `call` or `cast` that begins now, in the span that `span` opens.
    #[inline]
    pub(crate) fn begin(
        client: &'a RpcClient,
        call_type: &'a str,
        method: &'a str,
        span: impl FnOnce() -> Span,
    ) -> Self {
        if !spans::may_be_wanted() && !client.is_reported() {
            return Self(None);
        }
        Self::observed(span(), client.reported(call_type, method))
    }

    #[cold]
    fn observed(span: Span, reported: Option<Reported<'a>>) -> Self {
        let is_observed = !span.is_disabled() || reported.is_some();
        Self(is_observed.then(|| Box::new(Observed { span, reported })))
    }

    /// What it is to run in.
    pub(crate) fn span(&self) -> Option<&Span> {
        self.0.as_ref().map(|observed| &observed.span)
    }

    /// Runs in its span until what comes back is dropped.
    pub(crate) fn enter(&self) -> Option<Entered<'_>> {
        self.span().map(Span::enter)
    }

    /// Notes how it ended.
    pub(crate) fn ended<T>(self, result: &Result<T, Error>) {
        if let Some(observed) = self.0 {
            observed.ended(result);
        }
    }
}

impl Observed<'_> {
    #[cold]
    fn ended<T>(self: Box<Self>, result: &Result<T, Error>) {
        spans::ended(&self.span, result);
        if let Some(reported) = self.reported {
            reported.ended(result);
        }
    }
}
