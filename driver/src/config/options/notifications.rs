//! The options of oslo's group `oslo_messaging_notifications`, as plain data.
//!
//! Invariant: `Debug` never shows the password of the URL. Not here: the drivers
//! (`notify`).

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::url::TransportUrl;

/// Options of notifications: drivers, topics and broker.
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
    /// `transport_url`: the broker of notifications. Default none: that of RPCs.
    pub transport_url: Option<String>,
    /// `driver`: names of the drivers that get every notification, in this order. Default none:
    /// notifications are dropped, as by oslo.
    pub drivers: Vec<String>,
    /// `topics`: the topics that each get a copy of a notification. Default `notifications`.
    pub topics: Vec<String>,
    /// `retry`: attempts after the first; zero for none, `None` (oslo's -1) for no limit. Default
    /// `None`.
    pub retry: Option<u32>,
    /// `routing_config`: the file of the `routing` driver. Default none.
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
    /// The same options with this broker of notifications.
    #[must_use]
    pub fn with_transport_url(mut self, url: impl Into<String>) -> Self {
        self.transport_url = Some(url.into());
        self
    }

    /// The same options with these drivers.
    #[must_use]
    pub fn with_drivers<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.drivers = names.into_iter().map(Into::into).collect();
        self
    }

    /// The same options with these topics.
    #[must_use]
    pub fn with_topics<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.topics = topics.into_iter().map(Into::into).collect();
        self
    }

    /// The same options with this many attempts after the first, `None` for no limit.
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
        // Text that is no URL may contain a password: all of it is masked.
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
