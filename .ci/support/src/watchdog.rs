//! A process that cleans up after the test process.
//!
//! A `sh` in its own process group waits for the end of a pipe whose other end only this process
//! has. When this process drops the watchdog, exits, panics, aborts or is killed with signal 9, the
//! kernel closes the pipe. The watchdog then kills every process with this data folder's mark in
//! its environment (the node, its epmd, and their children) and removes the data folder. Invariant:
//! every marked process is watched from its start, because the watchdog starts first. Not here:
//! orderly shutdown; tests need none.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Name of the environment variable that marks the processes; its value is the data folder.
pub(crate) const MARK: &str = "LEVERET_BROKER_FOLDER";

/// `$1` is the mark as the environment has it, `$2` the folder. A process may fork during the
/// search, so the script searches several times. It removes the folder last, when no process writes
/// to it any more.
const SCRIPT: &str = r#"
trap '' HUP INT TERM QUIT
read -r _ || true
round=0
while [ "$round" -lt 50 ]; do
    round=$((round + 1)); alive=
    for environ in $(grep -lszxF -- "$1" /proc/[0-9]*/environ); do
        pid=${environ#/proc/}; kill -9 "${pid%/environ}" 2>/dev/null && alive=1
    done
    [ -z "$alive" ] && break
    sleep 0.05
done
rm -rf -- "$2"
"#;

/// A running watchdog. Dropping it kills the marked processes and waits until they are gone.
#[derive(Debug)]
pub(crate) struct Watchdog {
    sh: Child,
}

impl Watchdog {
    /// Watches `folder` and every process marked with it.
    pub(crate) fn start(folder: &Path) -> io::Result<Self> {
        let folder = folder.to_str().expect("temporary folders have UTF-8 names");
        let sh = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "watchdog", &format!("{MARK}={folder}"), folder])
            .current_dir("/")
            .env_remove(MARK)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self { sh })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.sh.stdin.take());
        let _ = self.sh.wait();
    }
}
