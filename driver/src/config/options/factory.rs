//! How many connections a transport opens, and what shares them.
//!
//! Names and bounds only. Not here: which connection does what (`broker`).

use std::fmt;

/// Most connections of a pool: a broker pays for each with memory and descriptors.
pub(crate) const POOL_MAX: u16 = 256;

/// How the work of a transport is spread over connections (`connection_factory`). The first three
/// names are those of oslo's old `pika` driver, whose default is `single`.
///
/// Few connections are kind to a broker that has many thousands of clients, but share what happens
/// to a connection: its loss, a full socket, and the back-pressure of a broker short of memory or
/// disk, which stops reading from connections that publish. Whatever is chosen, what one client
/// sends stays on one connection, so its order is kept, buffered casts apart where they have one of
/// their own (`new`); every server and listener has a channel of its own, with its own prefetch;
/// and closing one of them leaves the others alone.
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
    /// `read_write`: one for all that is published, one for all that is consumed. Servers and
    /// replies go on while the broker blocks publishers.
    ReadWrite,
    /// `new`: one for requests, one for buffered casts, one for notifications, one for replies to
    /// our calls, one for our own replies, and one for each server and listener: none waits behind
    /// another. Default.
    #[default]
    New,
    /// `pool:<n>`: so many connections to publish on, 1 to 256, handed out in turn to what sends;
    /// consumers as with `new`.
    Pool(u16),
    /// `per_shard`: a connection to publish on for each shard of the engine, handed out likewise;
    /// consumers as with `new`, in turn on each shard.
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
