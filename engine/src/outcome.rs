//! What became of a publication.

use crate::{Error, Returned};

/// The end of a publication, as surely as it can be known.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The broker has taken responsibility (publisher confirm).
    Confirmed,
    /// Handed to the connection; the channel has no confirms, so nothing more will be known.
    Sent,
    /// Mandatory, and no queue was bound for it.
    Returned(Box<Returned>),
    /// The broker refused responsibility (`basic.nack`): a queue overflowed or failed.
    Nacked,
    /// No byte of it left this process.
    NotSent(Error),
    /// It may have reached the broker, or not: the connection or channel ended before the confirm,
    /// or the deadline came first.
    MaybeSent(Error),
}

impl Outcome {
    /// True when the broker has it (or, without confirms, when the connection has).
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Confirmed | Self::Sent)
    }
}
