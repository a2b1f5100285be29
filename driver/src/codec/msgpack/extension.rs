//! The extension types of oslo's `msgpackutils`, each as the value that oslo's JSON has for it.
//!
//! 0 is a UUID, 1 a `datetime`, 2 an `itertools.count`, 3 an IP address, 4 a set, 5 a frozenset, 6
//! an `xmlrpc.client.DateTime`, 7 a `date`. Times lose their zone, as in oslo's JSON. Invariants: a
//! payload that oslo cannot write is an error, as it is in Python, and nothing here recurses,
//! however extensions are nested. Not here: the elements of a set.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::codec::msgpack::entries::Entries;
use crate::codec::msgpack::error::ReadError as Error;
use crate::codec::msgpack::token::{Input, Token};

/// The value of an extension.
#[derive(Debug)]
pub(super) enum ExtensionValue<'a> {
    Text(String),
    /// Within `i64` or `u64`.
    Integer(i128),
    /// The elements, as an array of msgpack.
    Set(&'a [u8]),
}

pub(super) fn decode_extension(kind: i8, payload: &[u8]) -> Result<ExtensionValue<'_>, Error> {
    let text = match kind {
        0 => uuid(payload),
        1 | 6 => time(payload),
        2 => return counter(payload).map(ExtensionValue::Integer).ok_or(Error::Extension(kind)),
        3 => ip_address(payload),
        4 | 5 => return Ok(ExtensionValue::Set(payload)),
        7 => date(payload),
        _ => return Err(Error::UnknownExtension(kind)),
    };
    text.map(ExtensionValue::Text).ok_or(Error::Extension(kind))
}

/// Reads 32 hexadecimal digits. JSON has dashes between them.
fn uuid(payload: &[u8]) -> Option<String> {
    if payload.len() != 32 || !payload.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let digits = std::str::from_utf8(payload).ok()?.to_ascii_lowercase();
    let part = |range: std::ops::Range<usize>| &digits[range];
    Some([part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-"))
}

/// Reads an array of the next number and the step.
fn counter(payload: &[u8]) -> Option<i128> {
    let mut input = Input::new(payload);
    let Ok(Token::Array(2)) = input.token() else { return None };
    let next = integer(&mut input)?;
    integer(&mut input)?;
    input.finish().ok()?;
    Some(next)
}

/// Reads an integer without a deserializer, which would read extensions within extensions.
fn integer(input: &mut Input<'_>) -> Option<i128> {
    match input.token() {
        Ok(Token::Unsigned(value)) => Some(value.into()),
        Ok(Token::Signed(value)) => Some(value.into()),
        _ => None,
    }
}

/// Reads an integer. One that fits 32 bits is an IPv4 address, as `netaddr` takes it. Of IPv6 there
/// are only addresses that fit 64 bits; Python's packer cannot write others.
fn ip_address(payload: &[u8]) -> Option<String> {
    let mut input = Input::new(payload);
    let value = u64::try_from(integer(&mut input)?).ok()?;
    input.finish().ok()?;
    Some(match u32::try_from(value) {
        Ok(value) => Ipv4Addr::from(value).to_string(),
        Err(_) => Ipv6Addr::from(u128::from(value)).to_string(),
    })
}

fn time(payload: &[u8]) -> Option<String> {
    let parts = Parts::read(payload)?;
    let time = time::Time::from_hms_micro(
        parts.hour?.try_into().ok()?,
        parts.minute?.try_into().ok()?,
        parts.second?.try_into().ok()?,
        parts.microsecond?,
    );
    let (hour, minute, second, microsecond) = time.ok()?.as_hms_micro();
    Some(format!("{}T{hour:02}:{minute:02}:{second:02}.{microsecond:06}", parts.date()?))
}

fn date(payload: &[u8]) -> Option<String> {
    Parts::read(payload)?.date()
}

/// The parts of a date or time, by their keys in the payload's map.
#[derive(Default)]
struct Parts {
    year: Option<u32>,
    month: Option<u32>,
    day: Option<u32>,
    hour: Option<u32>,
    minute: Option<u32>,
    second: Option<u32>,
    microsecond: Option<u32>,
}

impl Parts {
    fn read(payload: &[u8]) -> Option<Self> {
        let mut parts = Self::default();
        for entry in Entries::new(payload).ok()? {
            let (name, value) = entry.ok()?;
            let part = match name {
                "year" => &mut parts.year,
                "month" => &mut parts.month,
                "day" => &mut parts.day,
                "hour" => &mut parts.hour,
                "minute" => &mut parts.minute,
                "second" => &mut parts.second,
                "microsecond" => &mut parts.microsecond,
                _ => continue,
            };
            *part = integer(&mut Input::new(value))?.try_into().ok();
        }
        Some(parts)
    }

    /// Formats the date, if it exists. Python's years are 1 to 9999.
    fn date(&self) -> Option<String> {
        let year = i32::try_from(self.year?).ok().filter(|year| (1..=9999).contains(year))?;
        let month = u8::try_from(self.month?).ok().and_then(|m| time::Month::try_from(m).ok())?;
        let day = self.day?.try_into().ok()?;
        let date = time::Date::from_calendar_date(year, month, day).ok()?;
        Some(format!("{year:04}-{:02}-{:02}", u8::from(date.month()), date.day()))
    }
}
