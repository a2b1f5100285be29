//! The seven priorities of notifications.

use std::fmt;
use std::str::FromStr;

/// How much a notification matters; oslo's seven, named as there.
///
/// A priority is part of the queue's name: `notifications.info` holds what was sent to topic
/// `notifications` with [`Priority::Info`].
///
/// ```
/// use leveret::Priority;
///
/// assert_eq!(Priority::Warn.as_str(), "warn");
/// assert_eq!("ERROR".parse(), Ok(Priority::Error));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// For the record.
    Audit,
    /// For those who look for faults.
    Debug,
    /// For everybody.
    Info,
    /// Something is not as it should be (oslo: `warn`, also `warning`).
    Warn,
    /// Something failed.
    Error,
    /// Everything failed.
    Critical,
    /// One measurement of many.
    Sample,
}

/// The text names no priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a priority is one of audit, debug, info, warn, error, critical, sample")]
pub struct InvalidPriority;

impl Priority {
    /// All of them, in the order of oslo's documentation.
    pub const ALL: [Self; 7] = [
        Self::Audit,
        Self::Debug,
        Self::Info,
        Self::Warn,
        Self::Error,
        Self::Critical,
        Self::Sample,
    ];

    /// Its name in lower case, as queues are named.
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

    /// Its name in upper case, as bodies carry it.
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

/// In any case; `warning` is `warn`.
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
    fn names_lead_back() {
        for priority in Priority::ALL {
            assert_eq!(priority.as_str().parse(), Ok(priority));
            assert_eq!(priority.as_upper_str().parse(), Ok(priority));
        }
        assert_eq!("warning".parse(), Ok(Priority::Warn));
        assert_eq!("fatal".parse::<Priority>(), Err(InvalidPriority));
    }
}
