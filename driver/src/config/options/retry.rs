//! How often a message is published again: oslo's `retry`.
//!
//! Not here: counting the attempts (`crate::retry`).

use crate::config::options::dialects::SendingDialect;

/// How often a message is published again when a lost connection interrupts its publication. It
/// applies to publishing only, not to the wait for a reply or the execution of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Retry {
    /// The message is published again until the broker confirms it or the deadline passes (oslo's
    /// `None` and -1, which have no deadline). The broker may then have it twice; servers drop
    /// duplicates that they recognise.
    #[default]
    UntilDeadline,
    /// The message is published at most once (oslo's 0).
    Never,
    /// The message is published at most this many times more, until the deadline passes. The error
    /// is then `MessageDeliveryFailure` with the number of attempts. Waiting for a connection is no
    /// attempt. A message that a queue refuses (`basic.nack`) is published again after a pause that
    /// grows from 50 ms to 1 s. A permanent refusal is not retried: of a message that is too large
    /// for the broker (406), or that the user may not write (403).
    Times(u32),
}

impl Retry {
    /// The retry that the client or notifier has, or else the default of its dialect: `pika` has an
    /// option for it.
    pub(crate) fn of_sender(
        chosen: Option<Self>,
        sending: SendingDialect,
        of_pika: Option<u32>,
    ) -> Self {
        let default = of_pika.filter(|_| sending == SendingDialect::Pika);
        chosen.unwrap_or_else(|| Self::from(default.map(i64::from)))
    }

    /// Whether the engine sends the message again by itself.
    pub(crate) const fn is_unbounded(self) -> bool {
        matches!(self, Self::UntilDeadline)
    }
}

/// Converts oslo's number: none and negative ones for no limit, 0 for never.
///
/// ```
/// use leveret::Retry;
///
/// assert_eq!(Retry::from(Some(-1)), Retry::UntilDeadline);
/// assert_eq!(Retry::from(Some(3)), Retry::Times(3));
/// ```
impl From<Option<i64>> for Retry {
    fn from(retry: Option<i64>) -> Self {
        match retry {
            None | Some(i64::MIN..=-1) => Self::UntilDeadline,
            Some(0) => Self::Never,
            Some(times) => Self::Times(u32::try_from(times).unwrap_or(u32::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oslos_numbers_are_understood() {
        assert_eq!(Retry::from(None), Retry::UntilDeadline);
        assert_eq!(Retry::from(Some(0)), Retry::Never);
        assert_eq!(Retry::from(Some(i64::MAX)), Retry::Times(u32::MAX));
    }
}
