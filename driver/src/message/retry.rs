//! How often a message is published again after a failed attempt: oslo's `retry`.

/// Decides how often a message is published again when a lost connection interrupted its
/// publication. It affects publishing only: neither the wait for a reply nor whether a server
/// executes a request again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Retry {
    /// Publishes the message again until the broker confirms it or the deadline passes (oslo's
    /// `None` and -1, which have no deadline). The broker may get it twice; servers drop the
    /// repeats that they recognise.
    #[default]
    UntilDeadline,
    /// Publishes the message at most once (oslo's 0).
    Never,
    /// Publishes the message at most this many times more, until the deadline passes. After the
    /// last attempt the error is `MessageDeliveryFailure`, with the number of attempts in its text.
    /// Waiting for a reconnect is not an attempt. A message that a queue refuses (`basic.nack`) is
    /// published again after a delay that grows from 50 ms to 1 s. A message that the broker
    /// refuses for good fails at once: one that is too large (406), or that the user may not write
    /// (403).
    Times(u32),
}

impl Retry {
    /// Whether the engine itself sends the message again.
    pub(crate) const fn is_unbounded(self) -> bool {
        matches!(self, Self::UntilDeadline)
    }
}

/// Converts oslo's number: `None` and negative numbers retry until the deadline, 0 never.
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
    fn numbers_convert_as_in_oslo() {
        assert_eq!(Retry::from(None), Retry::UntilDeadline);
        assert_eq!(Retry::from(Some(0)), Retry::Never);
        assert_eq!(Retry::from(Some(i64::MAX)), Retry::Times(u32::MAX));
    }
}
