//! The context of a request: named JSON values sent beside its arguments.
//!
//! Entries keep their order, as in Python's dicts, so that the bytes sent are those of an oslo
//! peer. Contexts are short, so a lookup compares each key. A long context, which a peer may send
//! to waste our CPU time, is deduplicated by hashing. Received values are decoded on first use
//! (`entry`).

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::fmt;

use serde_json::Value;

use crate::codec::encoded::Encoded;
use crate::message::context::entry::Entry;

mod entry;
mod trace;

pub use crate::message::context::trace::{InvalidTraceParent, TraceParent};

/// The number of entries up to which comparing each pair of keys is cheaper than hashing.
const SHORT_MAX: usize = 64;

/// The longest time between two heartbeats that a server lets a client ask for, in seconds.
pub(crate) const CLIENT_TIMEOUT_MAX: f64 = 3600.0;

/// Named JSON values that accompany a request: the user, the request id, and so on.
///
/// ```
/// use leveret::Context;
///
/// let context = Context::new().with("user", "alice").with("depth", 3);
/// assert_eq!(context.get("user").unwrap(), "alice");
/// assert_eq!(Context::from(()), Context::new());
/// let mut shorter = context;
/// shorter.remove("depth");
/// assert_eq!(shorter, Context::new().with("user", "alice"));
/// ```
#[derive(Clone, Default)]
pub struct Context {
    entries: Vec<Entry>,
    /// Keys and encoded values of received entries.
    buffer: Vec<u8>,
    client_timeout: Option<f64>,
}

impl Context {
    /// Creates an empty context.
    pub const fn new() -> Self {
        Self { entries: Vec::new(), buffer: Vec::new(), client_timeout: None }
    }

    /// Sets `key` to `value`, and returns the context.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.insert(key, value);
        self
    }

    /// Sets `key` to `value`. A key that exists keeps its position.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        let key = key.into();
        let position = self.position(&key);
        let entry = Entry::own(key, value.into());
        match position {
            Some(position) => self.entries[position] = entry,
            None => self.entries.push(entry),
        }
    }

    fn position(&self, key: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.key_bytes(&self.buffer) == key.as_bytes())
    }

    /// Appends a received entry, whose value was validated. It does not search for an equal key:
    /// call [`dedup_keys`](Self::dedup_keys) after the last one.
    pub(crate) fn append(&mut self, key: &str, value: Encoded<'_>) {
        self.entries.push(Entry::received(&mut self.buffer, key, value));
    }

    /// Merges entries with the same key: the last value counts, at the position of the first.
    pub(crate) fn dedup_keys(&mut self) {
        let is_short = self.entries.len() <= SHORT_MAX;
        let keys = || self.entries.iter().map(|entry| entry.key_bytes(&self.buffer));
        if is_short && keys().enumerate().all(|(at, key)| keys().take(at).all(|one| one != key)) {
            return;
        }
        let mut first = HashMap::new();
        let mut repeats = Vec::new();
        for (position, key) in keys().enumerate() {
            match first.entry(key) {
                MapEntry::Vacant(vacant) => drop(vacant.insert(position)),
                MapEntry::Occupied(seen) => repeats.push((*seen.get(), position)),
            }
        }
        drop(first);
        for (first, repeat) in &repeats {
            self.entries.swap(*first, *repeat);
        }
        let mut repeats = repeats.into_iter().map(|(_, position)| position).peekable();
        let mut positions = 0..;
        self.entries
            .retain(|_| repeats.next_if_eq(&positions.next().unwrap_or_default()).is_none());
    }

    /// Removes `key`, and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let entry = self.entries.remove(self.position(key)?);
        Some(entry.into_value(&self.buffer))
    }

    /// Returns the value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        Some(self.entries[self.position(key)?].value(&self.buffer))
    }

    /// Iterates over keys and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        let buffer = &self.buffer;
        self.entries.iter().map(move |entry| (entry.key(buffer), entry.value(buffer)))
    }

    /// Whether it has no entries.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns, on a server, the `call_monitor_timeout` of the client in seconds (oslo calls it
    /// `client_timeout`): above 0, at most 3600. It is not an entry, so a context that is passed on
    /// in another call does not contain it.
    pub const fn client_timeout(&self) -> Option<f64> {
        self.client_timeout
    }

    /// Sets the timeout that a peer sent. NaN, zero and negative values count as none; values above
    /// [`CLIENT_TIMEOUT_MAX`] are cut to it.
    pub(crate) fn set_client_timeout(&mut self, seconds: Option<f64>) {
        let seconds = seconds.filter(|seconds| *seconds > 0.0);
        self.client_timeout = seconds.map(|seconds| seconds.min(CLIENT_TIMEOUT_MAX));
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("entries", &self.iter().collect::<Vec<_>>())
            .field("client_timeout", &self.client_timeout)
            .finish()
    }
}

/// Two contexts are equal if the same keys have the same values, in the same order.
impl PartialEq for Context {
    fn eq(&self, other: &Self) -> bool {
        self.client_timeout == other.client_timeout && self.iter().eq(other.iter())
    }
}

impl AsRef<Self> for Context {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// `()` is the empty context.
impl AsRef<Context> for () {
    fn as_ref(&self) -> &Context {
        const { &Context::new() }
    }
}

/// `()` is the empty context.
impl From<()> for Context {
    fn from((): ()) -> Self {
        Self::new()
    }
}

impl From<&Self> for Context {
    fn from(context: &Self) -> Self {
        context.clone()
    }
}

impl From<serde_json::Map<String, Value>> for Context {
    fn from(map: serde_json::Map<String, Value>) -> Self {
        map.into_iter().collect()
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Context {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut context = Self::new();
        let entries = entries.into_iter().map(|(key, value)| Entry::own(key.into(), value.into()));
        context.entries.extend(entries);
        context.dedup_keys();
        context
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn received_entries_behave_like_set_ones() {
        let mut context = Context::new();
        context.append("a", Encoded::json(br#"[1, NaN, "\ud800"]"#));
        context.append("b", Encoded::json(b"1"));
        context.append("c", Encoded::MsgPack(b"\x81\x01\xc4\x01x".into()));
        context.append("d", Encoded::Value(Value::from(4)));
        context.append("b", Encoded::json(b"null"));
        context.dedup_keys();
        let set = Context::new()
            .with("a", json!([1, null, "\u{fffd}"]))
            .with("b", Value::Null)
            .with("c", json!({"1": "x"}))
            .with("d", 4);
        assert_eq!(context, set);
        assert_eq!(format!("{context:?}"), format!("{set:?}"));
        assert_eq!(context.get("d"), Some(&json!(4)));
        assert_eq!(context.get("e"), None);
        let copy = context.clone();
        context.insert("b", 2);
        context.insert("e", 5);
        assert_eq!(context.remove("c"), Some(json!({"1": "x"})));
        assert_eq!((context.remove("c"), copy.get("c")), (None, Some(&json!({"1": "x"}))));
        let keys: Vec<_> = context.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["a", "b", "d", "e"]);
        assert_eq!((context.get("b"), copy.get("b")), (Some(&json!(2)), Some(&Value::Null)));
    }

    #[test]
    fn a_clients_timeout_is_positive_and_at_most_an_hour() {
        let taken = |seconds| {
            let mut context = Context::new();
            context.set_client_timeout(Some(seconds));
            context.client_timeout()
        };
        for nonsense in [f64::NAN, f64::NEG_INFINITY, -1.0, 0.0] {
            assert_eq!(taken(nonsense), None, "{nonsense}");
        }
        assert_eq!([0.5, 2.0, 3600.0].map(taken), [0.5, 2.0, 3600.0].map(Some));
        assert_eq!([3601.0, 1e308, f64::INFINITY].map(taken), [Some(3600.0); 3]);
    }

    #[test]
    fn a_repeated_key_keeps_its_position_and_takes_the_last_value() {
        for count in [3, SHORT_MAX, 10_000] {
            let keys = (0..count).map(|number| number.to_string());
            let context: Context = keys.chain(["1".to_owned()]).zip(0..).collect();
            assert_eq!(context.iter().count(), count);
            let second = context.iter().nth(1).unwrap();
            assert_eq!(second, ("1", &Value::from(count)));
        }
    }
}
