//! The extension types of oslo's `msgpackutils`, as what oslo's JSON would carry in their place.
//!
//! 0 a UUID, 1 a time, 2 a counter, 3 an address, 4 and 5 sets, 6 a time of XML-RPC, 7 a date.
//! Times lose their zone, as in oslo's JSON. Invariant: a payload that oslo could not have written
//! is an error, as it is to Python, and nothing here recurses, however extensions are nested. Not
//! here: the elements of a set, which are for the reader to count.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::codec::msgpack::entries::Entries;
use crate::codec::msgpack::error::ReadError as Error;
use crate::codec::msgpack::token::{Input, Token};

/// What an extension stands for.
#[derive(Debug)]
pub(super) enum Meaning<'a> {
    Text(String),
    /// Within `i64` or `u64`.
    Integer(i128),
    /// The elements, as an array of msgpack.
    Set(&'a [u8]),
}

pub(super) fn meaning(kind: i8, payload: &[u8]) -> Result<Meaning<'_>, Error> {
    let text = match kind {
        0 => uuid(payload),
        1 | 6 => time(payload),
        2 => return count(payload).map(Meaning::Integer).ok_or(Error::Extension(kind)),
        3 => address(payload),
        4 | 5 => return Ok(Meaning::Set(payload)),
        7 => date(payload),
        _ => return Err(Error::UnknownExtension(kind)),
    };
    text.map(Meaning::Text).ok_or(Error::Extension(kind))
}

/// 32 hexadecimal digits, which JSON has with dashes.
fn uuid(payload: &[u8]) -> Option<String> {
    if payload.len() != 32 || !payload.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let digits = std::str::from_utf8(payload).ok()?.to_ascii_lowercase();
    let part = |range: std::ops::Range<usize>| &digits[range];
    Some([part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-"))
}

/// An array of the next number and the step.
fn count(payload: &[u8]) -> Option<i128> {
    let mut input = Input::new(payload);
    let Ok(Token::Array(2)) = input.token() else { return None };
    let next = integer(&mut input)?;
    integer(&mut input)?;
    input.finish().ok()?;
    Some(next)
}

/// A bare integer. No deserializer, which would follow extensions within extensions.
fn integer(input: &mut Input<'_>) -> Option<i128> {
    match input.token() {
        Ok(Token::Unsigned(value)) => Some(value.into()),
        Ok(Token::Signed(value)) => Some(value.into()),
        _ => None,
    }
}

/// A bare integer: what fits 32 bits is version 4, as `netaddr` guesses. Of version 6 there are
/// only those that fit 64 bits; Python's packer has no word for the others.
fn address(payload: &[u8]) -> Option<String> {
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

/// The parts of a date or time, by their names in the payload's map.
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

    /// The date, if the calendar has it; Python's years are 1 to 9999.
    fn date(&self) -> Option<String> {
        let year = i32::try_from(self.year?).ok().filter(|year| (1..=9999).contains(year))?;
        let month = u8::try_from(self.month?).ok().and_then(|m| time::Month::try_from(m).ok())?;
        let day = self.day?.try_into().ok()?;
        let date = time::Date::from_calendar_date(year, month, day).ok()?;
        Some(format!("{year:04}-{:02}-{:02}", u8::from(date.month()), date.day()))
    }
}
