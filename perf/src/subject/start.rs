//! From the name of a subject to the subject.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

#[cfg(feature = "peers")]
use super::amqprs::Amqprs;
use super::binary::Binary;
use super::job::Subject;
#[cfg(feature = "peers")]
use super::lapin::Lapin;
use super::leveret::subject::Leveret;
use super::name::{ClientName, SubjectKind, SubjectName};
use super::nothing::Nothing;
use super::oslo::Oslo;
use super::raw::baseline::{Raw, RawKombu};
#[cfg(feature = "peers")]
use super::tokio_client::{Style, TokioSubject};
use crate::placement::Placement;

/// The subject of this name. `placement` is Leveret's, `python` has oslo.messaging.
pub(crate) fn named(
    name: &SubjectName,
    placement: &Placement,
    python: &Path,
) -> Result<Box<dyn Subject>> {
    Ok(match &name.kind {
        SubjectKind::Leveret { variant, options } => {
            Box::new(Leveret::new(name.text.clone(), *variant, options, placement)?)
        }
        SubjectKind::Client(client) => of_client(*client, python)?,
        SubjectKind::Binary { path, subject } => {
            if !path.is_file() {
                bail!(
                    "{} is no file: a subject with a slash is a build of this program",
                    name.text
                );
            }
            let inner = named(subject, placement, python)?;
            Box::new(Binary::new(name.text.clone(), PathBuf::from(path), inner))
        }
    })
}

fn of_client(name: ClientName, python: &Path) -> Result<Box<dyn Subject>> {
    Ok(match name {
        ClientName::Raw => Box::new(Raw),
        ClientName::RawKombu => Box::new(RawKombu),
        ClientName::Oslo => Box::new(Oslo::new(false, python.to_owned())),
        ClientName::OsloFast => Box::new(Oslo::new(true, python.to_owned())),
        ClientName::Nothing => Box::new(Nothing),
        #[cfg(feature = "peers")]
        ClientName::Lapin => Box::new(TokioSubject::<Lapin>::new(Style::Plain)),
        #[cfg(feature = "peers")]
        ClientName::LapinKombu => Box::new(TokioSubject::<Lapin>::new(Style::Kombu)),
        #[cfg(feature = "peers")]
        ClientName::Amqprs => Box::new(TokioSubject::<Amqprs>::new(Style::Plain)),
        #[cfg(feature = "peers")]
        ClientName::AmqprsKombu => Box::new(TokioSubject::<Amqprs>::new(Style::Kombu)),
        #[cfg(not(feature = "peers"))]
        ClientName::Lapin
        | ClientName::LapinKombu
        | ClientName::Amqprs
        | ClientName::AmqprsKombu => {
            let value = clap::ValueEnum::to_possible_value(&name).expect("no client is hidden");
            let name = value.get_name();
            bail!("this binary was built without {name}; build it with --features peers")
        }
    })
}

/// Whether this binary has the subject.
pub(crate) const fn is_built_in(name: ClientName) -> bool {
    use ClientName::{Amqprs, AmqprsKombu, Lapin, LapinKombu};
    cfg!(feature = "peers") || !matches!(name, Lapin | LapinKombu | Amqprs | AmqprsKombu)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    fn made(text: &str) -> Result<Box<dyn Subject>> {
        let name = text.parse().expect("a name");
        named(&name, &Placement::default(), Path::new("/no/python"))
    }

    #[test]
    fn every_subject_has_the_name_it_is_called_by() {
        for client in ClientName::value_variants() {
            let value = client.to_possible_value().expect("no client is hidden");
            if is_built_in(*client) {
                assert_eq!(made(value.get_name()).expect("built in").name(), value.get_name());
            }
        }
        for text in ["leveret", "leveret-pika", "leveret?backend=epoll"] {
            assert_eq!(made(text).expect("Leveret").name(), text);
        }
    }

    #[cfg(not(feature = "peers"))]
    #[test]
    fn a_missing_peer_says_how_to_get_it() {
        let Err(missing) = made("lapin") else { panic!("not built in") };
        assert_eq!(
            missing.to_string(),
            "this binary was built without lapin; build it with --features peers"
        );
    }

    #[test]
    fn a_missing_program_says_what_to_do() {
        let Err(error) = made("./no/such/build") else { panic!("there is none") };
        assert!(error.to_string().contains("is no file"), "{error}");
        let Err(error) = made("oslo").expect("no process yet").program() else { panic!("none") };
        assert!(error.to_string().contains("--python FILE"), "{error}");
    }
}
