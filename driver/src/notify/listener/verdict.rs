//! What an endpoint says of a notification.

use std::fmt;

/// What became of a notification, as an endpoint sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotificationResult {
    /// It is done with.
    Handled,
    /// It goes back to its queue, if the listener allows that; else it counts as handled.
    Requeue,
}

/// What an endpoint may return: nothing, a [`NotificationResult`], or a `Result` of either, whose
/// error counts as a failure.
pub trait Answer: private::Sealed {
    #[doc(hidden)]
    fn verdict(self) -> Verdict;
}

/// What an endpoint came to.
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
