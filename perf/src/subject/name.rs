//! Names of subjects, as `--against` takes them: other clients, and Leveret in other
//! configurations.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;

use super::clients::ClientName;
use super::leveret::variant::Variant;

/// A subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubjectName {
    /// Leveret in one configuration.
    Leveret(Variant),
    /// Another client.
    Peer(ClientName),
}

impl SubjectName {
    /// The subject of a server process: any of them, or Leveret with its defaults.
    pub(crate) fn of_child(name: &str) -> Result<Self, UnknownSubject> {
        if name == Variant::Plain.name() { Ok(Self::Leveret(Variant::Plain)) } else { name.parse() }
    }
}

/// A name that is no subject's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownSubject(String);

impl fmt::Display for UnknownSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no subject is called {:?}; there are", self.0)?;
        for peer in ClientName::value_variants() {
            let value = peer.to_possible_value().expect("no peer is hidden");
            write!(f, " {},", value.get_name())?;
        }
        let names = Variant::OTHERS.map(Variant::name);
        write!(f, " {}", names.join(", "))
    }
}

impl std::error::Error for UnknownSubject {}

impl FromStr for SubjectName {
    type Err = UnknownSubject;

    fn from_str(name: &str) -> Result<Self, UnknownSubject> {
        let variant = name.parse().map(Self::Leveret);
        let peer = || ClientName::from_str(name, false).map(Self::Peer);
        variant.or_else(|_| peer()).map_err(|_| UnknownSubject(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_and_variants_are_found_by_name() {
        assert_eq!("raw-kombu".parse(), Ok(SubjectName::Peer(ClientName::RawKombu)));
        assert_eq!("leveret-pool".parse(), Ok(SubjectName::Leveret(Variant::Pool)));
        assert!("leveret".parse::<SubjectName>().is_err(), "it is always measured");
        assert_eq!(SubjectName::of_child("leveret"), Ok(SubjectName::Leveret(Variant::Plain)));
        let error = "pika".parse::<SubjectName>().expect_err("no name").to_string();
        assert!(error.contains("raw, raw-kombu,") && error.contains("leveret-pika,"), "{error}");
    }
}
