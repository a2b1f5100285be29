//! The process that cleans up after us.
//!
//! A `sh` in a process group of its own waits for the end of a pipe whose other end only this
//! process holds. When we drop it, exit, panic, abort or are killed with signal 9, the kernel
//! closes the pipe; the watchdog then kills every process that carries our mark in its
//! environment (the node, its epmd, whatever they started) and removes the data folder.
//! Invariant: there is no moment between the start of a marked process and its being watched,
//! because the watchdog is started first. Not here: orderly shutdown; tests need none.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Name of the environment variable that marks our processes; its value is the data folder.
pub(crate) const MARK: &str = "LEVERET_BROKER_FOLDER";

/// `$1` is the mark as it stands in the environment, `$2` the folder. A process may be forking
/// while we look, hence the rounds; the folder goes last, when nobody writes to it any more.
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

/// A running watchdog; dropping it kills what it watches and waits until that is done.
#[derive(Debug)]
pub(crate) struct Watchdog {
    sh: Child,
}

impl Watchdog {
    /// Watches over `folder` and every process marked with it.
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
