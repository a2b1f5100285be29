//! The context of a request: named JSON values that travel beside its arguments.
//!
//! Order is kept, as in Python's dicts, so that what is sent is byte for byte what an oslo peer
//! would send.

use serde_json::Value;

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
        entries.into_iter().for_each(|(key, value)| context.insert(key, value));
        context
    }
}
