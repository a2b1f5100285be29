//! The group of oslo's `rabbit` driver, in the order of names.

use crate::config::registry::choices;
use crate::config::registry::row::{COUNT_MAX, Row, rows};

pub(crate) static RABBIT_ROWS: &[Row] = rows! {
    "amqp_auto_delete" => Flag(driver.entities.auto_delete),
        "permanent exchanges and queues go with their last user";
    "amqp_durable_queues" => Flag(driver.entities.durable),
        "permanent exchanges and queues survive the broker";
    "conn_pool_min_size" => Count(driver.pool.size_min, 0..=COUNT_MAX),
        "read for oslo's sake: one connection publishes for all threads";
    "conn_pool_ttl" => Seconds(driver.pool.ttl), "the same";
    "direct_mandatory_flag" => Flag(driver.entities.direct_mandatory),
        "a reply to a missing queue is noticed and tried again";
    "enable_cancel_on_failover" => Flag(driver.entities.cancel_on_failover),
        "consumers whose mirrored queue moves are cancelled, and consume again at once";
    "heartbeat_rate" => Count(unused.heartbeat_rate, 1..=COUNT_MAX),
        "no effect: heartbeats are timers of a shard, sent twice an interval";
    "heartbeat_timeout_threshold" => Seconds(driver.heartbeat),
        "the heartbeat asked for, in whole seconds; 0 for none";
    "hostname" => Maybe(driver.stable_names.hostname),
        "first part of stable names; empty: the host's";
    "kombu_compression" => Choice(choices::COMPRESSION),
        "how messages are compressed: gzip, or empty";
    "kombu_failover_strategy" => Choice(choices::FAILOVER), "the order hosts are tried in";
    "kombu_missing_consumer_retry_timeout" => Seconds(driver.missing_queue_timeout),
        "how long a reply is tried on a queue that is missing";
    "kombu_reconnect_delay" => Seconds(driver.reconnect_delay, 4.5),
        "wait before the first attempt after a loss";
    "kombu_reconnect_splay" => Seconds(driver.reconnect_splay),
        "a random part of this is added to that wait";
    "processname" => Maybe(driver.stable_names.process_name),
        "second part of stable names; empty: the program's";
    "queue_profile" => Choice(choices::QUEUE_PROFILE), "how queues adapt to the broker";
    "rabbit_ha_queues" => Flag(driver.entities.ha),
        "queues carry x-ha-policy: all, for brokers before RabbitMQ 3.0";
    "rabbit_interval_max" => Seconds(driver.retry_interval_max),
        "longest wait between attempts to connect";
    "rabbit_login_method" => Choice(choices::LOGIN_METHOD), "how a client proves who it is";
    "rabbit_qos_prefetch_count" => Count(driver.prefetch, 0..=65_535),
        "most unacknowledged requests a server holds; 0 for no limit";
    "rabbit_quorum_delivery_limit" => Count(driver.entities.quorum_delivery_limit, 0..=COUNT_MAX),
        "deliveries before a quorum queue drops a message; 0 for the broker's own";
    "rabbit_quorum_max_memory_bytes" =>
        Count(driver.entities.quorum_max_memory_bytes, 0..=COUNT_MAX),
        "bytes a quorum queue keeps in memory; 0 for the broker's own";
    "rabbit_quorum_max_memory_length" =>
        Count(driver.entities.quorum_max_memory_length, 0..=COUNT_MAX),
        "messages a quorum queue keeps in memory; 0 for the broker's own";
    "rabbit_quorum_queue" => Flag(driver.entities.quorum), "permanent queues are quorum queues";
    "rabbit_retry_backoff" => Choice(choices::RETRY_BACKOFF),
        "what the wait between attempts grows by; empty: it is doubled";
    "rabbit_retry_interval" => Seconds(driver.retry_interval),
        "first wait between attempts to connect";
    "rabbit_stream_fanout" => Flag(driver.entities.stream_fanout),
        "all fanouts of a topic go through one stream";
    "rabbit_transient_queues_ttl" => Seconds(driver.entities.transient_ttl),
        "life of an unused reply or fanout queue; 0 for ever";
    "rabbit_transient_quorum_queue" => Flag(driver.entities.transient_quorum),
        "reply and fanout queues are durable quorum queues";
    "rpc_conn_pool_size" => Count(driver.pool.size, 1..=COUNT_MAX),
        "the same; not below conn_pool_min_size";
    "ssl" => Tls(), "TLS, which is not supported yet: true is refused";
    "ssl_ca_file" => Name(unused.ssl_ca_file), "of TLS, no effect as long as that is off";
    "ssl_cert_file" => Name(unused.ssl_cert_file), "of TLS, no effect as long as that is off";
    "ssl_enforce_fips_mode" => Flag(unused.ssl_enforce_fips_mode), "no effect, as with oslo";
    "ssl_enforce_hostname_verification" => Flag(unused.ssl_enforce_hostname_verification),
        "of TLS, no effect as long as that is off";
    "ssl_key_file" => Name(unused.ssl_key_file), "of TLS, no effect as long as that is off";
    "ssl_version" => Name(unused.ssl_version), "of TLS, no effect as long as that is off";
    "use_queue_manager" => Flag(driver.stable_names.enabled),
        "reply and fanout queues keep their names over restarts";
};
