//! Applies the query of a URL, the defaults of its scheme and the queue profile to the options of a
//! transport.

use crate::config::check;
use crate::config::driver_config::DriverConfig;
use crate::config::driver_name::DriverName;
use crate::config::engine_connection;
use crate::config::options::dialects::{SendingDialect, ServingDialect};
use crate::config::registry::aliases::{self, OptionName, suggestion};
use crate::config::registry::groups::{
    CONCURRENCY, DEFAULT, ENGINE_OPTIONS, LEVERET, PIKA, RABBIT, rows,
};
use crate::config::registry::row::Row;
use crate::config::registry::settings::Settings;
use crate::config::registry::value::{Kind, ValueError};
use crate::config::url::TransportUrl;
use crate::error::{Error, ErrorKind};

impl DriverConfig {
    /// These options overridden by the query of `url`, completed and checked.
    pub(crate) fn overridden_by(self, url: &TransportUrl) -> Result<Self, Error> {
        let mut settings = Settings { driver: self, ..Settings::default() };
        apply_query(&mut settings, url)?;
        settings.driver.completed(url)
    }

    /// These options with those that the URL's scheme and the queue profile imply, checked for
    /// contradictions.
    pub(crate) fn completed(self, url: &TransportUrl) -> Result<Self, Error> {
        let mut config = self.with_scheme_defaults(driver_of(url));
        config.entities.profile.apply(&mut config.entities);
        check::check(&config)?;
        let tls = engine_connection::tls(url, driver_of(url), &config);
        match tls.contradiction() {
            Some(text) => Err(Error::new(ErrorKind::InvalidOptions, text)),
            None => Ok(config),
        }
    }

    /// These options with the scheme's defaults where they have none: `serving`, `sending` and
    /// `connection_factory` are `Some` afterwards. The factory of the `pika` group applies to
    /// `pika://` only, as do all options of connections in that group.
    fn with_scheme_defaults(mut self, driver: DriverName) -> Self {
        let is_pika = driver == DriverName::Pika;
        let (serving, sending) = match is_pika {
            true => (ServingDialect::Pika, SendingDialect::Pika),
            false => (ServingDialect::Kombu, SendingDialect::Kombu),
        };
        self.serving.get_or_insert(serving);
        self.sending.get_or_insert(sending);
        let factory = self.pika.connection_factory.filter(|_| is_pika).unwrap_or_default();
        self.connection_factory.get_or_insert(factory);
        self
    }
}

/// The driver of a URL. An unknown scheme is an error only once a driver is needed.
fn driver_of(url: &TransportUrl) -> DriverName {
    DriverName::of(url).unwrap_or(DriverName::Kombu)
}

/// An option that the query of a URL sets.
pub(super) struct QueryOption {
    pub(super) group: &'static str,
    pub(super) row: &'static Row,
    /// The name in the query, if it is a deprecated one.
    pub(super) deprecated_name: Option<String>,
}

/// Sets the options of a URL's query, and returns them.
pub(super) fn apply_query(
    settings: &mut Settings,
    url: &TransportUrl,
) -> Result<Vec<QueryOption>, Error> {
    let groups = query_groups(driver_of(url));
    let set = |(key, value): (&str, &str)| {
        let option = find_query_option(groups, key)?;
        option.row.kind.set(settings, value).map_err(|error| match error {
            ValueError::Accepts(what) => invalid(&format!("option {key} takes {what}")),
            ValueError::Url(reason) => invalid(&format!("option {key}: {reason}")),
        })?;
        Ok(option)
    };
    url.query().map(set).collect()
}

/// The groups whose options a query may set. Of a name in two groups, the query sets the option of
/// the first.
const fn query_groups(driver: DriverName) -> &'static [&'static str] {
    match driver {
        DriverName::Pika => &[RABBIT, DEFAULT, CONCURRENCY, PIKA, LEVERET],
        DriverName::Kombu | DriverName::Loopback => &[RABBIT, DEFAULT, CONCURRENCY, LEVERET, PIKA],
    }
}

/// Finds the option with this name, current or deprecated, in the first of `groups` that has it.
fn find_query_option(groups: &'static [&'static str], key: &str) -> Result<QueryOption, Error> {
    let names = || groups.iter().map(|group| aliases::classify(group, key));
    let found = names().find_map(|name| match name {
        OptionName::Known { group, row, .. }
            if groups.contains(&group) && is_query_option(group, row) =>
        {
            let deprecated_name = (row.name != key).then(|| key.to_owned());
            Some(QueryOption { group, row, deprecated_name })
        }
        _ => None,
    });
    if let Some(found) = found {
        return Ok(found);
    }
    if ENGINE_OPTIONS.contains(&key) {
        let text = format!("option {key} is the engine's, which is started without a URL");
        return Err(invalid(&text));
    }
    let removed = names().find_map(|name| match name {
        OptionName::Removed { reason, .. } => Some(reason),
        _ => None,
    });
    if let Some(reason) = removed {
        return Err(invalid(&format!("option {key} has no effect: {reason}")));
    }
    let options = groups.iter().flat_map(|group| {
        let rows = rows(group).unwrap_or_default().iter();
        rows.filter(|row| is_query_option(group, row)).map(|row| row.name)
    });
    let suggestion = suggestion(aliases::nearest(key, options));
    Err(invalid(&format!("there is no option {key}{suggestion}")))
}

/// Whether a query may set an option of one of [`query_groups`].
fn is_query_option(group: &str, row: &Row) -> bool {
    match group {
        LEVERET => !ENGINE_OPTIONS.contains(&row.name),
        // That of [leveret] accepts the same words and overrides this one.
        PIKA => row.name != "connection_factory",
        _ => !matches!(row.kind, Kind::Url(_)),
    }
}

fn invalid(text: &str) -> Error {
    Error::new(ErrorKind::InvalidTransportUrl, format!("Invalid transport URL: {text}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::driver_config::LoginMethod;
    use crate::config::options::entities::QueueProfile;
    use crate::config::options::recovery::Failover;

    fn with_query(query: &str) -> Result<DriverConfig, Error> {
        let url: TransportUrl = format!("rabbit://h/?{query}").parse().unwrap();
        DriverConfig::default().overridden_by(&url)
    }

    #[test]
    fn the_query_overrides() {
        let config = with_query(
            "heartbeat_timeout_threshold=0&rpc_response_timeout=2&amqp_durable_queues=True\
             &rabbit_transient_queues_ttl=60&rabbit_login_method=plain&ssl=false",
        )
        .unwrap();
        assert_eq!(config.heartbeat, Duration::ZERO);
        assert_eq!(config.response_timeout, Duration::from_secs(2));
        assert!(config.entities.durable && !config.entities.auto_delete);
        assert_eq!(config.entities.transient_ttl, Duration::from_secs(60));
        assert_eq!(config.login_method, LoginMethod::Plain);
        let config = with_query(
            "kombu_reconnect_delay=4.5&kombu_reconnect_splay=1&rabbit_retry_backoff=2\
             &kombu_failover_strategy=shuffle&conn_pool_ttl=60&heartbeat_rate=2\
             &ssl_ca_file=/ca.pem&ssl_enforce_fips_mode=false",
        )
        .unwrap();
        assert_eq!(config.reconnect_delay, Duration::from_millis(4500));
        assert_eq!(config.reconnect_splay, Duration::from_secs(1));
        assert_eq!(config.retry_backoff, Some(Duration::from_secs(2)));
        assert_eq!(config.failover, Failover::Shuffle);
        assert_eq!(config.pool.ttl, Duration::from_secs(60));
    }

    #[test]
    fn the_scheme_decides_between_two_groups_with_the_same_name() {
        let timeouts = |url: &str| {
            let url = url.parse().unwrap();
            let config = DriverConfig::default().overridden_by(&url).unwrap();
            (config.connection.tcp_user_timeout, config.pika.tcp_user_timeout)
        };
        let (two, quarter, nine) =
            (Duration::from_secs(2), Duration::from_millis(250), Duration::from_secs(9));
        assert_eq!(timeouts("rabbit://h/?tcp_user_timeout=9"), (nine, quarter));
        assert_eq!(timeouts("fake://?tcp_user_timeout=9"), (nine, quarter));
        assert_eq!(timeouts("pika://h/?tcp_user_timeout=9"), (two, nine));
    }

    #[test]
    fn the_query_accepts_deprecated_names() {
        let config = with_query("user_timeout=9&nack_retry=0.5&rabbit_durable_queues=1").unwrap();
        assert_eq!(config.connection.tcp_user_timeout, Duration::from_secs(9));
        assert_eq!(config.connection.nack_retry_timeout, Duration::from_millis(500));
        assert!(config.entities.durable);
    }

    #[test]
    fn invalid_options_are_errors() {
        for (query, kind, text) in [
            (
                "hartbeat_timeout_threshold=3",
                ErrorKind::InvalidTransportUrl,
                "no option hartbeat_timeout_threshold; did you mean heartbeat_timeout_threshold?",
            ),
            ("zzz=3", ErrorKind::InvalidTransportUrl, "no option zzz"),
            (
                "amqp_auto_delete=maybe",
                ErrorKind::InvalidTransportUrl,
                "option amqp_auto_delete takes true or false",
            ),
            (
                "rabbit_qos_prefetch_count=-1",
                ErrorKind::InvalidTransportUrl,
                "option rabbit_qos_prefetch_count takes a whole number from 0 to 65535",
            ),
            (
                "kombu_compression=bz2",
                ErrorKind::InvalidTransportUrl,
                "takes gzip; `bz2`, as oslo documents it, fails with every peer",
            ),
            ("kombu_compression=bzip2", ErrorKind::InvalidTransportUrl, "takes gzip"),
            ("kombu_compression=lzma", ErrorKind::InvalidTransportUrl, "takes gzip"),
            (
                "kombu_reconnect_delay=5",
                ErrorKind::InvalidTransportUrl,
                "option kombu_reconnect_delay takes seconds, from 0 to 4.5",
            ),
            (
                "kombu_failover_strategy=random",
                ErrorKind::InvalidTransportUrl,
                "takes round-robin or shuffle",
            ),
            (
                "rabbit_login_method=RABBIT-CR-DEMO",
                ErrorKind::InvalidTransportUrl,
                "RABBIT-CR-DEMO, which oslo lists, never worked there",
            ),
            ("heartbeat_rate=x", ErrorKind::InvalidTransportUrl, "takes a whole number"),
            ("rpc_conn_pool_size=0", ErrorKind::InvalidTransportUrl, "number from 1 to"),
            ("ssl=maybe", ErrorKind::InvalidTransportUrl, "option ssl takes true or false"),
            ("ssl_version=TLSv4", ErrorKind::InvalidTransportUrl, "takes TLSv1_2 or TLSv1_3"),
        ] {
            let error = with_query(query).unwrap_err();
            assert_eq!(error.kind(), kind, "{query}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn a_profile_sets_options() {
        let entities = |query| with_query(query).unwrap().entities;
        assert_eq!(entities("").profile, QueueProfile::Auto);
        let quorum = entities("queue_profile=quorum");
        assert!(quorum.quorum && quorum.transient_quorum);
        let classic = entities("queue_profile=classic");
        assert!(!classic.quorum && !classic.transient_quorum);
        assert_eq!(classic.profile, QueueProfile::Classic);
        let error = with_query("queue_profile=fast").unwrap_err();
        assert!(error.to_string().contains("takes auto, classic, quorum or"), "{error}");
    }

    #[test]
    fn contradicting_options_are_errors() {
        for (query, text) in [
            ("ssl=1&ssl_enforce_fips_mode=1", "not validated by FIPS 140"),
            ("ssl=1&ssl_key_file=k.pem", "ssl_key_file needs ssl_cert_file"),
            ("rpc_conn_pool_size=1", "rpc_conn_pool_size: 1 must be greater than"),
            ("use_queue_manager=1&lock_path=/l&hostname=a/b", "neither slashes nor more"),
            ("rabbit_ha_queues=1&rabbit_quorum_queue=1", "rabbit_ha_queues excludes"),
            ("rabbit_ha_queues=1&rabbit_transient_quorum_queue=1", "rabbit_ha_queues excludes"),
            (
                "rabbit_stream_fanout=1&rabbit_qos_prefetch_count=1",
                "rabbit_stream_fanout needs rabbit_transient_quorum_queue",
            ),
            (
                "rabbit_stream_fanout=1&rabbit_transient_quorum_queue=1",
                "rabbit_stream_fanout needs rabbit_qos_prefetch_count",
            ),
        ] {
            let error = with_query(query).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidOptions, "{query}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
