//! The exception that a remote endpoint raised.

use std::fmt;
use std::ops::Deref;

use crate::error::failure::Failure;

/// The exception that a remote endpoint raised, as its server described it. Data only: nothing is
/// ever made of what it names.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteError {
    failure: Failure,
    is_allowed: bool,
}

impl RemoteError {
    pub(crate) fn new(failure: Failure, is_allowed: bool) -> Self {
        Self { failure, is_allowed }
    }

    /// The exception itself, to raise it again from an endpoint under its original type.
    pub fn into_failure(self) -> Failure {
        self.failure
    }

    /// Whether its module is among those whose classes may be matched by name; see
    /// [`TransportBuilder::allowed_remote_exmods`](crate::TransportBuilder::allowed_remote_exmods).
    pub const fn is_allowed(&self) -> bool {
        self.is_allowed
    }
}

impl Deref for RemoteError {
    type Target = Failure;

    fn deref(&self) -> &Failure {
        &self.failure
    }
}

/// oslo's text: type, value, traceback.
impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote error: {} {}", self.class(), self.message())?;
        self.traceback().iter().try_for_each(|line| write!(f, "\n{}", line.trim_end()))
    }
}

impl std::error::Error for RemoteError {}
