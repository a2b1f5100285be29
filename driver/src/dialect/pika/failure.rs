//! Exceptions in replies: an object with four short keys. The format has no arguments of
//! exceptions.

use serde::Serialize;
use serde_json::Value;

use crate::dialect::body::failure::{lines, text};
use crate::error::failure::Failure;

/// The object of an exception: class, module, message (`str(exception)`) and traceback.
#[derive(Serialize)]
pub(super) struct FailureFields<'a> {
    c: &'a str,
    m: &'a str,
    s: &'a str,
    t: &'a [String],
}

impl<'a> FailureFields<'a> {
    pub(super) fn of(failure: &'a Failure) -> Self {
        Self {
            c: failure.class(),
            m: failure.module(),
            s: failure.message(),
            t: failure.traceback(),
        }
    }
}

/// Reads the exception from its object.
pub(super) fn read(mut fields: Value) -> Failure {
    let mut field = |key: &str| fields.get_mut(key).map(Value::take).unwrap_or_default();
    let (class, module, message) = (text(field("c")), text(field("m")), text(field("s")));
    Failure::new(class, module, message).with_args([]).with_traceback(lines(field("t")))
}
