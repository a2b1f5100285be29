//! The machine and the build that the runs ran on.
//!
//! What cannot be read is `None`. Not here: anything that identifies the host.

use std::fs;

use crate::results::document::Machine;

/// Commit of the build, where it was built in a repository.
const COMMIT: Option<&str> = option_env!("LEVERET_COMMIT");
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
    fn memory_is_in_mib() {
        assert_eq!(mib("2048 kB"), Some(2));
        assert_eq!(mib("many"), None);
    }
}
