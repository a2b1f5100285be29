//! What a subject promises for a message of a workload.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

/// What a subject promises for a message of a workload. `None` where the workload has no such side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Promises {
    /// The broker confirms every publication.
    pub(crate) confirmed: Option<bool>,
    /// Receivers acknowledge every delivery.
    pub(crate) acknowledged: Option<bool>,
    /// The broker returns what no queue takes.
    pub(crate) mandatory: Option<bool>,
    /// The broker is asked to write messages to disk.
    pub(crate) persistent: Option<bool>,
}

/// One letter for each promise that is kept, a dash for one that is not, and nothing for a side
/// that the workload does not have.
impl fmt::Display for Promises {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { confirmed, acknowledged, mandatory, persistent } = *self;
        let all = [(confirmed, 'C'), (acknowledged, 'A'), (mandatory, 'M'), (persistent, 'P')];
        for (is_kept, letter) in all {
            if let Some(is_kept) = is_kept {
                f.write_char(if is_kept { letter } else { '-' })?;
            }
        }
        Ok(())
    }
}
