//! Exceptions inside replies: JSON text in a string of the payload, which is itself text in the
//! envelope.
//!
//! Literals here are the text of level 2, hence `\\\"` for each quote. An exception that already
//! travelled is sent on under its original name. Reading is lenient: whatever a peer leaves out is
//! empty.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::json::{self, ReadError, WriteError};
use crate::message::Failure;

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

/// Reads the exception from its JSON text.
pub(super) fn read(text: &str) -> Result<Failure, ReadError> {
    #[derive(Deserialize)]
    #[serde(default)]
    struct Parts {
        class: Option<String>,
        module: Option<String>,
        message: Value,
        tb: Value,
        args: Value,
        kwargs: Value,
    }
    impl Default for Parts {
        fn default() -> Self {
            let null = Value::Null;
            let (message, tb, args) = (null.clone(), null.clone(), null.clone());
            Self { class: None, module: None, message, tb, args, kwargs: null }
        }
    }
    let parts: Parts = json::from_slice(text.as_bytes())?;
    let message = match parts.message {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    };
    let list = |value| if let Value::Array(list) = value { list } else { Vec::new() };
    let lines = list(parts.tb).into_iter().filter_map(|line| line.as_str().map(str::to_owned));
    let kwargs = if let Value::Object(kwargs) = parts.kwargs { kwargs } else { Map::new() };
    let class = parts.class.unwrap_or_default();
    Ok(Failure::new(class, parts.module.unwrap_or_default(), message)
        .with_traceback(lines)
        .with_args(list(parts.args))
        .with_kwargs(kwargs))
}
