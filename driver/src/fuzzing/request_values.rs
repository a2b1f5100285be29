//! The values of a request, in a form that can be compared and written again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::codec::encoded::Encoded;
use crate::dialect::format::WireFormat;
use crate::fuzzing::values::same;
use crate::message::context::Context;
use crate::message::ids::Hex32;
use crate::message::{CallFields, IncomingRequest, Request};

/// Bytes of the largest body.
pub(super) const BODY_MAX: usize = 20_000;

/// What a request says, decoded.
#[derive(Debug)]
pub(super) struct RequestValues {
    method: Option<String>,
    namespace: Option<String>,
    version: Option<String>,
    pub(super) msg_id: Option<String>,
    pub(super) reply_queue: Option<String>,
    client_timeout: Option<f64>,
    args: Option<Value>,
    context: BTreeMap<String, Value>,
}

impl RequestValues {
    /// Null counts as missing.
    pub(super) fn of(request: IncomingRequest<'_>) -> Self {
        let text = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned).filter(|t| t != "null");
        let (context, args) = (&request.context, &request.args);
        let entries = context.iter().map(|(key, value)| (key.to_owned(), value.clone()));
        let entries: Vec<_> = entries.collect();
        let count = entries.len();
        let context: BTreeMap<_, _> = entries.into_iter().collect();
        assert_eq!(context.len(), count, "each key once");
        let client_timeout = request.context.client_timeout();
        assert!(client_timeout.is_none_or(|seconds| seconds > 0.0 && seconds <= 3600.0));
        Self {
            args: args.as_ref().map(decoded).filter(|args| !args.is_null()),
            method: text(request.method),
            namespace: text(request.namespace),
            version: text(request.version),
            msg_id: text(request.msg_id),
            reply_queue: text(request.reply_queue),
            client_timeout,
            context,
        }
    }

    pub(super) fn assert_same(&self, other: &Self) {
        let texts = |one: &Self| {
            [&one.method, &one.namespace, &one.version, &one.msg_id, &one.reply_queue]
                .map(Clone::clone)
        };
        assert_eq!(texts(self), texts(other));
        let optional = |args: &Option<Value>| args.clone().unwrap_or_default();
        assert!(same(&optional(&self.args), &optional(&other.args)), "{self:?} {other:?}");
        assert!(self.context.keys().eq(other.context.keys()));
        let mut values = self.context.values().zip(other.context.values());
        assert!(values.all(|(one, other)| same(one, other)), "{self:?} {other:?}");
    }

    /// Compares with the members of the request's object.
    pub(super) fn assert_members(&self, members: &Map<String, Value>, context_prefix: &str) {
        let texts = [("method", &self.method), ("namespace", &self.namespace)];
        for (key, found) in texts {
            match members.get(key) {
                None | Some(Value::Null) => assert_eq!(*found, None),
                Some(Value::String(text)) => assert_eq!(found.as_deref().unwrap_or("null"), text),
                Some(_) => {}
            }
        }
        let args = members.get("args").filter(|args| !args.is_null());
        assert_eq!(self.args.as_ref(), args);
        for (key, value) in &self.context {
            assert_eq!(members.get(&format!("{context_prefix}{key}")), Some(value));
        }
    }

    /// Writes the request in a format, if it can be one.
    pub(super) fn encode(&self, format: &WireFormat) -> Option<Vec<u8>> {
        let args = self.args.as_ref().filter(|args| args.is_object())?;
        let mut context = Context::new();
        self.context.iter().for_each(|(key, value)| context.insert(key, value.clone()));
        let msg_id = self.msg_id.as_deref().map(|id| Hex32::from_digits(id.as_bytes()));
        let call = match (msg_id, self.reply_queue.as_deref()) {
            (Some(id), Some(reply_queue)) => {
                let monitor = self.client_timeout.map(Duration::from_secs_f64);
                Some(CallFields { msg_id: id?, reply_queue, monitor })
            }
            (None, None) => None,
            _ => return None,
        };
        let request = Request {
            method: self.method.as_deref()?,
            args,
            namespace: self.namespace.as_deref(),
            version: self.version.as_deref(),
            context: &context,
            unique_id: Hex32::from_digits(&[b'0'; 32])?,
            call,
        };
        let mut body = Vec::new();
        format.encode_request(&mut body, &request).expect("what is read can be written");
        Some(body).filter(|body| body.len() <= BODY_MAX)
    }
}

/// Decodes a value that was checked when it was received.
pub(super) fn decoded(value: &Encoded<'_>) -> Value {
    match value.read() {
        Ok(value) => value,
        Err(error) => {
            assert!(matches!(value, Encoded::MsgPack(_)), "checked JSON can be decoded: {error}");
            Value::Null
        }
    }
}
