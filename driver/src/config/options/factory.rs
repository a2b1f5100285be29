//! How many connections a transport opens, and what shares them.
//!
//! Names and bounds only. Not here: which connection does what (`broker`).

use std::fmt;

/// Maximum size of a pool: each connection costs the broker memory and file descriptors.
pub(crate) const POOL_MAX: u16 = 256;

/// How the work of a transport is spread over connections (`connection_factory`). The first three
/// names are those of oslo's old `pika` driver, whose default is `single`.
///
/// Few connections save resources of a broker with many thousands of clients, but users of one
/// connection share its loss, its full socket, and the back-pressure of a broker short of memory or
/// disk, which stops reading from connections that publish. With every factory, the messages of one
/// client stay on one connection and so in order, except that buffered casts have their own with
/// `new`; every server and listener has its own channel and prefetch; and closing one of them does
/// not affect the others.
/// [The guide](crate::guide::configuration#connections) compares them.
///
/// ```
/// use leveret::{ConnectionFactory, DriverConfig};
///
/// let config = DriverConfig::default().with_connection_factory(ConnectionFactory::ReadWrite);
/// assert_eq!(ConnectionFactory::Pool(4).to_string(), "pool:4");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ConnectionFactory {
    /// `single`: one connection for everything. While the broker blocks publishers it reads no
    /// acknowledgements of servers either.
    Single,
    /// `read_write`: one connection to publish, one to consume. Servers go on and replies arrive
    /// while the broker blocks publishers.
    ReadWrite,
    /// `new`: one connection for requests, one for buffered casts, one for notifications, one for
    /// received replies, one for sent replies, and one per server and listener: none waits for
    /// another. Default.
    #[default]
    New,
    /// `pool:<n>`: a pool of `n` connections to publish on, 1 to 256, assigned to clients,
    /// notifiers and servers in turn; consumers as with `new`.
    Pool(u16),
    /// `per_shard`: a connection to publish on for each shard of the engine, assigned likewise;
    /// consumers as with `new`, on each shard in turn.
    PerShard,
}

impl ConnectionFactory {
    /// The factory with this name in oslo.
    pub(crate) fn from_oslo_name(word: &str) -> Option<Self> {
        match word {
            "single" => Some(Self::Single),
            "read_write" => Some(Self::ReadWrite),
            "new" => Some(Self::New),
            _ => None,
        }
    }

    /// The factory with this name.
    pub(crate) fn from_name(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "per_shard" => Some(Self::PerShard),
            None => Self::from_oslo_name(text),
            Some(("pool", count)) => {
                count.trim().parse().ok().map(Self::Pool).filter(Self::is_valid)
            }
            Some(_) => None,
        }
    }

    /// Whether the size of the pool is within bounds.
    pub(crate) fn is_valid(&self) -> bool {
        !matches!(self, Self::Pool(count) if !(1..=POOL_MAX).contains(count))
    }
}

impl fmt::Display for ConnectionFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single => f.write_str("single"),
            Self::ReadWrite => f.write_str("read_write"),
            Self::New => f.write_str("new"),
            Self::Pool(count) => write!(f, "pool:{count}"),
            Self::PerShard => f.write_str("per_shard"),
        }
    }
}
