//! The W3C trace context of a request, under the context keys of oslo's own tracing.
//!
//! Leveret transfers it and never creates one: servers get what the caller set. oslo's receivers
//! ignore AMQP headers, while an entry of the context reaches Python endpoints and stays with a
//! context that is passed on.

use std::fmt;
use std::str::FromStr;

use crate::message::context::Context;

/// The keys under which OpenTelemetry injects them.
const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
/// The length in bytes of version, ids and flags with the dashes between them.
const LENGTH: usize = 55;

/// The position of a request in a distributed trace: W3C's `traceparent`.
///
/// ```
/// use leveret::{Context, TraceParent};
///
/// let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let parent: TraceParent = text.parse().unwrap();
/// assert!(parent.is_sampled());
/// assert_eq!(parent.to_string(), text);
///
/// // A client sets its position in the trace, and its server reads it.
/// let context = Context::new().with_traceparent(parent).with_tracestate("vendor=1");
/// assert_eq!(context.traceparent(), Some(parent));
/// // A call that the server makes is a child of its own span.
/// let child = context.with_traceparent(parent.with_parent_id(0xb9c7c989f97918e1).unwrap());
/// assert_eq!(child.traceparent().unwrap().trace_id(), parent.trace_id());
/// assert_eq!(child.tracestate(), Some("vendor=1"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace_id: u128,
    parent_id: u64,
    flags: u8,
}

/// The error of parsing a text that is not a `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidTraceParent;

impl TraceParent {
    /// Creates the `traceparent` of the span `parent_id`. Returns `None` if an id is zero, which
    /// W3C forbids.
    pub fn new(trace_id: u128, parent_id: u64, is_sampled: bool) -> Option<Self> {
        let flags = u8::from(is_sampled);
        (trace_id != 0 && parent_id != 0).then_some(Self { trace_id, parent_id, flags })
    }

    /// Replaces the parent span. Returns `None` if the new id is zero.
    #[must_use]
    pub fn with_parent_id(self, parent_id: u64) -> Option<Self> {
        (parent_id != 0).then_some(Self { parent_id, ..self })
    }

    /// Returns the id of the trace.
    pub const fn trace_id(self) -> u128 {
        self.trace_id
    }

    /// Returns the id of the span that sent the request.
    pub const fn parent_id(self) -> u64 {
        self.parent_id
    }

    /// Whether the sender records the trace.
    pub const fn is_sampled(self) -> bool {
        self.flags & 1 == 1
    }
}

impl Context {
    /// Sets the `traceparent` of the request. oslo.messaging 18.3 and later does the same when its
    /// tracing is enabled, so traces run through Python services; older versions see an entry
    /// `traceparent` like any other.
    #[must_use]
    pub fn with_traceparent(self, parent: TraceParent) -> Self {
        self.with(TRACEPARENT, parent.to_string())
    }

    /// Returns the `traceparent` of the request, if its sender set one that is valid by W3C.
    pub fn traceparent(&self) -> Option<TraceParent> {
        self.traceparent_text()?.parse().ok()
    }

    /// Sets W3C's `tracestate`: what vendors add to a `traceparent`.
    #[must_use]
    pub fn with_tracestate(self, state: impl Into<String>) -> Self {
        self.with(TRACESTATE, state.into())
    }

    /// Returns the `tracestate`, or `None` without a valid `traceparent`, as W3C requires.
    pub fn tracestate(&self) -> Option<&str> {
        self.traceparent()?;
        self.get(TRACESTATE)?.as_str()
    }

    pub(crate) fn traceparent_text(&self) -> Option<&str> {
        self.get(TRACEPARENT)?.as_str()
    }
}

/// Writes version 00.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.parent_id, self.flags)
    }
}

/// Parses any version; of later versions only the fields of version 00 are read.
impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let parts = || {
            let (known, more) = text.split_at_checked(LENGTH)?;
            let mut parts = known.split('-');
            let version = hex(parts.next()?, 2)?;
            let (trace_id, parent_id) = (hex(parts.next()?, 32)?, hex(parts.next()?, 16)?);
            let flags = hex(parts.next()?, 2)? as u8;
            let is_whole = parts.next().is_none()
                && version != 0xff
                && (more.is_empty() || version > 0 && more.starts_with('-'));
            let parent = Self::new(trace_id, parent_id as u64, false).filter(|_| is_whole)?;
            Some(Self { flags, ..parent })
        };
        parts().ok_or(InvalidTraceParent)
    }
}

/// Parses exactly this many hex digits, in lower case as W3C requires.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_hex = text.len() == digits && text.bytes().all(is_digit);
    is_hex.then(|| u128::from_str_radix(text, 16).ok())?
}

impl fmt::Display for InvalidTraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a traceparent is written VERSION-TRACE-PARENT-FLAGS, in lower-case hex digits")
    }
}

impl std::error::Error for InvalidTraceParent {}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_round_trips_as_text() {
        let parent: TraceParent = TEXT.parse().unwrap();
        assert_eq!(parent.trace_id(), 0x0af7651916cd43dd8448eb211c80319c);
        assert_eq!((parent.parent_id(), parent.is_sampled()), (0xb7ad6b7169203331, true));
        assert_eq!(parent.to_string(), TEXT);
        let small = TraceParent::new(1, 2, false).unwrap();
        assert_eq!(small.to_string().parse(), Ok(small));
        let later = TEXT.replacen("00", "01", 1) + "-more";
        assert_eq!(later.parse(), Ok(parent), "the known fields of a later version");
    }

    #[test]
    fn texts_that_w3c_forbids_are_refused() {
        for wrong in [
            "",
            "00",
            &TEXT[1..],
            &TEXT.to_uppercase(),
            &TEXT.replace('-', "_"),
            &TEXT.replacen("00", "ff", 1),
            &format!("{TEXT}-more"),
            &(TEXT.replacen("00", "01", 1) + "more"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319cb7ad6b7169203331-0é",
        ] {
            assert_eq!(wrong.parse::<TraceParent>(), Err(InvalidTraceParent), "{wrong}");
        }
        assert_eq!(TraceParent::new(0, 1, true), None);
        let context = Context::new().with("traceparent", "nonsense").with_tracestate("a=1");
        assert_eq!((context.traceparent(), context.tracestate()), (None, None));
        assert_eq!(Context::new().with("traceparent", 5).traceparent(), None);
    }
}
