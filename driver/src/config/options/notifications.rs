//! What oslo's group `oslo_messaging_notifications` says, as plain data.
//!
//! Invariant: `Debug` never shows the password of the URL. Not here: what a driver's name means,
//! and what becomes of a notification (`notify`).

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::url::TransportUrl;

/// How a service notifies: by which drivers, under which topics, through which broker.
///
/// ```
/// use leveret::NotificationConfig;
///
/// let config = NotificationConfig::default()
///     .with_drivers(["messagingv2"])
///     .with_topics(["notifications", "audit"])
///     .with_retry(Some(3));
/// assert_eq!(config.topics.len(), 2);
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotificationConfig {
    /// `transport_url`: a broker for notifications alone. Default none: the one of the RPCs.
    pub transport_url: Option<String>,
    /// `driver`: names of the drivers that get every notification, in this order. Default none, so
    /// that a notification goes nowhere, as oslo.
    pub drivers: Vec<String>,
    /// `topics`: what a notification is sent under, each topic getting a copy. Default
    /// `notifications`.
    pub topics: Vec<String>,
    /// `retry`: further attempts after the first that failed; zero for none, `None` (oslo's -1) for
    /// as many as it takes. Default `None`.
    pub retry: Option<u32>,
    /// `routing_config`: the file the `routing` driver reads. Default none.
    pub routing_config: Option<PathBuf>,
}

impl Default for NotificationConfig {
    fn default() -> Self {
        Self {
            transport_url: None,
            drivers: Vec::new(),
            topics: vec!["notifications".into()],
            retry: None,
            routing_config: None,
        }
    }
}

impl NotificationConfig {
    /// The same options with a broker for notifications alone.
    #[must_use]
    pub fn with_transport_url(mut self, url: impl Into<String>) -> Self {
        self.transport_url = Some(url.into());
        self
    }

    /// The same options with these drivers instead of those before.
    #[must_use]
    pub fn with_drivers<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.drivers = names.into_iter().map(Into::into).collect();
        self
    }

    /// The same options with these topics instead of those before.
    #[must_use]
    pub fn with_topics<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.topics = topics.into_iter().map(Into::into).collect();
        self
    }

    /// The same options with this many further attempts, `None` for as many as it takes.
    #[must_use]
    pub const fn with_retry(mut self, attempts: Option<u32>) -> Self {
        self.retry = attempts;
        self
    }

    /// The same options with this file for the `routing` driver.
    #[must_use]
    pub fn with_routing_config(mut self, path: impl AsRef<Path>) -> Self {
        self.routing_config = Some(path.as_ref().to_owned());
        self
    }
}

impl fmt::Debug for NotificationConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is no URL may still hold a password, so it is not shown at all.
        let masked = |text: &String| match text.parse::<TransportUrl>() {
            Ok(url) => url.to_string(),
            Err(_) => "***".to_owned(),
        };
        f.debug_struct("NotificationConfig")
            .field("transport_url", &self.transport_url.as_ref().map(masked))
            .field("drivers", &self.drivers)
            .field("topics", &self.topics)
            .field("retry", &self.retry)
            .field("routing_config", &self.routing_config)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_masks_the_url() {
        let config = NotificationConfig::default().with_transport_url("rabbit://me:s3cret@h/");
        let text = format!("{config:?}");
        assert!(text.contains("rabbit://me:***@h/") && !text.contains("s3cret"), "{text}");
        let text = format!("{:?}", config.with_transport_url("me:s3cret@h/"));
        assert!(!text.contains("s3cret"), "{text}");
    }
}
