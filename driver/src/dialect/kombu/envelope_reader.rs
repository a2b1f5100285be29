//! The envelope around a payload: how it is written, and how it is read.

use crate::codec::json;
use crate::codec::json::{Members, ReadError};
use crate::dialect::body::scratch::Scratch;
use crate::dialect::error::DecodeError;
use crate::message::version::Version;

/// How every body with an envelope begins as Python and we write it.
pub(super) const ENVELOPE_OPEN: &[u8] = br#"{"oslo.version": "2.0", "oslo.message": ""#;
/// How it ends.
pub(super) const ENVELOPE_CLOSE: &[u8] = br#""}"#;
/// The payload's text: what is in the envelope, or the whole body of a message without one, which
/// is looked for among the body's `members`.
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
    let number = if version.starts_with('"') { json::string(version)? } else { "".into() };
    if !number.parse().is_ok_and(|version| Version::new(2, 0).serves(&version)) {
        return Err(DecodeError::EnvelopeVersion(version.chars().take(32).collect()));
    }
    if !message.starts_with('"') {
        return Err(DecodeError::EnvelopeMessage);
    }
    payload.clear();
    payload.extend_from_slice(json::string(message)?.as_bytes());
    Ok(payload)
}

/// Whether a body looks like an envelope of the usual spelling, judged by its first and last bytes
/// alone.
pub(crate) fn is_enveloped(head: &[u8], tail: &[u8]) -> bool {
    head.starts_with(ENVELOPE_OPEN) && tail.ends_with(ENVELOPE_CLOSE)
}
