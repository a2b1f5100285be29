//! The filter of an endpoint: rules over publisher, event type, context, metadata and payload.
//!
//! All rules must hold; a key that is missing or whose value is no text is a mismatch, as in oslo.
//! Expressions are anchored at the start only, as Python's `re.match`. They run in linear time, so
//! no notification can make one take forever; look-around and back-references, which cannot, are
//! refused when the rule is made.

use regex::Regex;
use serde_json::Value;

use crate::error::{Error, ErrorKind};
use crate::notify::listener::received::Received;

/// Rules that a notification must fulfil to reach an endpoint (oslo's `NotificationFilter`).
///
/// ```
/// use leveret::NotificationFilter;
///
/// # fn main() -> Result<(), leveret::Error> {
/// let filter = NotificationFilter::new()
///     .publisher_id("^compute.*")?
///     .event_type("compute\\.instance\\.(create|delete)\\.end")?
///     .payload("state", "^active$")?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct NotificationFilter {
    publisher_id: Option<Regex>,
    event_type: Option<Regex>,
    context: Vec<(String, Regex)>,
    metadata: Vec<(String, Regex)>,
    payload: Vec<(String, Regex)>,
}

impl NotificationFilter {
    /// Creates a filter that every notification passes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule: the publisher matches.
    ///
    /// # Errors
    /// `ConfigurationError` if `pattern` is no regular expression.
    pub fn publisher_id(mut self, pattern: &str) -> Result<Self, Error> {
        self.publisher_id = Some(anchored(pattern)?);
        Ok(self)
    }

    /// Adds a rule: the event type matches.
    ///
    /// # Errors
    /// As [`publisher_id`](Self::publisher_id).
    pub fn event_type(mut self, pattern: &str) -> Result<Self, Error> {
        self.event_type = Some(anchored(pattern)?);
        Ok(self)
    }

    /// Adds a rule: the value of `key` in the context is text that matches.
    ///
    /// # Errors
    /// As [`publisher_id`](Self::publisher_id).
    pub fn context(mut self, key: &str, pattern: &str) -> Result<Self, Error> {
        self.context.push((key.to_owned(), anchored(pattern)?));
        Ok(self)
    }

    /// Adds a rule: the metadata `key` (`message_id`, `timestamp`) matches.
    ///
    /// # Errors
    /// As [`publisher_id`](Self::publisher_id).
    pub fn metadata(mut self, key: &str, pattern: &str) -> Result<Self, Error> {
        self.metadata.push((key.to_owned(), anchored(pattern)?));
        Ok(self)
    }

    /// Adds a rule: the value of `key` in the payload is text that matches.
    ///
    /// # Errors
    /// As [`publisher_id`](Self::publisher_id).
    pub fn payload(mut self, key: &str, pattern: &str) -> Result<Self, Error> {
        self.payload.push((key.to_owned(), anchored(pattern)?));
        Ok(self)
    }

    pub(crate) fn passes(&self, notification: &Received) -> bool {
        let text = |rule: &Option<Regex>, text: &str| {
            rule.as_ref().is_none_or(|pattern| pattern.is_match(text))
        };
        text(&self.publisher_id, &notification.publisher_id)
            && text(&self.event_type, &notification.event_type)
            && all(&self.context, |key| notification.context.get(key)?.as_str())
            && all(&self.metadata, |key| match key {
                "message_id" => Some(&notification.message_id),
                "timestamp" => Some(&notification.timestamp),
                _ => None,
            })
            && self.passes_payload(notification)
    }

    fn passes_payload(&self, notification: &Received) -> bool {
        if self.payload.is_empty() {
            return true;
        }
        let payload = notification.read::<Value>().map(|read| read.payload).unwrap_or_default();
        all(&self.payload, |key| payload.get(key)?.as_str())
    }
}

fn all<'a>(rules: &[(String, Regex)], find: impl Fn(&str) -> Option<&'a str>) -> bool {
    rules.iter().all(|(key, pattern)| find(key).is_some_and(|text| pattern.is_match(text)))
}

fn anchored(pattern: &str) -> Result<Regex, Error> {
    Regex::new(&format!("^(?:{pattern})")).map_err(|error| {
        let text = format!("the filter's expression {pattern:?} cannot be used: {error}");
        Error::new(ErrorKind::ConfigurationError, text).with_cause(error)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::message::context::Context;
    use crate::message::priority::Priority;

    fn passes(filter: Result<NotificationFilter, Error>) -> bool {
        let payload = json!({"state": "active", "n": 5}).to_string();
        filter.unwrap().passes(&Received {
            publisher_id: "compute.host1".into(),
            event_type: "instance.create.end".into(),
            priority: Priority::Info,
            payload: Some(crate::codec::encoded::Encoded::Json(payload.into_bytes().into())),
            context: Context::new().with("user", "alice"),
            message_id: "abc".into(),
            timestamp: "2026-11-22 22:32:27".into(),
            unique_id: None,
        })
    }

    #[test]
    fn all_rules_must_hold_from_the_start() {
        let new = NotificationFilter::new;
        assert!(passes(Ok(new())));
        assert!(passes(new().publisher_id("compute")), "anchored at the start only");
        assert!(!passes(new().publisher_id("host1")));
        assert!(!passes(new().publisher_id("x|host1")), "each alternative is anchored");
        assert!(passes(new().event_type("instance.*end$").and_then(|f| f.context("user", "al"))));
        assert!(!passes(new().event_type("instance").and_then(|f| f.context("user", "bob"))));
        assert!(passes(new().metadata("message_id", "abc").and_then(|f| f.payload("state", "a"))));
        assert!(!passes(new().metadata("absent", "")), "a missing key is a mismatch");
        assert!(!passes(new().payload("n", "5")), "what is no text is a mismatch");
    }

    #[test]
    fn an_expression_without_meaning_is_refused() {
        let error = NotificationFilter::new().event_type("(").unwrap_err();
        assert!(error.to_string().contains("\"(\" cannot be used"), "{error}");
        assert!(NotificationFilter::new().payload("k", "(?=x)").is_err());
    }
}
