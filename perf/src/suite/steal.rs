//! Time that the host of a virtual machine takes for others: figures taken meanwhile are doubtful.

use crate::system::processes;

/// Share of CPU time, taken by others of the host, above which figures are doubtful.
const STEAL_MAX: f64 = 0.02;

/// CPU time that the host of this machine took for others.
pub(super) struct Steal(Option<(u64, u64)>);

impl Steal {
    pub(super) fn begin() -> Self {
        Self(processes::stolen())
    }

    /// What to say of it, if it was much.
    pub(super) fn note(&self) -> Option<String> {
        let (begin, end) = (self.0?, processes::stolen()?);
        let share = (end.0 - begin.0) as f64 / (end.1 - begin.1).max(1) as f64;
        (share > STEAL_MAX).then(|| {
            format!(
                "other machines of the same host took {:.0} % of the CPU time meanwhile",
                share * 100.0
            )
        })
    }
}
