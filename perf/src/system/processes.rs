//! Other processes of this machine: their CPU time, and who listens on a port.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// CPU time of a process so far; `None` if it has ended or is not to be seen.
pub(crate) fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks = ticks_of(&stat)?;
    let per_second = rustix::param::clock_ticks_per_second();
    Some(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

/// User and system ticks of a line of `/proc/<pid>/stat`. The name may hold spaces and brackets.
fn ticks_of(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The process of this machine that listens on a TCP port, if this user may see it.
pub(crate) fn listener(port: u16) -> Option<u32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inode = tables.iter().find_map(|table| inode_of(&fs::read_to_string(table).ok()?, port))?;
    let socket = PathBuf::from(format!("socket:[{inode}]"));
    let entries = fs::read_dir("/proc").ok()?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.into_iter().find(|pid| has_open(*pid, &socket))
}

fn has_open(pid: u32, socket: &PathBuf) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let mut open = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    open.any(|target| target == *socket)
}

/// The inode of the listening socket on `port` in a table like `/proc/net/tcp`.
fn inode_of(table: &str, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    let port = format!(":{port:04X}");
    let line = table.lines().skip(1).find(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let is_local = fields.next().is_some_and(|local| local.ends_with(&port));
        is_local && fields.nth(1) == Some(LISTEN)
    })?;
    line.split_whitespace().nth(9)?.parse().ok()
}

/// CPU time of this machine that its host took for others, and all CPU time, in ticks.
pub(crate) fn stolen() -> Option<(u64, u64)> {
    stolen_of(&fs::read_to_string("/proc/stat").ok()?)
}

fn stolen_of(stat: &str) -> Option<(u64, u64)> {
    const STEAL: usize = 7;
    let line = stat.lines().find(|line| line.starts_with("cpu "))?;
    let ticks: Vec<u64> =
        line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // Guest time is part of user time.
    Some((*ticks.get(STEAL)?, ticks.iter().take(STEAL + 1).sum()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn this_process_is_found_by_a_port_it_listens_on() {
        let socket = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = socket.local_addr().expect("it is bound").port();
        assert_eq!(listener(port), Some(std::process::id()));
        drop(socket);
        assert_eq!(listener(port), None);
    }

    #[test]
    fn cpu_time_of_a_process_grows() {
        assert!(cpu_time(std::process::id()).is_some());
        assert_eq!(cpu_time(u32::MAX), None);
        let line = "7 (a) b) S 1 7 7 0 -1 4 1 0 0 0 30 12 0 0 20 0 1 0 5 1 1";
        assert_eq!(ticks_of(line), Some(42));
    }

    #[test]
    fn stolen_time_is_a_part_of_all() {
        let stat = "cpu  10 0 5 80 1 0 0 4 2 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(stolen_of(stat), Some((4, 100)));
        assert!(stolen().is_some());
    }
}
