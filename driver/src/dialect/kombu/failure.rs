//! Exceptions inside replies: JSON text in a string of the payload, which is itself text in the
//! envelope.
//!
//! Literals here are the text of level 2, hence `\\\"` for each quote. An exception that already
//! travelled is sent on under its original name. Reading is lenient: whatever a peer leaves out is
//! empty.

use serde_json::{Map, Value};

use crate::codec::error::WriteError;
use crate::codec::json::{self, Members};
use crate::dialect::error::DecodeError;
use crate::error::failure::Failure;

/// Appends the JSON string that holds the exception, quotes included.
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

/// Reads the exception from its JSON text, which has a budget of its own: to that of the message it
/// was one string.
pub(super) fn read(text: &str) -> Result<Failure, DecodeError> {
    let mut parts = Map::new();
    for member in Members::new(text.as_bytes())? {
        let (key, value) = member?;
        if let "class" | "module" | "message" | "tb" | "args" | "kwargs" = &*key {
            parts.insert(key.into_owned(), json::from_slice(value.as_bytes())?);
        }
    }
    let mut part = |key: &str| parts.remove(key).unwrap_or_default();
    let text = |value| match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    };
    let list = |value| if let Value::Array(list) = value { list } else { Vec::new() };
    let (class, module) = (text(part("class")), text(part("module")));
    let lines = list(part("tb")).into_iter();
    let lines = lines.filter_map(|line| line.as_str().map(str::to_owned));
    let kwargs = if let Value::Object(kwargs) = part("kwargs") { kwargs } else { Map::new() };
    Ok(Failure::new(class, module, text(part("message")))
        .with_traceback(lines)
        .with_args(list(part("args")))
        .with_kwargs(kwargs))
}
