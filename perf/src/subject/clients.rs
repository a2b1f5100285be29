//! The other AMQP clients that are measured beside Leveret.

use std::fmt;

use anyhow::Result;

#[cfg(feature = "peers")]
use super::amqprs::Amqprs;
#[cfg(feature = "peers")]
use super::lapin::Lapin;
use crate::subject::job::Subject;
use crate::subject::raw::baseline::{Raw, RawKombu};

/// The peers that are measured beside Leveret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PeerName {
    /// Hand-rendered frames over blocking sockets: the floor.
    Raw,
    /// The same frames with all that oslo.messaging makes the broker do: the floor at equal work.
    RawKombu,
    /// The `lapin` crate.
    Lapin,
    /// The `amqprs` crate.
    Amqprs,
}

/// A peer this binary was built without.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PeerMissing(pub(crate) PeerName);

impl fmt::Display for PeerMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{:?}", self.0).to_lowercase();
        write!(f, "this binary was built without {name}; build it with --features peers")
    }
}

impl std::error::Error for PeerMissing {}

/// The peer of that name.
pub(crate) fn peer(name: PeerName) -> Result<Box<dyn Subject>, PeerMissing> {
    match name {
        PeerName::Raw => Ok(Box::new(Raw)),
        PeerName::RawKombu => Ok(Box::new(RawKombu)),
        #[cfg(feature = "peers")]
        PeerName::Lapin => Ok(Box::new(Lapin)),
        #[cfg(feature = "peers")]
        PeerName::Amqprs => Ok(Box::new(Amqprs)),
        #[cfg(not(feature = "peers"))]
        missing => Err(PeerMissing(missing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floors_are_always_there() {
        assert_eq!(peer(PeerName::Raw).map(|peer| peer.name()), Ok("raw"));
        assert_eq!(peer(PeerName::RawKombu).map(|peer| peer.name()), Ok("raw-kombu"));
    }

    #[cfg(not(feature = "peers"))]
    #[test]
    fn a_missing_peer_says_how_to_get_it() {
        let Err(missing) = peer(PeerName::Lapin) else { panic!("not built in") };
        assert_eq!(
            missing.to_string(),
            "this binary was built without lapin; build it with --features peers"
        );
    }
}
