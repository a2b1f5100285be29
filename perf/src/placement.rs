//! Where Leveret's shards run and on what: the values of `--cores` and `--backend`.

use std::fmt;
use std::str::FromStr;

/// Shards and their CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    /// So many shards, wherever the kernel puts them.
    Unpinned(usize),
    /// One shard on each of these CPUs.
    Pinned(Vec<usize>),
}

impl FromStr for Cores {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
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

impl From<&Cores> for leveret_engine::Cores {
    fn from(cores: &Cores) -> Self {
        match cores {
            Cores::Unpinned(count) => Self::Unpinned(*count),
            Cores::Pinned(list) => Self::Pinned(list.clone()),
        }
    }
}

/// The reactor's backend, as far as the user minds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum BackendName {
    /// io_uring, or fail.
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
    fn nonsense_is_refused() {
        for text in ["0", "@", "many", "1,,2", "-1"] {
            assert!(text.parse::<Cores>().is_err(), "{text}");
        }
    }
}
