//! The options of oslo's `rabbit` driver, sorted by name.

use crate::config::registry::choices;
use crate::config::registry::row::{HEARTBEAT, INTEGER_MAX, NO_POOL, Row, rows};

pub(crate) static RABBIT_ROWS: &[Row] = rows! {
    "amqp_auto_delete" => Flag(driver.entities.auto_delete),
        "permanent exchanges and queues are deleted with their last user";
    "amqp_durable_queues" => Flag(driver.entities.durable),
        "permanent exchanges and queues survive the broker";
    "conn_pool_min_size" => Integer(driver.pool.size_min, 0..=INTEGER_MAX), NO_POOL;
    "conn_pool_ttl" => Seconds(driver.pool.ttl), NO_POOL;
    "direct_mandatory_flag" => Flag(driver.entities.direct_mandatory),
        "a reply to a missing queue is returned and sent again";
    "enable_cancel_on_failover" => Flag(driver.entities.cancel_on_failover),
        "consumers whose mirrored queue moves are cancelled, and consume again at once";
    "heartbeat_rate" => Integer(unused.heartbeat_rate, 1..=INTEGER_MAX),
        "no effect: a shard sends heartbeats by its own timers, twice an interval";
    "heartbeat_timeout_threshold" => Seconds(driver.heartbeat), HEARTBEAT;
    "hostname" => OptionalText(driver.stable_names.hostname),
        "the first part of stable names; empty: the host's name";
    "kombu_compression" => Choice(choices::COMPRESSION),
        "the compression of messages: gzip; empty: none";
    "kombu_failover_strategy" => Choice(choices::FAILOVER), "the order in which hosts are tried";
    "kombu_missing_consumer_retry_timeout" => Seconds(driver.missing_queue_timeout),
        "how long a reply to a missing queue is sent again";
    "kombu_reconnect_delay" => Seconds(driver.reconnect_delay, 4.5),
        "the wait before the first attempt after a lost connection";
    "kombu_reconnect_splay" => Seconds(driver.reconnect_splay),
        "the upper bound of a random addition to that wait";
    "processname" => OptionalText(driver.stable_names.process_name),
        "the second part of stable names; empty: the program's name";
    "queue_profile" => Choice(choices::QUEUE_PROFILE), "how queues adapt to the broker";
    "rabbit_ha_queues" => Flag(driver.entities.ha),
        "queues carry x-ha-policy: all, for brokers before RabbitMQ 3.0";
    "rabbit_interval_max" => Seconds(driver.retry_interval_max),
        "the longest wait between attempts to connect";
    "rabbit_login_method" => Choice(choices::LOGIN_METHOD), "the SASL mechanism";
    "rabbit_qos_prefetch_count" => Integer(driver.prefetch, 0..=65_535),
        "unacknowledged requests per server; 0 for no limit";
    "rabbit_quorum_delivery_limit" =>
        Integer(driver.entities.quorum_delivery_limit, 0..=INTEGER_MAX),
        "deliveries before a quorum queue drops a message; 0: the broker's default";
    "rabbit_quorum_max_memory_bytes" =>
        Integer(driver.entities.quorum_max_memory_bytes, 0..=INTEGER_MAX),
        "bytes that a quorum queue keeps in memory; 0: the broker's default";
    "rabbit_quorum_max_memory_length" =>
        Integer(driver.entities.quorum_max_memory_length, 0..=INTEGER_MAX),
        "messages that a quorum queue keeps in memory; 0: the broker's default";
    "rabbit_quorum_queue" => Flag(driver.entities.quorum), "permanent queues are quorum queues";
    "rabbit_retry_backoff" => Choice(choices::RETRY_BACKOFF),
        "what is added to the wait after each attempt; empty: it doubles";
    "rabbit_retry_interval" => Seconds(driver.retry_interval),
        "the first wait between attempts to connect";
    "rabbit_stream_fanout" => Flag(driver.entities.stream_fanout),
        "all fanouts of a topic go through one stream";
    "rabbit_transient_queues_ttl" => Seconds(driver.entities.transient_ttl),
        "how long an unused reply or fanout queue exists; 0: for ever";
    "rabbit_transient_quorum_queue" => Flag(driver.entities.transient_quorum),
        "reply and fanout queues are durable quorum queues";
    "rpc_conn_pool_size" => Integer(driver.pool.size, 1..=INTEGER_MAX), NO_POOL;
    "ssl" => Flag(driver.tls.enabled), "connections are encrypted (TLS)";
    "ssl_ca_file" => Path(driver.tls.ca_file),
        "the certificates that are trusted; empty: those of the system";
    "ssl_cert_file" => Path(driver.tls.cert_file),
        "the certificate to show to a broker that asks for one";
    "ssl_enforce_fips_mode" => Flag(driver.tls.fips),
        "an error with ssl: the cryptography of this build is not validated";
    "ssl_enforce_hostname_verification" => Flag(unused.ssl_enforce_hostname_verification),
        "no effect, as in oslo: the host's name is always verified";
    "ssl_key_file" => Path(driver.tls.key_file), "its key; empty: in the same file";
    "ssl_version" => Choice(choices::SSL_VERSION),
        "the oldest version of TLS that is spoken; empty: 1.2";
    "use_queue_manager" => Flag(driver.stable_names.enabled),
        "reply and fanout queues keep their names when a service restarts";
};
