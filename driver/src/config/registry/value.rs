//! What kinds of values options take: read from text, written as text.
//!
//! An option's place is one function that lends the field; reading and writing both go through it,
//! so that they cannot disagree. Invariant: a refusal says what is accepted and never repeats the
//! value, which may be a secret put in the wrong line. Not here: which options there are
//! (`options`).

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::registry::settings::Settings;
use crate::config::url::TransportUrl;

/// A kind of value, and where in the settings it goes.
pub(crate) enum Kind {
    /// true or false, in oslo's spellings.
    Flag(fn(&mut Settings) -> &mut bool),
    /// A whole number within bounds.
    Count(fn(&mut Settings) -> Number<'_>, RangeInclusive<u64>),
    /// Seconds, also fractions, up to a bound.
    Seconds(fn(&mut Settings) -> &mut Duration, f64),
    /// Further attempts after one that failed; -1 for no end.
    Attempts(fn(&mut Settings) -> &mut Option<u32>),
    /// Microseconds, whole.
    Micros(fn(&mut Settings) -> &mut Duration),
    /// Any text.
    Name(fn(&mut Settings) -> &mut String),
    /// Any text; empty for none.
    Maybe(fn(&mut Settings) -> &mut Option<String>),
    /// A path; empty for none.
    Path(fn(&mut Settings) -> &mut Option<PathBuf>),
    /// A transport URL, which is shown without its passwords; empty for none.
    Url(fn(&mut Settings) -> &mut Option<String>),
    /// Values with commas between.
    List(fn(&mut Settings) -> &mut Vec<String>),
    /// The same, and each line of a file adds to it (oslo's multi-valued options).
    Multi(fn(&mut Settings) -> &mut Vec<String>),
    /// One of a few words or another form of its own.
    Choice(Choice),
    /// TLS on or off; on is refused as long as there is none.
    Tls,
}

/// A form of its own: how it is taken (the error is what is accepted) and shown.
pub(crate) struct Choice {
    pub(crate) set: fn(&mut Settings, &str) -> Result<(), &'static str>,
    pub(crate) get: fn(&Settings) -> String,
}

/// A field that holds a whole number.
pub(crate) enum Number<'a> {
    U16(&'a mut u16),
    U32(&'a mut u32),
    U64(&'a mut u64),
    Usize(&'a mut usize),
}

/// Why a value is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not what the option accepts, which is this.
    Accepts(String),
    /// It is a URL that cannot be understood, for this reason.
    Url(String),
    /// It asks for TLS.
    Tls,
}

impl Kind {
    /// Puts a value into its place.
    pub(crate) fn set(&self, settings: &mut Settings, text: &str) -> Result<(), Refusal> {
        let accepts = |what: &str| Refusal::Accepts(what.to_owned());
        match self {
            Self::Flag(place) => {
                *place(settings) = flag(text).ok_or_else(|| accepts("true or false"))?;
            }
            Self::Count(place, bounds) => {
                let number = text.trim().parse().ok().filter(|number| bounds.contains(number));
                number.and_then(|number| place(settings).set(number)).ok_or_else(|| {
                    let (least, most) = (bounds.start(), bounds.end());
                    Refusal::Accepts(format!("a whole number from {least} to {most}"))
                })?;
            }
            Self::Seconds(place, most) => *place(settings) = seconds(text, *most)?,
            Self::Attempts(place) => {
                *place(settings) = match text.trim() {
                    "-1" => None,
                    number => Some(number.parse().map_err(|_| {
                        accepts("a whole number from 0, or -1 for attempts without end")
                    })?),
                };
            }
            Self::Micros(place) => {
                let micros = text.trim().parse::<u32>().ok().filter(|us| *us <= 1_000_000);
                let micros = micros.ok_or_else(|| accepts("microseconds, from 0 to 1000000"))?;
                *place(settings) = Duration::from_micros(micros.into());
            }
            Self::Name(place) => text.clone_into(place(settings)),
            Self::Maybe(place) => {
                *place(settings) = Some(text).filter(|text| !text.is_empty()).map(str::to_owned);
            }
            Self::Path(place) => {
                *place(settings) = Some(text).filter(|t| !t.is_empty()).map(PathBuf::from)
            }
            Self::Url(place) => {
                if !text.is_empty() {
                    let parsed = text.parse::<TransportUrl>();
                    parsed.map_err(|error| Refusal::Url(error.to_string()))?;
                }
                *place(settings) = Some(text.to_owned()).filter(|text| !text.is_empty());
            }
            Self::List(place) | Self::Multi(place) => *place(settings) = list(text),
            Self::Choice(choice) => {
                (choice.set)(settings, text).map_err(accepts)?;
            }
            Self::Tls => match flag(text) {
                Some(false) => {}
                Some(true) => return Err(Refusal::Tls),
                None => return Err(accepts("true or false")),
            },
        }
        Ok(())
    }

    /// The value in its place, as a file would say it; passwords masked.
    pub(crate) fn get(&self, settings: &mut Settings) -> String {
        match self {
            Self::Flag(place) => place(settings).to_string(),
            Self::Count(place, ..) => place(settings).get().to_string(),
            Self::Seconds(place, _) => place(settings).as_secs_f64().to_string(),
            Self::Attempts(place) => {
                place(settings).map_or_else(|| "-1".to_owned(), |attempts| attempts.to_string())
            }
            Self::Micros(place) => place(settings).as_micros().to_string(),
            Self::Name(place) => place(settings).clone(),
            Self::Maybe(place) => place(settings).clone().unwrap_or_default(),
            Self::Path(place) => {
                let path = place(settings).as_ref();
                path.map(|path| path.display().to_string()).unwrap_or_default()
            }
            Self::Url(place) => place(settings).as_deref().map(masked).unwrap_or_default(),
            Self::List(place) | Self::Multi(place) => place(settings).join(","),
            Self::Choice(choice) => (choice.get)(settings),
            Self::Tls => "false".to_owned(),
        }
    }
}

macro_rules! number_from {
    ($($integer:ty => $variant:ident),*) => {$(
        impl<'a> From<&'a mut $integer> for Number<'a> {
            fn from(field: &'a mut $integer) -> Self {
                Self::$variant(field)
            }
        }
    )*};
}

number_from!(u16 => U16, u32 => U32, u64 => U64, usize => Usize);

impl Number<'_> {
    fn set(self, number: u64) -> Option<()> {
        match self {
            Self::U16(place) => *place = number.try_into().ok()?,
            Self::U32(place) => *place = number.try_into().ok()?,
            Self::U64(place) => *place = number,
            Self::Usize(place) => *place = number.try_into().ok()?,
        }
        Some(())
    }

    fn get(self) -> u64 {
        match self {
            Self::U16(place) => u64::from(*place),
            Self::U32(place) => u64::from(*place),
            Self::U64(place) => *place,
            Self::Usize(place) => *place as u64,
        }
    }
}

/// Seconds with fractions, from 0 to a bound.
pub(crate) fn seconds(text: &str, most: f64) -> Result<Duration, Refusal> {
    let seconds = text.trim().parse::<f64>().ok().filter(|s| (0.0..=most).contains(s));
    let refusal = || Refusal::Accepts(format!("seconds, from 0 to {most}"));
    seconds.map(Duration::from_secs_f64).ok_or_else(refusal)
}

/// A boolean as oslo.config reads it.
pub(crate) fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Some(true),
        "false" | "0" | "off" | "no" => Some(false),
        _ => None,
    }
}

/// What stands between commas; blanks around do not count, and nothing at all is no item.
pub(crate) fn list(text: &str) -> Vec<String> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(str::to_owned).collect()
}

/// A URL without its passwords; what is none may still hold one, so nothing of it is shown.
fn masked(text: &str) -> String {
    text.parse::<TransportUrl>().map_or_else(|_| "***".to_owned(), |url| url.to_string())
}
