//! What the query of a URL, its scheme and the profile of queues add to the options of a transport.

use crate::config::check;
use crate::config::driver_config::DriverConfig;
use crate::config::driver_name::{DriverName, tls_unsupported};
use crate::config::options::dialects::{SendingDialect, ServingDialect};
use crate::config::registry::aliases::{self, Meaning, hint};
use crate::config::registry::groups::{self, LEVERET};
use crate::config::registry::row::Row;
use crate::config::registry::settings::Settings;
use crate::config::registry::value::{Kind, Refusal};
use crate::config::url::TransportUrl;
use crate::error::{Error, ErrorKind};

impl DriverConfig {
    /// These options overridden by the query of `url`, as a whole found to make sense.
    pub(crate) fn overridden_by(self, url: &TransportUrl) -> Result<Self, Error> {
        let mut settings = Settings { driver: self, ..Settings::default() };
        for (key, value) in url.query() {
            apply(&mut settings, key, value)?;
        }
        settings.driver.settled(url)
    }

    /// What scheme and profile stand for put in, and the whole found to make sense.
    pub(crate) fn settled(self, url: &TransportUrl) -> Result<Self, Error> {
        // Whether the scheme names a driver at all is asked when one is needed.
        let mut it = self.for_scheme(DriverName::of(url).unwrap_or(DriverName::Kombu));
        it.entities.profile.apply(&mut it.entities);
        check::check(&it)?;
        Ok(it)
    }

    /// These options with what a URL's scheme says where they say nothing: `serving`, `sending` and
    /// `connection_factory` are `Some` from here on. The `pika` group's own factory counts for
    /// `pika://` alone, like all its options of connections.
    fn for_scheme(mut self, driver: DriverName) -> Self {
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

/// Obeys one `key=value` of a URL's query; returns the option it named.
pub(super) fn apply(
    settings: &mut Settings,
    key: &str,
    value: &str,
) -> Result<(&'static str, &'static str), Error> {
    let of_url = |group: &'static str| {
        let rows = groups::rows(group).unwrap_or_default().iter();
        let of_urls = move |row: &&Row| {
            let of_engine = group == LEVERET && groups::OF_ENGINE.contains(&row.name);
            !of_engine && !matches!(row.kind, Kind::Url(_))
        };
        rows.filter(of_urls).map(move |row| (group, row))
    };
    let invalid = |text: String| {
        Error::new(ErrorKind::InvalidTransportUrl, format!("Invalid transport URL: {text}"))
    };
    let candidates = || groups::OF_URLS.iter().copied().flat_map(of_url);
    // An older name will do, too, as with oslo.
    let named = groups::OF_URLS.iter().find_map(|group| match aliases::meaning(group, key) {
        Meaning::Option { group, row, .. } => {
            candidates().find(|one| std::ptr::eq(one.1, row)).map(|_| (group, row))
        }
        _ => None,
    });
    let Some((group, row)) = named else {
        if groups::OF_ENGINE.contains(&key) {
            let text = format!("option {key} is the engine's, which is started without a URL");
            return Err(invalid(text));
        }
        let gone = groups::OF_URLS.iter().find_map(|group| match aliases::meaning(group, key) {
            Meaning::Gone { why, .. } => Some(format!("option {key} has no effect: {why}")),
            _ => None,
        });
        let hint = hint(aliases::nearest(key, candidates().map(|(_, row)| row.name)));
        return Err(invalid(gone.unwrap_or_else(|| format!("there is no option {key}{hint}"))));
    };
    row.kind.set(settings, value).map_err(|refusal| match refusal {
        Refusal::Accepts(what) => invalid(format!("option {key} takes {what}")),
        Refusal::Url(why) => invalid(format!("option {key}: {why}")),
        Refusal::Tls => tls_unsupported(key),
    })?;
    Ok((group, row.name))
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
    fn what_cannot_be_obeyed_is_refused() {
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
            ("ssl=true", ErrorKind::Unsupported, "TLS, asked for by `ssl`"),
        ] {
            let error = with_query(query).unwrap_err();
            assert_eq!(error.kind(), kind, "{query}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn a_profile_stands_for_options() {
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
    fn what_contradicts_is_refused() {
        for (query, text) in [
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
