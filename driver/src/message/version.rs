//! Versions of RPC interfaces: `major.minor`, optionally `.revision`.
//!
//! Compatibility is oslo's rule: an implementation serves requests of its own major version whose
//! minor version is not above its own; if the minor versions are equal, the same holds for the
//! revision.

use std::fmt;
use std::str::FromStr;

/// A version of an RPC interface.
///
/// ```
/// use leveret::Version;
///
/// let implemented: Version = "1.5".parse().unwrap();
/// assert!(implemented.serves(&"1.2".parse().unwrap()));
/// assert!(!implemented.serves(&"2.0".parse().unwrap()));
/// assert!("one".parse::<Version>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    major: u32,
    minor: u32,
    revision: Option<u32>,
}

/// The error of parsing a text that is not a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version reads major.minor or major.minor.revision, in decimal")]
pub struct InvalidVersion;

impl Version {
    /// Creates the version `major.minor`.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor, revision: None }
    }

    /// Returns the major version: compatible versions have the same one.
    pub const fn major(&self) -> u32 {
        self.major
    }

    /// Returns the minor version: a request's must not be above the implementation's.
    pub const fn minor(&self) -> u32 {
        self.minor
    }

    /// Whether an implementation of this version serves a request for `requested`.
    pub fn serves(&self, requested: &Self) -> bool {
        let (own, asked) = (self.revision.unwrap_or(0), requested.revision.unwrap_or(0));
        self.major == requested.major && (requested.minor, asked) <= (self.minor, own)
    }
}

/// Version 1.0: what a request without a version asks for and an endpoint without one implements.
impl Default for Version {
    fn default() -> Self {
        Self::new(1, 0)
    }
}

/// Whether a version cap allows a request, by oslo's rule: no cap allows everything, and a cap
/// forbids requests without a version.
pub(crate) fn is_compatible(implemented: Option<&Version>, requested: Option<&Version>) -> bool {
    match (implemented, requested) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(implemented), Some(requested)) => implemented.serves(requested),
    }
}

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let mut parts = text.split('.').map(|part| {
            let is_decimal = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            is_decimal.then(|| part.parse().ok()).flatten().ok_or(InvalidVersion)
        });
        let major = parts.next().ok_or(InvalidVersion)??;
        let minor = parts.next().ok_or(InvalidVersion)??;
        let revision = parts.next().transpose()?;
        if parts.next().is_some() {
            return Err(InvalidVersion);
        }
        Ok(Self { major, minor, revision })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        self.revision.map_or(Ok(()), |revision| write!(f, ".{revision}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn compatibility_follows_oslos_rule() {
        for (implemented, requested, answer) in [
            ("1.0", "1.0", true),
            ("1.5", "1.2", true),
            ("1.2", "1.5", false),
            ("2.0", "1.0", false),
            ("1.2.3", "1.2.3", true),
            ("1.2.3", "1.2.4", false),
            ("1.3", "1.2.9", true),
            ("1.2", "1.2.1", false),
        ] {
            let served = version(implemented).serves(&version(requested));
            assert_eq!(served, answer, "{implemented} serves {requested}");
        }
        assert!(is_compatible(None, None));
        assert!(!is_compatible(Some(&version("1.0")), None));
    }

    #[test]
    fn versions_round_trip_as_text_and_other_texts_are_refused() {
        for text in ["1.0", "12.34", "1.2.3"] {
            assert_eq!(version(text).to_string(), text);
        }
        for text in ["", "1", "1.", "1.x", "+1.0", "1.2.3.4", "1.99999999999"] {
            assert_eq!(text.parse::<Version>(), Err(InvalidVersion), "{text}");
        }
    }
}
