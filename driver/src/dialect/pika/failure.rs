//! Exceptions inside replies: an object of four short keys. Arguments do not travel.

use serde::Serialize;
use serde_json::Value;

use crate::error::failure::Failure;

/// An exception as it is written.
#[derive(Serialize)]
pub(super) struct Raised<'a> {
    c: &'a str,
    m: &'a str,
    s: &'a str,
    t: &'a [String],
}

impl<'a> Raised<'a> {
    pub(super) fn of(failure: &'a Failure) -> Self {
        Self {
            c: failure.class(),
            m: failure.module(),
            s: failure.message(),
            t: failure.traceback(),
        }
    }
}

/// The exception that was written; what a peer left out is empty.
pub(super) fn read(mut parts: Value) -> Failure {
    let mut text = |key: &str| match parts.get_mut(key).map(Value::take) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
    };
    let (class, module, message) = (text("c"), text("m"), text("s"));
    let lines = parts.get("t").and_then(Value::as_array).into_iter().flatten();
    let lines: Vec<_> = lines.filter_map(Value::as_str).map(str::to_owned).collect();
    Failure::new(class, module, message).with_args([]).with_traceback(lines)
}
