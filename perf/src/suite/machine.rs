//! The machine and the build that the runs ran on.
//!
//! What cannot be read is `None`. Not here: anything that identifies the host.

use std::fs;

use time::OffsetDateTime;

use crate::results::document::Machine;
use crate::system::{clock, processes};

/// Commit of the build, where it was built in a repository.
const COMMIT: Option<&str> = option_env!("LEVERET_COMMIT");
/// Share of CPU time, taken by others of the host, above which figures are doubtful.
const STEAL_MAX: f64 = 0.02;

/// Now, as `2026-11-30T12:00:00Z`.
pub(super) fn date() -> String {
    let now = OffsetDateTime::from_unix_timestamp(clock::wall_seconds() as i64)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = now.to_calendar_date();
    let (hour, minute, second) = now.to_hms();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
}

/// The command line, without passwords.
pub(super) fn command_line() -> String {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let arguments: Vec<String> =
        std::iter::once(program).chain(arguments.map(|argument| shown(&argument))).collect();
    arguments.join(" ")
}

/// An argument as others may see it: quoted where a shell needs it, and without passwords.
fn shown(argument: &str) -> String {
    let mut text = argument.to_owned();
    if let (Some(begin), Some(end)) = (text.find("://"), text.rfind('@')) {
        // All hosts of a URL lie between the two, each with its login.
        if begin + 3 < end {
            text.replace_range(begin + 3..end, "***");
        }
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,%+*".contains(c);
    match text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

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

/// This machine, without a broker.
pub(super) fn describe() -> Machine {
    Machine {
        kernel: line("/proc/sys/kernel/osrelease"),
        cpu: field("/proc/cpuinfo", "model name"),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_mib: field("/proc/meminfo", "MemTotal").and_then(|text| mib(&text)),
        backend: None,
        executor: None,
        busy_poll_us: 0,
        broker: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: COMMIT.map(str::to_owned),
    }
}

fn line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn mib(text: &str) -> Option<u64> {
    let kib: u64 = text.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_kernel_and_a_core() {
        let machine = describe();
        assert!(machine.kernel.is_some());
        assert!(machine.cores >= 1);
    }

    #[test]
    fn no_password_is_shown() {
        let url = "rabbit://me:secret@h1:1,you:p@ss@h2/vhost";
        assert_eq!(shown(url), "rabbit://***@h2/vhost");
        assert_eq!(shown("--url=amqp://me:x@h"), "--url=amqp://***@h");
        assert_eq!(shown("call-1.p99 > 1ms"), "'call-1.p99 > 1ms'");
        assert_eq!(shown("@0,1"), "@0,1");
    }

    #[test]
    fn dates_sort() {
        let date = date();
        assert!(date.len() == 20 && date.as_str() > "2026" && date.ends_with('Z'), "{date}");
    }

    #[test]
    fn memory_is_in_mib() {
        assert_eq!(mib("2048 kB"), Some(2));
        assert_eq!(mib("many"), None);
    }
}
