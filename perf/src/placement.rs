//! Where Leveret's shards and servers run and on what: the values of `--cores`, `--backend` and
//! `--executor`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::ValueEnum;
use leveret_engine::EngineConfig;

/// Shards and their CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    /// This number of shards, on any CPU.
    Unpinned(usize),
    /// One shard on each of these CPUs.
    Pinned(Vec<usize>),
}

impl FromStr for Cores {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is neither a count, as 2, nor a list of CPUs, as @0,1");
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
        match text.strip_prefix('@') {
            Some(list) => Ok(Self::Pinned(list.split(',').map(number).collect::<Result<_, _>>()?)),
            None if text.contains(',') => {
                Ok(Self::Pinned(text.split(',').map(number).collect::<Result<_, _>>()?))
            }
            None => match number(text)? {
                0 => Err("at least one shard is needed".to_owned()),
                count => Ok(Self::Unpinned(count)),
            },
        }
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpinned(count) => write!(f, "{count}"),
            Self::Pinned(list) => {
                let list: Vec<String> = list.iter().map(usize::to_string).collect();
                write!(f, "@{}", list.join(","))
            }
        }
    }
}

impl From<&Cores> for leveret_engine::Cores {
    fn from(cores: &Cores) -> Self {
        match cores {
            Cores::Unpinned(count) => Self::Unpinned(*count),
            Cores::Pinned(list) => Self::Pinned(list.clone()),
        }
    }
}

/// The reactor's backend, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum BackendName {
    /// io_uring; an error where the kernel denies it.
    Uring,
    /// epoll.
    Epoll,
    /// io_uring where the kernel allows it.
    Auto,
}

impl From<BackendName> for leveret_engine::BackendChoice {
    fn from(name: BackendName) -> Self {
        match name {
            BackendName::Uring => Self::Uring,
            BackendName::Epoll => Self::Epoll,
            BackendName::Auto => Self::Auto,
        }
    }
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uring => "uring",
            Self::Epoll => "epoll",
            Self::Auto => "auto",
        })
    }
}

/// Where the methods of Leveret's servers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ExecutorName {
    /// Worker threads of the server, the driver's default.
    Threads,
    /// The shard itself, between two reads.
    Inline,
    /// The shard itself, as tasks.
    Local,
}

impl From<ExecutorName> for leveret::Executor {
    fn from(name: ExecutorName) -> Self {
        match name {
            ExecutorName::Threads => Self::Threads,
            ExecutorName::Inline => Self::Inline,
            ExecutorName::Local => Self::Local,
        }
    }
}

impl fmt::Display for ExecutorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Threads => "threads",
            Self::Inline => "inline",
            Self::Local => "local",
        })
    }
}

/// How Leveret's servers run, in the processes the suite starts for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerOptions {
    pub(crate) backend: BackendName,
    pub(crate) executor: ExecutorName,
    /// Microseconds that a shard polls before it sleeps.
    pub(crate) busy_poll: u64,
}

impl ServerOptions {
    /// The engine's configuration, apart from its cores.
    pub(crate) fn engine(self) -> EngineConfig {
        EngineConfig::default()
            .with_backend(self.backend.into())
            .with_busy_poll(Duration::from_micros(self.busy_poll))
    }
}

/// How and where Leveret runs, in the processes that are started for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placement {
    pub(crate) options: ServerOptions,
    pub(crate) cores: Cores,
    /// Clients and servers run on the threads of their shards.
    pub(crate) hosted: bool,
    /// Connections are encrypted.
    pub(crate) tls: bool,
    /// Share of their time that clients waste, to see whether a machine can tell.
    pub(crate) slowdown: f64,
}

impl Default for Placement {
    fn default() -> Self {
        let (backend, executor) = (BackendName::Auto, ExecutorName::Threads);
        let options = ServerOptions { backend, executor, busy_poll: 0 };
        Self { options, cores: Cores::Unpinned(1), hosted: false, tls: false, slowdown: 0.0 }
    }
}

impl Placement {
    /// Takes over an option of this tool. Returns false if it has no such option.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<bool> {
        let wrong = |error: String| anyhow!("{name}={value}: {error}");
        match name {
            "backend" => {
                self.options.backend = BackendName::from_str(value, false).map_err(wrong)?;
            }
            "executor" => {
                self.options.executor = ExecutorName::from_str(value, false).map_err(wrong)?;
            }
            "cores" => self.cores = value.parse().map_err(wrong)?,
            "busy_poll" => {
                self.options.busy_poll = value.parse().map_err(|_| wrong("no number".into()))?;
            }
            "hosted" => {
                self.hosted = value.parse().map_err(|_| wrong("true or false".into()))?;
            }
            "tls" => self.tls = value.parse().map_err(|_| wrong("true or false".into()))?,
            "slowdown" => {
                let percent: f64 = value.parse().map_err(|_| wrong("no number".into()))?;
                self.slowdown = percent / 100.0;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The engine's configuration.
    pub(crate) fn engine(&self) -> EngineConfig {
        self.options.engine().with_cores((&self.cores).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_unpinned_and_a_list_is_pinned() {
        assert_eq!("2".parse(), Ok(Cores::Unpinned(2)));
        assert_eq!("@1".parse(), Ok(Cores::Pinned(vec![1])));
        assert_eq!("0, 3".parse(), Ok(Cores::Pinned(vec![0, 3])));
    }

    #[test]
    fn a_child_reads_the_names_its_parent_writes() {
        for name in ExecutorName::value_variants() {
            assert_eq!(ExecutorName::from_str(&name.to_string(), false), Ok(*name));
        }
        for name in BackendName::value_variants() {
            assert_eq!(BackendName::from_str(&name.to_string(), false), Ok(*name));
        }
    }

    #[test]
    fn options_of_the_tool_are_taken_and_others_are_left() {
        let mut placement = Placement::default();
        for (name, value) in [
            ("backend", "epoll"),
            ("executor", "inline"),
            ("cores", "@0,1"),
            ("hosted", "true"),
            ("tls", "true"),
            ("slowdown", "5"),
        ] {
            assert!(placement.set(name, value).expect("a good value"), "{name}");
            assert!(placement.set(name, "?").is_err(), "{name}");
        }
        assert!(!placement.set("dialect_serving", "pika").expect("an option of the driver"));
        assert_eq!(placement.cores.to_string(), "@0,1");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["0", "@", "many", "1,,2", "-1"] {
            assert!(text.parse::<Cores>().is_err(), "{text}");
        }
    }
}
