//! The other AMQP clients that are measured beside Leveret.

use std::fmt;

use anyhow::Result;

#[cfg(feature = "peers")]
use super::amqprs::Amqprs;
#[cfg(feature = "peers")]
use super::lapin::Lapin;
#[cfg(feature = "peers")]
use super::tokio_client::TokioSubject;
use crate::subject::job::Subject;
use crate::subject::raw::baseline::{Raw, RawKombu};

/// The clients that are measured beside Leveret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ClientName {
    /// Frames rendered by hand over blocking sockets: the baseline.
    Raw,
    /// The same with all that oslo.messaging makes the broker do: the baseline at equal work.
    RawKombu,
    /// The `lapin` crate.
    Lapin,
    /// The `amqprs` crate.
    Amqprs,
}

/// A client that this binary was built without.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientMissing(pub(crate) ClientName);

impl fmt::Display for ClientMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{:?}", self.0).to_lowercase();
        write!(f, "this binary was built without {name}; build it with --features peers")
    }
}

impl std::error::Error for ClientMissing {}

/// The client of this name, as a subject.
pub(crate) fn peer(name: ClientName) -> Result<Box<dyn Subject>, ClientMissing> {
    match name {
        ClientName::Raw => Ok(Box::new(Raw)),
        ClientName::RawKombu => Ok(Box::new(RawKombu)),
        #[cfg(feature = "peers")]
        ClientName::Lapin => Ok(Box::new(TokioSubject::<Lapin>::new())),
        #[cfg(feature = "peers")]
        ClientName::Amqprs => Ok(Box::new(TokioSubject::<Amqprs>::new())),
        #[cfg(not(feature = "peers"))]
        missing => Err(ClientMissing(missing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_baselines_are_always_there() {
        assert_eq!(peer(ClientName::Raw).map(|peer| peer.name()), Ok("raw"));
        assert_eq!(peer(ClientName::RawKombu).map(|peer| peer.name()), Ok("raw-kombu"));
    }

    #[cfg(not(feature = "peers"))]
    #[test]
    fn a_missing_peer_says_how_to_get_it() {
        let Err(missing) = peer(ClientName::Lapin) else { panic!("not built in") };
        assert_eq!(
            missing.to_string(),
            "this binary was built without lapin; build it with --features peers"
        );
    }
}
