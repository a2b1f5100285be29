//! Reads the parts of an exception. Both formats are lenient: a part that is missing is empty.

use serde_json::Value;

/// Reads text. Null is empty; a value of another type is its JSON text.
pub(in crate::dialect) fn text(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Reads the elements of an array. A value of another type has none.
pub(in crate::dialect) fn list(value: Value) -> Vec<Value> {
    if let Value::Array(list) = value { list } else { Vec::new() }
}

/// Reads the lines of a traceback. Elements that are not strings are ignored.
pub(in crate::dialect) fn lines(value: Value) -> impl Iterator<Item = String> {
    list(value).into_iter().filter_map(|line| match line {
        Value::String(line) => Some(line),
        _ => None,
    })
}
