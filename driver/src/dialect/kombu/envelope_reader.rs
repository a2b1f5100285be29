//! Reads the envelope around a payload: version 2.0, or none.
//!
//! The usual spelling is recognized by its fixed bytes, and its string is unescaped in one pass.
//! Any other spelling is parsed as JSON.

use crate::codec::json;
use crate::codec::json::{Members, ReadError};
use crate::dialect::body::scratch::Scratch;
use crate::dialect::error::DecodeError;
use crate::message::version::Version;

/// The beginning of an envelope in the usual spelling, which Python and we write.
pub(super) const ENVELOPE_OPEN: &[u8] = br#"{"oslo.version": "2.0", "oslo.message": ""#;
/// The end of an envelope in the usual spelling.
pub(super) const ENVELOPE_CLOSE: &[u8] = br#""}"#;

/// Returns the text of the payload: the content of the envelope, or the whole body where it has
/// none. `members` iterates over the members of the body.
pub(super) fn open_envelope<'a>(
    body: &'a [u8],
    scratch: &'a mut Scratch,
    members: fn(&'a [u8]) -> Result<Members<'a>, ReadError>,
) -> Result<&'a [u8], DecodeError> {
    let payload = &mut scratch.payload;
    payload.clear();
    let content =
        body.strip_prefix(ENVELOPE_OPEN).and_then(|rest| rest.strip_suffix(ENVELOPE_CLOSE));
    if content.is_some_and(|content| json::unescape_into(content, payload)) {
        return Ok(payload);
    }
    let (mut version, mut message) = (None, None);
    for member in members(body)? {
        let (key, value) = member?;
        match &*key {
            "oslo.version" => version = Some(value),
            "oslo.message" => message = Some(value),
            _ => {}
        }
    }
    let (Some(version), Some(message)) = (version, message) else {
        return Ok(body);
    };
    let number = if version.starts_with('"') { json::parse_string(version)? } else { "".into() };
    if !number.parse().is_ok_and(|version| Version::new(2, 0).serves(&version)) {
        return Err(DecodeError::EnvelopeVersion(version.chars().take(32).collect()));
    }
    if !message.starts_with('"') {
        return Err(DecodeError::EnvelopeMessage);
    }
    payload.clear();
    payload.extend_from_slice(json::parse_string(message)?.as_bytes());
    Ok(payload)
}

/// Whether a body has an envelope in the usual spelling by its first and last bytes.
pub(crate) fn is_enveloped(head: &[u8], tail: &[u8]) -> bool {
    head.starts_with(ENVELOPE_OPEN) && tail.ends_with(ENVELOPE_CLOSE)
}
