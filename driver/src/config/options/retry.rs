//! How often a message is published again: oslo's `retry`.

use crate::config::options::dialects::SendingDialect;

/// What happens to a message whose publication was cut off by a lost connection. It governs
/// publishing only: never the wait for a reply, never whether a request is executed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Retry {
    /// It is published again until the broker confirms it or the deadline passes (oslo's `None`
    /// and -1, which know no deadline). The broker may have it twice then; servers drop repeats
    /// they recognise.
    #[default]
    UntilDeadline,
    /// It is published at most once (oslo's 0).
    Never,
    /// It is published at most as many times more, until the deadline passes. Then the error is
    /// `MessageDeliveryFailure` and tells the number of attempts. Waiting for the broker to come
    /// back is no attempt. What a queue refuses (`basic.nack`) is published again after a pause
    /// that grows from 50 ms to 1 s. What the broker refuses for certain is given up: such as a
    /// message that is too large for it (406), or that the user may not write (403).
    Times(u32),
}

impl Retry {
    /// What was chosen, or else what holds for senders in this dialect: `pika` has options for it.
    pub(crate) fn of_sender(
        chosen: Option<Self>,
        sending: SendingDialect,
        of_pika: Option<u32>,
    ) -> Self {
        let default = of_pika.filter(|_| sending == SendingDialect::Pika);
        chosen.unwrap_or_else(|| Self::from(default.map(i64::from)))
    }

    /// Whether the engine is to send it again by itself.
    pub(crate) const fn is_unbounded(self) -> bool {
        matches!(self, Self::UntilDeadline)
    }
}

/// oslo's number: none and negative ones for ever, 0 never.
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
