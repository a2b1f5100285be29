//! The verdict of an endpoint on a notification.

use std::fmt;

/// The result that an endpoint returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotificationResult {
    /// The notification is handled.
    Handled,
    /// It goes back to its queue, if the listener allows that; otherwise it counts as handled.
    Requeue,
}

/// What an endpoint may return: nothing, a [`NotificationResult`], or a `Result` of either, whose
/// error counts as a failure.
pub trait Answer: private::Sealed {
    #[doc(hidden)]
    fn verdict(self) -> Verdict;
}

/// The verdict of an endpoint.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Handled,
    Requeue,
    Failed(String),
}

mod private {
    pub trait Sealed {}
    impl Sealed for () {}
    impl Sealed for super::NotificationResult {}
    impl<T: super::Answer, E> Sealed for Result<T, E> {}
}

impl Answer for () {
    fn verdict(self) -> Verdict {
        Verdict::Handled
    }
}

impl Answer for NotificationResult {
    fn verdict(self) -> Verdict {
        match self {
            Self::Handled => Verdict::Handled,
            Self::Requeue => Verdict::Requeue,
        }
    }
}

impl<T: Answer, E: fmt::Display> Answer for Result<T, E> {
    fn verdict(self) -> Verdict {
        self.map_or_else(|error| Verdict::Failed(error.to_string()), Answer::verdict)
    }
}
