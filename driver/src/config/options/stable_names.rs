//! Options for names of reply and fanout queues that stay the same when a service restarts.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind};

/// The variable that oslo.concurrency reads where `lock_path` is not set.
const LOCK_PATH_VARIABLE: &str = "OSLO_LOCK_PATH";
/// The host name as the kernel has it.
const HOSTNAME_FILE: &str = "/proc/sys/kernel/hostname";

/// oslo's queue manager: reply and fanout queues are named
/// `reply_<hostname>:<processname>:<number>` and `<topic>_fanout_<hostname>:<processname>:<number>`
/// instead of by random digits, so that a service that restarts uses its queues again and the
/// broker need not create and delete any.
///
/// Processes of one process group draw numbers from a counter in `/dev/shm`, which Leveret shares
/// with oslo's processes under a lock file. The numbers start at 1 again when the group has a new
/// leader. Fanout queues are not deleted when their server ends; they expire.
///
/// ```
/// use leveret::{DriverConfig, StableNames};
///
/// let names = StableNames::default()
///     .with_enabled(true)
///     .with_hostname("host1")
///     .with_process_name("nova-compute")
///     .with_lock_path("/var/lib/nova/tmp");
/// let config = DriverConfig::default().with_stable_names(names);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StableNames {
    /// `use_queue_manager`. Default false.
    pub enabled: bool,
    /// `hostname`. Default: the host's name. No slashes; a hundred bytes at most.
    pub hostname: Option<String>,
    /// `processname`. Default: the file name of the program. No slashes; a hundred bytes at most.
    pub process_name: Option<String>,
    /// `lock_path` of group `oslo_concurrency`: the folder of the lock file
    /// `oslo_read_shm_<hostname>_<processname>`, created if it is missing. Default: the environment
    /// variable `OSLO_LOCK_PATH`. All processes of a service must agree. Without either, stable
    /// names are an error.
    pub lock_path: Option<PathBuf>,
}

impl StableNames {
    /// The same options, on or off.
    #[must_use]
    pub const fn with_enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// The same options with this host name.
    #[must_use]
    pub fn with_hostname(mut self, hostname: impl Into<String>) -> Self {
        self.hostname = Some(hostname.into());
        self
    }

    /// The same options with this process name.
    #[must_use]
    pub fn with_process_name(mut self, process_name: impl Into<String>) -> Self {
        self.process_name = Some(process_name.into());
        self
    }

    /// The same options with the lock file in this folder.
    #[must_use]
    pub fn with_lock_path(mut self, lock_path: impl Into<PathBuf>) -> Self {
        self.lock_path = Some(lock_path.into());
        self
    }

    pub(crate) fn hostname(&self) -> io::Result<String> {
        match &self.hostname {
            Some(name) => Ok(name.clone()),
            None => Ok(std::fs::read_to_string(HOSTNAME_FILE)?.trim().to_owned()),
        }
    }

    pub(crate) fn process_name(&self) -> String {
        self.process_name.clone().unwrap_or_else(|| {
            let program = std::env::args_os().next().unwrap_or_default();
            let name = Path::new(&program).file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        })
    }

    /// The folder of the lock file.
    pub(crate) fn lock_folder(&self) -> Result<PathBuf, Error> {
        let set = |path: &PathBuf| !path.as_os_str().is_empty();
        let variable = || std::env::var_os(LOCK_PATH_VARIABLE).map(PathBuf::from);
        self.lock_path.clone().or_else(variable).filter(set).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidOptions,
                format!(
                    "use_queue_manager needs a folder for its lock file: set lock_path, or the \
                     environment variable {LOCK_PATH_VARIABLE}"
                ),
            )
        })
    }

    /// Whether the names may be part of the name of a file and of a queue.
    pub(crate) fn are_valid(&self) -> bool {
        let fits = |name: &String| name.len() <= 100 && !name.contains(['/', '\0']);
        [&self.hostname, &self.process_name].into_iter().flatten().all(fits)
    }
}
