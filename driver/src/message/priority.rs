//! The seven priorities of notifications.

use std::fmt;
use std::str::FromStr;

/// The priority of a notification: one of oslo's seven, with oslo's names.
///
/// A priority is part of the queue's name: the queue `notifications.info` holds the notifications
/// of topic `notifications` with [`Priority::Info`].
///
/// ```
/// use leveret::Priority;
///
/// assert_eq!(Priority::Warn.as_str(), "warn");
/// assert_eq!("ERROR".parse(), Ok(Priority::Error));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// A record for audits.
    Audit,
    /// Details for debugging.
    Debug,
    /// A normal event.
    Info,
    /// An unexpected condition (oslo: `warn`, also `warning`).
    Warn,
    /// An operation failed.
    Error,
    /// A service failed.
    Critical,
    /// A sample of a measurement.
    Sample,
}

/// The error of parsing a text that is not the name of a priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a priority is one of audit, debug, info, warn, error, critical, sample")]
pub struct InvalidPriority;

impl Priority {
    /// All priorities, in the order of oslo's documentation.
    pub const ALL: [Self; 7] = [
        Self::Audit,
        Self::Debug,
        Self::Info,
        Self::Warn,
        Self::Error,
        Self::Critical,
        Self::Sample,
    ];

    /// Returns the name in lower case, as in names of queues.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Sample => "sample",
        }
    }

    /// Returns the name in upper case, as in bodies.
    pub(crate) const fn as_upper_str(self) -> &'static str {
        match self {
            Self::Audit => "AUDIT",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
            Self::Sample => "SAMPLE",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Parses a name in any case; `warning` is `warn`.
impl FromStr for Priority {
    type Err = InvalidPriority;

    fn from_str(text: &str) -> Result<Self, InvalidPriority> {
        if text.eq_ignore_ascii_case("warning") {
            return Ok(Self::Warn);
        }
        let mut all = Self::ALL.into_iter();
        all.find(|one| text.eq_ignore_ascii_case(one.as_str())).ok_or(InvalidPriority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_to_their_priority() {
        for priority in Priority::ALL {
            assert_eq!(priority.as_str().parse(), Ok(priority));
            assert_eq!(priority.as_upper_str().parse(), Ok(priority));
        }
        assert_eq!("warning".parse(), Ok(Priority::Warn));
        assert_eq!("fatal".parse::<Priority>(), Err(InvalidPriority));
    }
}
