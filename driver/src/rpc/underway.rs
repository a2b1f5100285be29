//! A call or cast as those see it who observe: a span, and a report to a collector if there is one.

use tracing::Span;

use crate::error::Error;
use crate::observe::report::Reported;
use crate::observe::spans;

/// One under way; dropped before its end, it has none.
pub(super) struct Underway<'a> {
    span: Span,
    reported: Option<Reported<'a>>,
}

impl<'a> Underway<'a> {
    pub(super) fn new(span: Span, reported: Option<Reported<'a>>) -> Self {
        Self { span, reported }
    }

    /// What it is to run in.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Notes how it ended.
    pub(super) fn ended<T>(self, result: &Result<T, Error>) {
        spans::ended(&self.span, result);
        if let Some(reported) = self.reported {
            reported.ended(result);
        }
    }
}
