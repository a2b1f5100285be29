//! The kinds of values that options take: parsed from text, formatted as text.
//!
//! An option's field is one function that borrows it from the settings; parsing and formatting both
//! use it. Invariant: an error says what the option accepts and never repeats the value, which may
//! be a password in the wrong line. Not here: which options there are (`rabbit`, `pika`, …).

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use leveret_engine::Secret;

use crate::config::registry::settings::Settings;
use crate::config::url::TransportUrl;

/// A kind of value, and the field of the settings that it goes to.
pub(crate) enum Kind {
    /// A boolean, in the spellings of oslo.config.
    Flag(fn(&mut Settings) -> &mut bool),
    /// An integer within bounds.
    Integer(fn(&mut Settings) -> IntegerField<'_>, RangeInclusive<u64>),
    /// Seconds with a fraction, from 0 to a maximum.
    Seconds(fn(&mut Settings) -> &mut Duration, f64),
    /// The number of attempts after the first; -1 for no limit.
    Attempts(fn(&mut Settings) -> &mut Option<u32>),
    /// Whole microseconds.
    Microseconds(fn(&mut Settings) -> &mut Duration),
    /// Any text.
    Text(fn(&mut Settings) -> &mut String),
    /// Any text; empty for none.
    OptionalText(fn(&mut Settings) -> &mut Option<String>),
    /// A path; empty for none.
    Path(fn(&mut Settings) -> &mut Option<PathBuf>),
    /// A transport URL, formatted with its passwords masked; empty for none.
    Url(fn(&mut Settings) -> &mut Option<String>),
    /// Values separated by commas.
    List(fn(&mut Settings) -> &mut Vec<String>),
    /// The same, where each occurrence in a file adds values (`MultiStrOpt` of oslo.config).
    Multi(fn(&mut Settings) -> &mut Vec<String>),
    /// One of a few words, or a syntax of its own.
    Choice(Choice),
    /// A password, formatted as `***`; empty for none.
    Secret(fn(&mut Settings) -> &mut Option<Secret>),
}

/// How a value with a syntax of its own is parsed and formatted.
pub(crate) struct Choice {
    /// Returns what the option accepts if it does not accept the text.
    pub(crate) set: fn(&mut Settings, &str) -> Result<(), &'static str>,
    pub(crate) get: fn(&Settings) -> String,
}

/// A field that holds an integer.
pub(crate) enum IntegerField<'a> {
    U16(&'a mut u16),
    U32(&'a mut u32),
    U64(&'a mut u64),
    Usize(&'a mut usize),
}

/// Why an option does not accept a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ValueError {
    /// The option accepts something else, which is described here.
    Accepts(String),
    /// The value is not a valid URL, for this reason.
    Url(String),
}

impl Kind {
    /// Whether values may hold a password.
    pub(crate) const fn is_secret(&self) -> bool {
        matches!(self, Self::Url(_) | Self::Secret(_))
    }

    /// Parses `text` into the field.
    pub(crate) fn set(&self, settings: &mut Settings, text: &str) -> Result<(), ValueError> {
        let accepts = |what: &str| ValueError::Accepts(what.to_owned());
        match self {
            Self::Flag(field) => {
                *field(settings) = flag(text).ok_or_else(|| accepts("true or false"))?;
            }
            Self::Integer(field, bounds) => {
                let number = text.trim().parse().ok().filter(|number| bounds.contains(number));
                number.and_then(|number| field(settings).set(number)).ok_or_else(|| {
                    let (least, most) = (bounds.start(), bounds.end());
                    ValueError::Accepts(format!("a whole number from {least} to {most}"))
                })?;
            }
            Self::Seconds(field, most) => *field(settings) = seconds(text, *most)?,
            Self::Attempts(field) => {
                *field(settings) = match text.trim() {
                    "-1" => None,
                    number => Some(number.parse().map_err(|_| {
                        accepts("a whole number from 0, or -1 for attempts without end")
                    })?),
                };
            }
            Self::Microseconds(field) => {
                let micros = text.trim().parse::<u32>().ok().filter(|us| *us <= 1_000_000);
                let micros = micros.ok_or_else(|| accepts("microseconds, from 0 to 1000000"))?;
                *field(settings) = Duration::from_micros(micros.into());
            }
            Self::Text(field) => text.clone_into(field(settings)),
            Self::OptionalText(field) => {
                *field(settings) = Some(text).filter(|text| !text.is_empty()).map(str::to_owned);
            }
            Self::Path(field) => {
                *field(settings) = Some(text).filter(|t| !t.is_empty()).map(PathBuf::from)
            }
            Self::Url(field) => {
                if !text.is_empty() {
                    let parsed = text.parse::<TransportUrl>();
                    parsed.map_err(|error| ValueError::Url(error.to_string()))?;
                }
                *field(settings) = Some(text.to_owned()).filter(|text| !text.is_empty());
            }
            Self::List(field) | Self::Multi(field) => *field(settings) = list(text),
            Self::Choice(choice) => {
                (choice.set)(settings, text).map_err(accepts)?;
            }
            Self::Secret(field) => {
                *field(settings) = Some(text).filter(|text| !text.is_empty()).map(Secret::new);
            }
        }
        Ok(())
    }

    /// Formats the field as a file would have it, with passwords masked.
    pub(crate) fn get(&self, settings: &mut Settings) -> String {
        match self {
            Self::Flag(field) => field(settings).to_string(),
            Self::Integer(field, ..) => field(settings).get().to_string(),
            Self::Seconds(field, _) => field(settings).as_secs_f64().to_string(),
            Self::Attempts(field) => {
                field(settings).map_or_else(|| "-1".to_owned(), |attempts| attempts.to_string())
            }
            Self::Microseconds(field) => field(settings).as_micros().to_string(),
            Self::Text(field) => field(settings).clone(),
            Self::OptionalText(field) => field(settings).clone().unwrap_or_default(),
            Self::Path(field) => {
                let path = field(settings).as_ref();
                path.map(|path| path.display().to_string()).unwrap_or_default()
            }
            Self::Url(field) => field(settings).as_deref().map(masked).unwrap_or_default(),
            Self::List(field) | Self::Multi(field) => field(settings).join(","),
            Self::Choice(choice) => (choice.get)(settings),
            Self::Secret(field) => match field(settings) {
                Some(_) => "***".to_owned(),
                None => String::new(),
            },
        }
    }
}

macro_rules! integer_field_from {
    ($($integer:ty => $variant:ident),*) => {$(
        impl<'a> From<&'a mut $integer> for IntegerField<'a> {
            fn from(field: &'a mut $integer) -> Self {
                Self::$variant(field)
            }
        }
    )*};
}

integer_field_from!(u16 => U16, u32 => U32, u64 => U64, usize => Usize);

impl IntegerField<'_> {
    fn set(self, number: u64) -> Option<()> {
        match self {
            Self::U16(field) => *field = number.try_into().ok()?,
            Self::U32(field) => *field = number.try_into().ok()?,
            Self::U64(field) => *field = number,
            Self::Usize(field) => *field = number.try_into().ok()?,
        }
        Some(())
    }

    fn get(self) -> u64 {
        match self {
            Self::U16(field) => u64::from(*field),
            Self::U32(field) => u64::from(*field),
            Self::U64(field) => *field,
            Self::Usize(field) => *field as u64,
        }
    }
}

/// Parses seconds with a fraction, from 0 to `most`.
pub(crate) fn seconds(text: &str, most: f64) -> Result<Duration, ValueError> {
    let seconds = text.trim().parse::<f64>().ok().filter(|s| (0.0..=most).contains(s));
    let error = || ValueError::Accepts(format!("seconds, from 0 to {most}"));
    seconds.map(Duration::from_secs_f64).ok_or_else(error)
}

/// Parses a boolean as oslo.config does.
pub(crate) fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Some(true),
        "false" | "0" | "off" | "no" => Some(false),
        _ => None,
    }
}

/// The items between commas, trimmed, without empty ones.
pub(crate) fn list(text: &str) -> Vec<String> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(str::to_owned).collect()
}

/// The URL with its passwords masked. Text that is no URL may hold a password: all of it is masked.
fn masked(text: &str) -> String {
    text.parse::<TransportUrl>().map_or_else(|_| "***".to_owned(), |url| url.to_string())
}
