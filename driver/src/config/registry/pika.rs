//! The options of oslo's old `pika` driver, sorted by name.
//!
//! Options of connections apply to `pika://` only. Options without effect are parsed and checked as
//! by oslo, so that the files of a service need no change.

use crate::config::registry::dialect_choices;
use crate::config::registry::row::{HEARTBEAT, INTEGER_MAX, NO_POOL, Row, rows};

pub(crate) static PIKA_ROWS: &[Row] = rows! {
    "channel_max" => Choice(dialect_choices::CHANNEL_MAX),
        "the largest channel number; empty: 2047";
    "connection_factory" => Choice(dialect_choices::PIKA_CONNECTION_FACTORY),
        "single, read_write or new, for pika:// unless [leveret] names one; empty: new";
    "default_notification_exchange" => Text(driver.pika.notification_exchange),
        "the exchange of notifications; empty: ${control_exchange}_notification";
    "default_notification_retry_attempts" => Attempts(driver.pika.notification_retry),
        "attempts after the first to send a notification; -1: no limit; notifiers override it";
    "default_rpc_exchange" => Text(driver.pika.rpc_exchange),
        "the exchange of targets that name none; empty: ${control_exchange}_rpc";
    "default_rpc_retry_attempts" => Attempts(driver.pika.rpc_retry),
        "attempts after the first to send a request; -1: until its deadline; clients override it";
    "default_serializer_type" => Choice(dialect_choices::SERIALIZER_TYPE),
        "serialisation of requests and notifications: json or msgpack; replies follow requests";
    "frame_max" => Choice(dialect_choices::FRAME_MAX), "the largest frame in bytes; empty: 131072";
    "heartbeat_interval" => Seconds(driver.pika.heartbeat), HEARTBEAT;
    "host_connection_reconnect_delay" => Seconds(driver.pika.host_delay),
        "the first wait after all hosts have failed";
    "notification_listener_prefetch_count" =>
        Integer(driver.pika.notification_prefetch, 0..=65_535),
        "unacknowledged notifications per listener; 0 for no limit";
    "notification_persistence" => Flag(driver.pika.notification_persistence),
        "notifications, their exchange and their queues survive the broker";
    "notification_retry_delay" => Seconds(driver.pika.notification_retry_delay),
        "the wait between two attempts to send a notification";
    "pool_max_overflow" => Integer(unused.pika.overflow, 0..=INTEGER_MAX), NO_POOL;
    "pool_max_size" => Integer(unused.pika.size, 1..=INTEGER_MAX), NO_POOL;
    "pool_recycle" => Seconds(unused.pika.recycle), NO_POOL;
    "pool_stale" => Seconds(unused.pika.stale), NO_POOL;
    "pool_timeout" => Seconds(unused.pika.timeout), NO_POOL;
    "rpc_listener_prefetch_count" => Integer(driver.pika.rpc_prefetch, 0..=65_535),
        "unacknowledged requests per queue of a server; 0 for no limit";
    "rpc_queue_expiration" => Seconds(driver.pika.queue_expiration),
        "how long an unused queue of requests or replies exists; 0: for ever";
    "rpc_reply_exchange" => Text(driver.pika.reply_exchange),
        "the exchange of replies; empty: ${control_exchange}_rpc_reply";
    "rpc_reply_listener_prefetch_count" => Integer(unused.pika.reply_prefetch, 0..=65_535),
        "no effect: the prefetch of replies has no limit";
    "rpc_reply_retry_attempts" => Attempts(driver.pika.reply_retry),
        "how often a reply to a missing queue is sent again; -1: until its request expires";
    "rpc_reply_retry_delay" => Seconds(driver.pika.reply_retry_delay),
        "the wait between two attempts to send a reply";
    "rpc_retry_delay" => Seconds(driver.pika.rpc_retry_delay),
        "the wait between two attempts to send a request";
    "socket_timeout" => Seconds(driver.pika.socket_timeout),
        "how long a TCP connect may take, per host";
    "ssl" => Flag(driver.pika.ssl), "connections of pika:// are encrypted (TLS)";
    "ssl_options" => Choice(dialect_choices::SSL_OPTIONS),
        "ca_certs:<path>,certfile:<path>,keyfile:<path>, each as in [oslo_messaging_rabbit]";
    "tcp_user_timeout" => Seconds(driver.pika.tcp_user_timeout),
        "TCP_USER_TIMEOUT: how long sent data may stay unacknowledged; 0: the system's default";
};

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::codec::serialization::Serialization;
    use crate::config::driver_config::DriverConfig;
    use crate::config::loader::Config;
    use crate::config::options::dialects::{Redelivered, SendingDialect, ServingDialect};
    use crate::config::options::factory::ConnectionFactory;
    use crate::config::url::TransportUrl;
    use crate::error::{Error, ErrorKind};

    /// A file of a service with every option of the group, none at its default.
    const EVERYTHING: &str = "[DEFAULT]\ntransport_url = pika://h/\ncontrol_exchange = nova\n\
        [oslo_messaging_pika]\nchannel_max = 20\nconnection_factory = single\n\
        default_notification_exchange = ${control_exchange}_n\n\
        default_notification_retry_attempts = 4\ndefault_rpc_exchange = ${control_exchange}_rpc\n\
        default_rpc_retry_attempts = 0\ndefault_serializer_type = msgpack\nframe_max = 9000\n\
        heartbeat_interval = 1\nhost_connection_reconnect_delay = 0.5\n\
        notification_listener_prefetch_count = 1\nnotification_persistence = true\n\
        notification_retry_delay = 1.5\npool_max_overflow = 1\npool_max_size = 2\n\
        pool_recycle = 3\npool_stale = 4\npool_timeout = 5\nrpc_listener_prefetch_count = 2\n\
        rpc_queue_expiration = 7\nrpc_reply_exchange = r\nrpc_reply_listener_prefetch_count = 6\n\
        rpc_reply_retry_attempts = 3\nrpc_reply_retry_delay = 2.5\nrpc_retry_delay = 3.5\n\
        socket_timeout = 4.5\nssl = true\nssl_options = ca_certs:ca.pem\ntcp_user_timeout = 5.5\n";

    fn by_url(url: &str) -> Result<DriverConfig, Error> {
        DriverConfig::default().overridden_by(&url.parse::<TransportUrl>().unwrap())
    }

    #[test]
    fn every_option_is_read() {
        let config = Config::new().ini_str(EVERYTHING).unwrap();
        for Row { name: option, .. } in PIKA_ROWS {
            assert!(EVERYTHING.contains(&format!("\n{option} = ")), "{option}");
        }
        let pika = config.driver_config().unwrap().pika;
        let exchanges = [&pika.rpc_exchange, &pika.reply_exchange, &pika.notification_exchange];
        assert_eq!(exchanges, ["nova_rpc", "r", "nova_n"]);
        assert_eq!(pika.serialization, Serialization::MsgPack);
        assert_eq!((pika.rpc_prefetch, pika.notification_prefetch), (2, 1));
        assert_eq!(
            (pika.rpc_retry, pika.notification_retry, pika.reply_retry),
            (Some(0), Some(4), Some(3))
        );
        assert!(pika.notification_persistence);
        assert_eq!((pika.channel_max, pika.frame_max), (Some(20), Some(9000)));
        assert_eq!(pika.connection_factory, Some(ConnectionFactory::Single));
        let times = [
            pika.host_delay,
            pika.heartbeat,
            pika.notification_retry_delay,
            pika.reply_retry_delay,
            pika.rpc_retry_delay,
            pika.socket_timeout,
            pika.tcp_user_timeout,
            pika.queue_expiration,
        ];
        assert_eq!(times.map(|time| time.as_secs_f64()), [0.5, 1.0, 1.5, 2.5, 3.5, 4.5, 5.5, 7.0]);
        assert!(config.warnings().unwrap().is_empty());
        let unused = ["pool_max_size = 2", "pool_timeout = 5"];
        let effective: Vec<_> = config.effective().unwrap().iter().map(|s| s.to_string()).collect();
        for line in unused.map(|line| format!("oslo_messaging_pika.{line}  (")) {
            assert!(effective.iter().any(|shown| shown.starts_with(&line)), "{line}");
        }
    }

    #[test]
    fn the_scheme_decides_where_options_are_not_set() {
        let dialects = |url| {
            let config = by_url(url).unwrap();
            (config.serving.unwrap(), config.sending.unwrap(), config.connection_factory.unwrap())
        };
        let new = ConnectionFactory::New;
        for url in ["rabbit://h/", "kombu://h/", "fake://", "fake:///?connection_factory=new"] {
            assert_eq!(dialects(url), (ServingDialect::Kombu, SendingDialect::Kombu, new), "{url}");
        }
        assert_eq!(dialects("pika://h/"), (ServingDialect::Pika, SendingDialect::Pika, new));
        assert_eq!(
            dialects(
                "pika://h/?dialect_serving=both&dialect_sending=kombu&connection_factory=single"
            ),
            (ServingDialect::Both, SendingDialect::Kombu, ConnectionFactory::Single)
        );
        assert_eq!(
            dialects("fake://?dialect_serving=pika&dialect_sending=auto&connection_factory=pool:3"),
            (ServingDialect::Pika, SendingDialect::Auto, ConnectionFactory::Pool(3))
        );
        let refusing = by_url("rabbit://h/?redelivered=refuse&dialect_serving=both").unwrap();
        assert_eq!(refusing.redelivered, Redelivered::Refuse);
        let patient = by_url("rabbit://h/?connect_timeout=9&rpc_queue_expiration=0").unwrap();
        assert_eq!(patient.connection.connect_timeout, Duration::from_secs(9));
        assert_eq!(patient.pika.queue_expiration, Duration::ZERO);
    }

    #[test]
    fn the_factory_of_the_leveret_group_wins_and_the_other_is_for_pika() {
        let factory = |url: &str, text: &str| {
            let config = Config::new().ini_str(text).unwrap().driver_config().unwrap();
            let config = config.overridden_by(&url.parse().unwrap()).unwrap();
            config.connection_factory.unwrap()
        };
        let oslos = "[oslo_messaging_pika]\nconnection_factory = read_write\n";
        assert_eq!(factory("pika://h/", oslos), ConnectionFactory::ReadWrite);
        assert_eq!(factory("rabbit://h/", oslos), ConnectionFactory::New);
        let both = format!("{oslos}[leveret]\nconnection_factory = per_shard\n");
        assert_eq!(factory("pika://h/", &both), ConnectionFactory::PerShard);
        assert_eq!(factory("rabbit://h/", &both), ConnectionFactory::PerShard);
    }

    #[test]
    fn invalid_options_are_errors() {
        for (query, kind, expected) in [
            ("channel_max=15", ErrorKind::InvalidTransportUrl, "number from 16 to 65535"),
            ("frame_max=131073", ErrorKind::InvalidTransportUrl, "bytes, from 8192 to 131072"),
            ("default_rpc_retry_attempts=-2", ErrorKind::InvalidTransportUrl, "or -1 for attempts"),
            ("default_serializer_type=xml", ErrorKind::InvalidTransportUrl, "json or msgpack"),
            ("connection_factory=pool:0", ErrorKind::InvalidTransportUrl, "pool:<1 to 256>"),
            ("connection_factory=pool", ErrorKind::InvalidTransportUrl, "pool:<1 to 256>"),
            ("dialect_serving=auto", ErrorKind::InvalidTransportUrl, "kombu, pika or both"),
            ("dialect_sending=both", ErrorKind::InvalidTransportUrl, "kombu, pika or auto"),
            ("redelivered=drop", ErrorKind::InvalidTransportUrl, "takes dispatch or refuse"),
            ("pool_max_size=0", ErrorKind::InvalidTransportUrl, "a whole number from 1 to"),
            ("shards=2", ErrorKind::InvalidTransportUrl, "shards is the engine's"),
            ("ssl_options=ca_certs", ErrorKind::InvalidTransportUrl, "ca_certs:<path>"),
            ("ssl_options=cert_reqs:0", ErrorKind::InvalidTransportUrl, "keyfile:<path>"),
            ("ssl=true&ssl_options=keyfile:k", ErrorKind::InvalidOptions, "needs ssl_cert_file"),
            (
                "dialect_sending=auto&kombu_compression=gzip",
                ErrorKind::InvalidOptions,
                "excludes kombu_compression",
            ),
            (
                "dialect_sending=auto&default_serializer_type=msgpack",
                ErrorKind::InvalidOptions,
                "know JSON alone",
            ),
            (
                "dialect_sending=kombu&default_serializer_type=msgpack",
                ErrorKind::InvalidOptions,
                "know JSON alone",
            ),
        ] {
            let error = by_url(&format!("pika://h/?{query}")).unwrap_err();
            assert_eq!(error.kind(), kind, "{query}: {error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert!(by_url("pika://h/?default_serializer_type=msgpack").is_ok());
        assert!(by_url("rabbit://h/?dialect_serving=both&kombu_compression=gzip").is_ok());
        let pool = DriverConfig::default().with_connection_factory(ConnectionFactory::Pool(0));
        let error = pool.overridden_by(&"fake://".parse().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOptions);
        let config = Config::new().ini_str("[oslo_messaging_pika]\nconnection_factory = pool:2\n");
        let error = config.unwrap().driver_config().unwrap_err().to_string();
        assert!(error.contains("takes single, read_write or new"), "{error}");
    }
}
