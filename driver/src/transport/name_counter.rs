//! The counter that the processes of one service share, Python's among them.
//!
//! It is a file in shared memory, `<process group>:<counter>:<start time of its leader>`, changed
//! under a lock file where `oslo_concurrency` has it. A service that was restarted has another
//! process group, or one with another start time, and counts from one again. Invariant: two
//! processes of a service never draw the same number.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, TryLockError};

use rustix::fs::{FlockOperation, fcntl_lock};

use crate::config::options::stable_names::StableNames;
use crate::error::{Error, ErrorKind};

/// Where Python's driver keeps the counter.
const SHARED_MEMORY: &str = "/dev/shm";
/// More than three decimal numbers need.
const TEXT_BYTES_MAX: u64 = 256;

/// Record locks belong to a process, so this mutex excludes the threads of one; it guards no state.
static TURN: Mutex<()> = Mutex::new(());

/// The counter of one service on one host.
#[derive(Debug)]
pub(crate) struct Counter {
    hostname: String,
    process: String,
    count_file: PathBuf,
    lock_file: PathBuf,
}

/// One run of a service: the counter starts at one when this changes.
#[derive(Debug, PartialEq, Eq)]
struct Generation {
    group: u32,
    start_jiffies: u64,
}

impl Counter {
    /// The counter that these options ask for, if they do.
    pub(crate) fn of(options: &StableNames) -> Result<Option<Self>, Error> {
        if !options.enabled {
            return Ok(None);
        }
        let hostname = options.hostname().map_err(|error| failed("the host's name", &error))?;
        let process = options.process_name();
        let folder = options.lock_folder()?;
        let shared_memory = Path::new(SHARED_MEMORY);
        Ok(Some(Self::in_folders(hostname, process, shared_memory, &folder)))
    }

    fn in_folders(hostname: String, process: String, memory: &Path, locks: &Path) -> Self {
        let count_file = memory.join(format!("{hostname}_{process}_qmanager"));
        let lock_file = locks.join(format!("oslo_read_shm_{hostname}_{process}"));
        Self { hostname, process, count_file, lock_file }
    }

    /// The part of a queue's name for a count.
    pub(crate) fn name(&self, count: u64) -> String {
        format!("{}:{}:{count}", self.hostname, self.process)
    }

    /// The next number; `None` while another process draws one.
    pub(crate) fn draw(&self) -> Result<Option<u64>, Error> {
        self.try_draw().map_err(|error| failed(&self.to_string(), &error))
    }

    fn try_draw(&self) -> io::Result<Option<u64>> {
        let _turn = match TURN.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        if let Some(folder) = self.lock_file.parent() {
            fs::create_dir_all(folder)?;
        }
        let lock = OpenOptions::new().append(true).create(true).open(&self.lock_file)?;
        // Closing the file releases the lock on every path.
        match fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock) => return Ok(None),
            Err(error) if error == rustix::io::Errno::ACCESS => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let now = Generation::now()?;
        let count = match self.read()? {
            Some((generation, count)) if generation == now => count.saturating_add(1),
            _ => 1,
        };
        let Generation { group, start_jiffies } = now;
        fs::write(&self.count_file, format!("{group}:{count}:{start_jiffies}"))?;
        Ok(Some(count))
    }

    /// The content of the file; `None` if it is missing or no counter.
    fn read(&self) -> io::Result<Option<(Generation, u64)>> {
        let file = match File::open(&self.count_file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut text = Vec::new();
        file.take(TEXT_BYTES_MAX).read_to_end(&mut text)?;
        Ok(parse(&String::from_utf8_lossy(&text)))
    }
}

fn parse(text: &str) -> Option<(Generation, u64)> {
    let mut parts = text.lines().next()?.split(':').map(str::trim);
    let group = parts.next()?.parse().ok()?;
    let count = parts.next()?.parse().ok()?;
    let start_jiffies = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some((Generation { group, start_jiffies }, count))
}

impl Generation {
    fn now() -> io::Result<Self> {
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "/proc has an unknown form");
        let own = fs::read_to_string("/proc/self/stat")?;
        // After the program's name, which may contain any character: state, parent, group.
        let (_, rest) = own.rsplit_once(')').ok_or_else(broken)?;
        let group = rest.split_whitespace().nth(2).and_then(|group| group.parse().ok());
        let group: u32 = group.ok_or_else(broken)?;
        // As oslo: a process without a group of its own (some containers) stands for itself.
        let leader = if group == 0 { std::process::id() } else { group };
        let stat = fs::read_to_string(format!("/proc/{leader}/stat"))?;
        // As oslo, which splits at spaces without regard to the name: all must see the same.
        let start = stat.split_whitespace().nth(21).and_then(|start| start.parse().ok());
        Ok(Self { group, start_jiffies: start.ok_or_else(broken)? })
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, lock) = (self.count_file.display(), self.lock_file.display());
        write!(f, "the counter of queue names ({count}, locked by {lock})")
    }
}

fn failed(what: &str, error: &io::Error) -> Error {
    Error::new(ErrorKind::TransportDriverError, format!("{what} cannot be had: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A counter in folders of its own, which are removed on drop.
    struct Scene(Counter, PathBuf);

    impl Scene {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir();
            let folder = folder.join(format!("leveret-counter-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            let (host, process) = ("host".to_owned(), "process".to_owned());
            Self(Counter::in_folders(host, process, &folder, &folder.join("locks")), folder)
        }

        fn draw(&self) -> u64 {
            loop {
                if let Some(count) = self.0.draw().unwrap() {
                    return count;
                }
                std::thread::yield_now();
            }
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.1);
        }
    }

    #[test]
    fn numbers_are_drawn_in_turn_and_anew_after_a_restart() {
        let scene = Scene::new("turn");
        assert_eq!((scene.draw(), scene.draw()), (1, 2));
        let text = fs::read_to_string(&scene.0.count_file).unwrap();
        let (generation, count) = parse(&text).unwrap();
        assert_eq!((generation, count), (Generation::now().unwrap(), 2));
        assert_eq!(scene.0.name(2), "host:process:2");
        for other in ["1:7:1", "garbage", "", "1:2", "-1:x:3", "1:2:3:4"] {
            fs::write(&scene.0.count_file, other).unwrap();
            assert_eq!(scene.draw(), 1, "{other:?} is another life");
        }
    }

    #[test]
    fn threads_never_draw_the_same_number() {
        let scene = Scene::new("threads");
        let mut all: Vec<u64> = std::thread::scope(|scope| {
            let drawing = || (0..25).map(|_| scene.draw()).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(drawing)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        all.sort_unstable();
        assert!(all.iter().copied().eq(1..=100), "{all:?}");
    }
}
