//! Names of subjects, as the command line takes them: Leveret in any configuration, another build
//! of this program, and other clients.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;

use super::leveret::variant::Variant;

/// The clients that are measured beside Leveret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClientName {
    /// Frames rendered by hand over blocking sockets: the baseline.
    Raw,
    /// The same with all that oslo.messaging makes the broker do: the baseline at equal work.
    RawKombu,
    /// The `lapin` crate.
    Lapin,
    /// The same with oslo's promises: confirms, acknowledgements, mandatory and persistent
    /// messages.
    LapinKombu,
    /// The `amqprs` crate.
    Amqprs,
    /// The same with oslo's promises.
    AmqprsKombu,
    /// Python's oslo.messaging, `rabbit` driver, threads.
    Oslo,
    /// The same with its fastest settings.
    OsloFast,
    /// No client: the cost of measuring.
    Nothing,
}

/// What a subject is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SubjectKind {
    /// Leveret with these options beside those of its variant.
    Leveret { variant: Variant, options: Vec<(String, String)> },
    /// Another client.
    Client(ClientName),
    /// Another build of this program, and the subject measured with it.
    Binary { path: PathBuf, subject: Box<SubjectName> },
}

/// A subject, and its name as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubjectName {
    pub(crate) text: String,
    pub(crate) kind: SubjectKind,
}

/// A name that is no subject's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownSubject(String);

impl fmt::Display for UnknownSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no subject is called {:?}; there are leveret, leveret?OPTION=VALUE&…,", self.0)?;
        for variant in Variant::OTHERS {
            write!(f, " {},", variant.name())?;
        }
        for client in ClientName::value_variants() {
            let value = client.to_possible_value().expect("no client is hidden");
            write!(f, " {},", value.get_name())?;
        }
        f.write_str(" and the path of another build of this program, as ./old/leveret-perf")
    }
}

impl std::error::Error for UnknownSubject {}

impl FromStr for SubjectName {
    type Err = UnknownSubject;

    fn from_str(text: &str) -> Result<Self, UnknownSubject> {
        let kind = kind(text).ok_or_else(|| UnknownSubject(text.to_owned()))?;
        Ok(Self { text: text.to_owned(), kind })
    }
}

fn kind(text: &str) -> Option<SubjectKind> {
    let (base, query) = text.split_once('?').unwrap_or((text, ""));
    if base.contains('/') {
        let inner =
            if query.is_empty() { "leveret".to_owned() } else { format!("leveret?{query}") };
        let subject = Box::new(inner.parse().ok()?);
        return Some(SubjectKind::Binary { path: base.into(), subject });
    }
    if let Some(variant) = Variant::from_name(base) {
        return Some(SubjectKind::Leveret { variant, options: options(query)? });
    }
    let client = ClientName::from_str(base, false).ok().filter(|_| !text.contains('?'));
    client.map(SubjectKind::Client)
}

fn options(query: &str) -> Option<Vec<(String, String)>> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(text: &str) -> SubjectKind {
        text.parse::<SubjectName>().expect("a subject").kind
    }

    #[test]
    fn clients_and_variants_are_found_by_name() {
        assert_eq!(kind_of("raw-kombu"), SubjectKind::Client(ClientName::RawKombu));
        assert_eq!(kind_of("oslo-fast"), SubjectKind::Client(ClientName::OsloFast));
        let (variant, options) = (Variant::Pool, Vec::new());
        assert_eq!(kind_of("leveret-pool"), SubjectKind::Leveret { variant, options });
    }

    #[test]
    fn leveret_takes_options_and_a_path_is_another_build() {
        let options = vec![
            ("backend".to_owned(), "epoll".to_owned()),
            ("connection_factory".to_owned(), "pool:2".to_owned()),
        ];
        let text = "leveret?backend=epoll&connection_factory=pool:2";
        let leveret = SubjectKind::Leveret { variant: Variant::Plain, options };
        assert_eq!(kind_of(text), leveret);
        let SubjectKind::Binary { path, subject } = kind_of("./old/leveret-perf?backend=epoll")
        else {
            panic!("a path");
        };
        assert_eq!(path, PathBuf::from("./old/leveret-perf"));
        assert_eq!(subject.text, "leveret?backend=epoll");
    }

    #[test]
    fn nonsense_is_refused_with_all_names() {
        for text in ["pika", "leveret?backend", "raw?x=1", "", "leveret-"] {
            let error = text.parse::<SubjectName>().expect_err("no name").to_string();
            assert!(
                error.contains("raw, raw-kombu,") && error.contains("leveret-pika,"),
                "{error}"
            );
        }
    }
}
