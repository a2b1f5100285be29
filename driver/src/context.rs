//! The context of a request: named JSON values that travel beside its arguments.
//!
//! Order is kept, as in Python's dicts, so that what is sent is byte for byte what an oslo peer
//! would send. Contexts are short, so keys are found by looking at each; a long one, which a peer
//! may send to keep us busy, is taken in by hashing.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

mod trace;

pub use trace::{InvalidTraceParent, TraceParent};

/// Entries up to which looking at each pair of keys is cheaper than hashing.
const SHORT_MAX: usize = 64;

/// Named JSON values that accompany a request: who asks, under which request id, and so on.
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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context {
    entries: Vec<(String, Value)>,
    client_timeout: Option<f64>,
}

impl Context {
    /// An empty context.
    pub const fn new() -> Self {
        Self { entries: Vec::new(), client_timeout: None }
    }

    /// The same context with `key` set to `value`.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.insert(key, value);
        self
    }

    /// Sets `key` to `value`, in its old place if it is there already.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        let (key, value) = (key.into(), value.into());
        match self.entries.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => self.entries.push((key, value)),
        }
    }

    /// Appends an entry without a look at the others; [`settle`](Self::settle) makes up for it.
    pub(crate) fn append(&mut self, key: impl Into<String>, value: Value) {
        self.entries.push((key.into(), value));
    }

    /// Of appended entries with the same key the last value counts, in the first one's place.
    pub(crate) fn settle(&mut self) {
        let keys = || self.entries.iter().map(|(key, _)| key.as_str());
        let is_settled = if self.entries.len() > SHORT_MAX {
            let mut seen = HashSet::with_capacity(self.entries.len());
            keys().all(|key| seen.insert(key))
        } else {
            keys().enumerate().all(|(place, key)| keys().take(place).all(|other| other != key))
        };
        if is_settled {
            return;
        }
        let mut places = HashMap::new();
        for (key, value) in std::mem::take(&mut self.entries) {
            let next = self.entries.len();
            let place = *places.entry(key.clone()).or_insert(next);
            match self.entries.get_mut(place) {
                Some((_, old)) => *old = value,
                None => self.entries.push((key, value)),
            }
        }
    }

    /// Takes `key` out, and returns what it was set to.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let place = self.entries.iter().position(|(known, _)| known == key)?;
        Some(self.entries.remove(place).1)
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// Keys and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Whether it holds nothing.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// On a server: the seconds of the call monitor the client asked for (oslo calls it
    /// `client_timeout`). It is no entry, so that a context handed on in another call does not
    /// carry it.
    pub const fn client_timeout(&self) -> Option<f64> {
        self.client_timeout
    }

    pub(crate) const fn set_client_timeout(&mut self, seconds: Option<f64>) {
        self.client_timeout = seconds;
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
        entries.into_iter().for_each(|(key, value)| context.append(key, value.into()));
        context.settle();
        context
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_key_keeps_its_place_and_takes_the_last_value() {
        for count in [3, SHORT_MAX, 10_000] {
            let keys = (0..count).map(|number| number.to_string());
            let context: Context = keys.chain(["1".to_owned()]).zip(0..).collect();
            assert_eq!(context.iter().count(), count);
            let second = context.iter().nth(1).unwrap();
            assert_eq!(second, ("1", &Value::from(count)));
        }
    }
}
