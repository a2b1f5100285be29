//! Options that accept certain words or have a syntax of their own: how each is parsed and
//! formatted.
//!
//! An error says what is accepted, and why where the reason is not plain.

use leveret_engine::{BackendChoice, ConnectMode, TlsVersion};

use crate::config::driver_config::{Compression, DriverConfig, LoginMethod};
use crate::config::options::entities::QueueProfile;
use crate::config::options::recovery::Failover;
use crate::config::registry::settings::Settings;
use crate::config::registry::value::{Choice, list, seconds};

/// The error is what the option accepts.
pub(crate) type SetResult = Result<(), &'static str>;

/// A choice between words, each of which stands for one value of the field.
macro_rules! words {
    ($($field:ident).+ accepts $accepted:literal: $($word:literal => { $($value:tt)+ })+) => {
        Choice {
            set: |settings, word| {
                settings.$($field).+ = match word {
                    $($word => $($value)+,)+
                    _ => return Err($accepted),
                };
                Ok(())
            },
            get: |settings| {
                let word = match settings.$($field).+ {
                    $($($value)+ => $word,)+
                };
                word.to_owned()
            },
        }
    };
}
pub(crate) use words;

pub(crate) const COMPRESSION: Choice = Choice {
    set: |settings, word| compression(&mut settings.driver, word),
    get: |settings| match settings.driver.compression {
        None => String::new(),
        Some(Compression::Gzip) => "gzip".to_owned(),
    },
};

pub(crate) const FAILOVER: Choice = words! {
    driver.failover accepts "round-robin or shuffle":
    "round-robin" => { Failover::RoundRobin }
    "shuffle" => { Failover::Shuffle }
};

/// oslo's names of versions, and `TLSv1_3`. oslo's driver speaks the named version and no other;
/// here it is the oldest one spoken, and the names of versions before 1.2 mean 1.2.
pub(crate) const SSL_VERSION: Choice = Choice {
    set: |settings, word| {
        settings.driver.tls.min_version = match word.to_ascii_lowercase().as_str() {
            "" | "sslv2" | "sslv3" | "sslv23" | "tlsv1" | "tlsv1_1" | "tlsv1_2" => TlsVersion::V1_2,
            "tlsv1_3" => TlsVersion::V1_3,
            _ => return Err("TLSv1_2 or TLSv1_3, or a name of oslo's, or nothing"),
        };
        Ok(())
    },
    get: |settings| match settings.driver.tls.min_version {
        TlsVersion::V1_3 => "TLSv1_3".to_owned(),
        _ => String::new(),
    },
};

pub(crate) const LOGIN_METHOD: Choice = Choice {
    set: |settings, word| login_method(&mut settings.driver, word),
    get: |settings| {
        let word = match settings.driver.login_method {
            LoginMethod::Plain => "PLAIN",
            LoginMethod::AmqPlain => "AMQPLAIN",
            LoginMethod::External => "EXTERNAL",
        };
        word.to_owned()
    },
};

pub(crate) const QUEUE_PROFILE: Choice = words! {
    driver.entities.profile accepts "auto, classic, quorum or local-random":
    "auto" => { QueueProfile::Auto }
    "classic" => { QueueProfile::Classic }
    "quorum" => { QueueProfile::Quorum }
    "local-random" => { QueueProfile::LocalRandom }
};

pub(crate) const RETRY_BACKOFF: Choice = Choice { set: parse_backoff, get: format_backoff };

fn parse_backoff(settings: &mut Settings, text: &str) -> SetResult {
    settings.driver.retry_backoff = match text {
        "" => None,
        text => Some(seconds(text, 1e9).map_err(|_| "seconds, from 0 to 1e9, or nothing")?),
    };
    Ok(())
}

fn format_backoff(settings: &Settings) -> String {
    settings.driver.retry_backoff.map_or_else(String::new, |time| time.as_secs_f64().to_string())
}

pub(crate) const BACKEND: Choice = Choice {
    set: |settings, text| {
        settings.engine.backend = match text.to_ascii_lowercase().as_str() {
            "auto" => BackendChoice::Auto,
            "uring" => BackendChoice::Uring,
            "epoll" => BackendChoice::Epoll,
            _ => return Err("auto, uring or epoll"),
        };
        Ok(())
    },
    get: |settings| {
        let name = match settings.engine.backend {
            BackendChoice::Auto => "auto",
            BackendChoice::Uring => "uring",
            BackendChoice::Epoll => "epoll",
        };
        name.to_owned()
    },
};

pub(crate) const CONNECT: Choice = words! {
    driver.connection.connect accepts "eager or lazy":
    "eager" => { ConnectMode::Eager }
    "lazy" => { ConnectMode::Lazy }
};

pub(crate) const CORES: Choice = Choice {
    set: |settings, text| {
        settings.engine.cores =
            parse_cores(text).ok_or("cores from 0 to 1023, each once, as in 0,2-4")?;
        Ok(())
    },
    get: |settings| {
        let cores: Vec<_> = settings.engine.cores.iter().map(ToString::to_string).collect();
        cores.join(",")
    },
};

/// Accepts only gzip of the names that kombu has. oslo documents `bz2`, which kombu does not have:
/// there every message fails.
fn compression(config: &mut DriverConfig, word: &str) -> SetResult {
    config.compression = match word {
        "" => None,
        "gzip" | "zlib" => Some(Compression::Gzip),
        "bz2" => return Err("gzip; `bz2`, as oslo documents it, fails with every peer"),
        _ => return Err("gzip"),
    };
    Ok(())
}

fn login_method(config: &mut DriverConfig, word: &str) -> SetResult {
    config.login_method = match word.to_ascii_uppercase().as_str() {
        "PLAIN" => LoginMethod::Plain,
        "AMQPLAIN" => LoginMethod::AmqPlain,
        "EXTERNAL" => LoginMethod::External,
        "RABBIT-CR-DEMO" => {
            return Err("PLAIN, AMQPLAIN or EXTERNAL; RABBIT-CR-DEMO, which oslo lists, never \
                        worked there and is no more than RabbitMQ's demonstration of a challenge");
        }
        _ => return Err("PLAIN, AMQPLAIN or EXTERNAL"),
    };
    Ok(())
}

/// Parses a list of cores as `taskset` does (`0,2-4`); at most 1024, each once.
fn parse_cores(text: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for item in list(text) {
        let (first, last) = item.split_once('-').unwrap_or((&item, &item));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= 1024 {
            return None;
        }
        cores.extend(first..=last);
    }
    let mut once = cores.clone();
    once.sort_unstable();
    once.dedup();
    (once.len() == cores.len()).then_some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_numbers_and_ranges() {
        assert_eq!(parse_cores("0, 2-4"), Some(vec![0, 2, 3, 4]));
        assert_eq!(parse_cores(""), Some(vec![]));
        for wrong in ["a", "3-1", "0,0", "0-1,1", "1024", "-1", "1-"] {
            assert_eq!(parse_cores(wrong), None, "{wrong}");
        }
    }
}
