//! oslo's `Target`: where a request goes, what a server serves, what an endpoint implements.
//!
//! Plain data. Each operation checks the fields it needs, and fails with oslo's error texts.

use std::fmt;

use crate::error::{Error, ErrorKind};
use crate::message::version::Version;

/// The destination of a request, or the identity of a server.
///
/// A client needs a topic. A server needs a topic and a server name. Everything else is optional.
///
/// ```
/// use leveret::Target;
///
/// let target = Target::new("compute").with_server("host1");
/// assert_eq!(target.to_string(), "<Target topic=compute, server=host1>");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    exchange: Option<String>,
    topic: Option<String>,
    namespace: Option<String>,
    version: Option<Version>,
    server: Option<String>,
    fanout: bool,
}

impl Target {
    /// Creates a target with this topic.
    pub fn new(topic: impl Into<String>) -> Self {
        Self { topic: Some(topic.into()), ..Self::default() }
    }

    /// Sets the exchange, instead of the transport's control exchange.
    #[must_use]
    pub fn with_exchange(mut self, exchange: impl Into<String>) -> Self {
        self.exchange = Some(exchange.into());
        self
    }

    /// Sets the topic.
    #[must_use]
    pub fn with_topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Sets the namespace of the methods.
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Sets the version that a request asks for or an endpoint implements.
    #[must_use]
    pub const fn with_version(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }

    /// Sets the server: one of those of the topic.
    #[must_use]
    pub fn with_server(mut self, server: impl Into<String>) -> Self {
        self.server = Some(server.into());
        self
    }

    /// Sets whether the target is all servers of the topic. It takes precedence over a server
    /// name.
    #[must_use]
    pub const fn with_fanout(mut self, fanout: bool) -> Self {
        self.fanout = fanout;
        self
    }

    /// Returns the exchange; `None` stands for the transport's control exchange.
    pub fn exchange(&self) -> Option<&str> {
        self.exchange.as_deref()
    }

    /// Returns the topic.
    pub fn topic(&self) -> Option<&str> {
        self.topic.as_deref()
    }

    /// Returns the namespace of the methods.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Returns the version that a request asks for or an endpoint implements.
    pub const fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    /// Returns the server's name.
    pub fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// Whether the target is all servers of the topic.
    pub const fn is_fanout(&self) -> bool {
        self.fanout
    }

    /// Returns the topic, or the error for a client's target without one.
    pub(crate) fn require_topic(&self) -> Result<&str, Error> {
        match self.topic() {
            Some(topic) if !topic.is_empty() => Ok(topic),
            _ => Err(self.invalid("A topic is required to send")),
        }
    }

    /// Returns the topic and the server name, or the error for a server's target that lacks one.
    pub(crate) fn require_topic_and_server(&self) -> Result<(&str, &str), Error> {
        match (self.topic(), self.server()) {
            (Some(topic), Some(server)) if !topic.is_empty() && !server.is_empty() => {
                Ok((topic, server))
            }
            _ => Err(self.invalid("A server's target must have topic and server names specified")),
        }
    }

    /// Creates the error for a target that the operation cannot use.
    pub(crate) fn invalid(&self, reason: impl fmt::Display) -> Error {
        Error::new(ErrorKind::InvalidTarget, format!("{reason}:{self}"))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.version.map(|version| version.to_string());
        let attributes = [
            ("exchange", self.exchange()),
            ("topic", self.topic()),
            ("namespace", self.namespace()),
            ("version", version.as_deref()),
            ("server", self.server()),
            ("fanout", self.fanout.then_some("True")),
        ];
        f.write_str("<Target ")?;
        let mut separator = "";
        for (name, value) in attributes {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                write!(f, "{separator}{name}={value}")?;
                separator = ", ";
            }
        }
        f.write_str(">")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_fields_fail_with_oslos_texts() {
        let error = Target::default().require_topic().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidTarget);
        assert_eq!(error.to_string(), "A topic is required to send:<Target >");
        let error = Target::new("t").require_topic_and_server().unwrap_err();
        assert_eq!(
            error.to_string(),
            "A server's target must have topic and server names specified:<Target topic=t>"
        );
    }

    #[test]
    fn a_target_prints_as_in_oslo() {
        let target = Target::new("t")
            .with_exchange("e")
            .with_version(Version::new(1, 2))
            .with_namespace("n")
            .with_fanout(true);
        assert_eq!(
            target.to_string(),
            "<Target exchange=e, topic=t, namespace=n, version=1.2, fanout=True>"
        );
    }
}
