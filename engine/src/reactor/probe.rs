//! Chooses the backend. Each choice is tested with a real ring and a real operation, because some
//! seccomp filters deny only `io_uring_enter` or `io_uring_register`.

use std::fmt;
use std::io;
use std::str::FromStr;

use crate::reactor::uring;

/// The backend that the user requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendChoice {
    /// io_uring if the kernel and its filters allow it, otherwise epoll with one warning.
    #[default]
    Auto,
    /// io_uring, or an error.
    Uring,
    /// Always epoll.
    Epoll,
}

/// The backend that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendKind {
    /// io_uring, on tokio-uring's runtime.
    Uring,
    /// epoll, through plain tokio.
    Epoll,
}

/// Why io_uring is not available, and how to make it available.
#[derive(Debug)]
pub(crate) struct Unavailable {
    pub(crate) error: io::Error,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use rustix::io::Errno;
        let advice = match self.error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::PERM | Errno::ACCESS) => {
                "refused by kernel.io_uring_disabled or a seccomp profile (the default of \
                 container runtimes); allow io_uring_setup, io_uring_enter and io_uring_register"
            }
            Some(Errno::NOSYS) => "not in this kernel, or hidden by a seccomp profile",
            Some(Errno::NOMEM) => "locked memory is short; raise RLIMIT_MEMLOCK",
            Some(Errno::MFILE | Errno::NFILE) => "no file descriptor is left; raise RLIMIT_NOFILE",
            Some(Errno::INVAL) => "the kernel is older than 5.10",
            _ => "the kernel refused",
        };
        write!(f, "io_uring is not available: {} ({advice})", self.error)
    }
}

impl FromStr for BackendChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "uring" => Ok(Self::Uring),
            "epoll" => Ok(Self::Epoll),
            other => Err(format!("unknown backend {other:?}: use auto, uring or epoll")),
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uring => "uring",
            Self::Epoll => "epoll",
        })
    }
}

/// Chooses a backend and logs the choice in one line.
pub(crate) fn choose(choice: BackendChoice) -> Result<BackendKind, Unavailable> {
    match (choice, available()) {
        (BackendChoice::Epoll, _) => {
            tracing::info!(
                name: "leveret.engine.backend.chosen",
                backend = "epoll", reason = "configured", "backend chosen"
            );
            Ok(BackendKind::Epoll)
        }
        (_, Ok(())) => {
            tracing::info!(
                name: "leveret.engine.backend.chosen",
                backend = "uring", reason = "io_uring works here", "backend chosen"
            );
            Ok(BackendKind::Uring)
        }
        (BackendChoice::Auto, Err(unavailable)) => {
            tracing::warn!(
                name: "leveret.engine.backend.chosen",
                backend = "epoll", reason = %unavailable, "backend chosen"
            );
            Ok(BackendKind::Epoll)
        }
        (BackendChoice::Uring, Err(unavailable)) => Err(unavailable),
    }
}

/// Creates the ring that a shard would use and completes one operation on it.
fn available() -> Result<(), Unavailable> {
    uring::Ring::new().and_then(|ring| ring.probe()).map_err(|error| Unavailable { error })
}
