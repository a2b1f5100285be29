//! Exceptions in replies: JSON text in a string of the payload, which is text in the envelope
//! itself.
//!
//! Literals here are text inside two JSON strings, hence `\\\"` for each quote. An exception that
//! was received keeps its name when it is sent on.

use serde_json::{Map, Value};

use crate::codec::error::WriteError;
use crate::codec::json;
use crate::codec::json::Members;
use crate::dialect::body::failure::{lines, list, text};
use crate::dialect::error::DecodeError;
use crate::error::failure::Failure;

/// Appends the JSON string of an exception, with its quotes.
pub(super) fn write(out: &mut Vec<u8>, failure: &Failure) -> Result<(), WriteError> {
    out.extend_from_slice(br#"\"{\\\"class\\\": \\\""#);
    json::push_text::<2>(out, failure.class());
    out.extend_from_slice(br#"\\\", \\\"module\\\": \\\""#);
    json::push_text::<2>(out, failure.module());
    out.extend_from_slice(br#"\\\", \\\"message\\\": \\\""#);
    json::push_text::<2>(out, failure.message());
    out.extend_from_slice(br#"\\\", \\\"tb\\\": "#);
    json::write::<2, _>(out, failure.traceback())?;
    out.extend_from_slice(br#", \\\"args\\\": "#);
    json::write::<2, _>(out, failure.args())?;
    out.extend_from_slice(br#", \\\"kwargs\\\": "#);
    json::write::<2, _>(out, failure.kwargs())?;
    out.extend_from_slice(br#"}\""#);
    Ok(())
}

/// Reads an exception from its JSON text. The text has a budget of its own: the budget of the
/// message counts it as one string.
pub(super) fn read(json: &str) -> Result<Failure, DecodeError> {
    let mut fields = Map::new();
    for member in Members::new(json.as_bytes())? {
        let (key, value) = member?;
        if let "class" | "module" | "message" | "tb" | "args" | "kwargs" = &*key {
            fields.insert(key.into_owned(), json::from_slice(value.as_bytes())?);
        }
    }
    let mut field = |key: &str| fields.remove(key).unwrap_or_default();
    let (class, module, message) =
        (text(field("class")), text(field("module")), text(field("message")));
    let kwargs = if let Value::Object(kwargs) = field("kwargs") { kwargs } else { Map::new() };
    Ok(Failure::new(class, module, message)
        .with_traceback(lines(field("tb")))
        .with_args(list(field("args")))
        .with_kwargs(kwargs))
}
