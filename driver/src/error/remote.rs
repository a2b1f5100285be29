//! The exception that a remote endpoint raised, as the caller sees it.

use std::fmt;
use std::ops::Deref;

use crate::error::failure::Failure;

/// The exception that a remote endpoint raised, as its server described it. It is data only:
/// Leveret never creates an object of the class it names.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteError {
    failure: Failure,
    is_allowed: bool,
}

impl RemoteError {
    pub(crate) fn new(failure: Failure, is_allowed: bool) -> Self {
        Self { failure, is_allowed }
    }

    /// Returns the exception, to raise it again from an endpoint under its original class.
    pub fn into_failure(self) -> Failure {
        self.failure
    }

    /// Whether its module is one of those whose classes a caller may match by name; see
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

/// Writes oslo's text: type, value, traceback.
impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote error: {} {}", self.class(), self.message())?;
        self.traceback().iter().try_for_each(|line| write!(f, "\n{}", line.trim_end()))
    }
}

impl std::error::Error for RemoteError {}
