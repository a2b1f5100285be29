//! The registry: every option there is, one line each, by oslo's groups and names.
//!
//! A line is the name, the kind of value with the place it goes to, and what it is for; the default
//! is what stands in that place untouched. Invariant: an option that is listed does something.
//! Not here: names of the past (`meaning`).

use crate::config::registry::value::Kind::{
    self, Attempts, Choice, Count, Flag, List, Maybe, Micros, Multi, Name, Path, Seconds, Tls, Url,
};
use crate::config::registry::value::Number;

pub(crate) mod aliases;
pub(crate) mod choices;
pub(crate) mod dialect_choices;
mod pika;
pub(crate) mod settings;
pub(crate) mod value;

/// Name, kind, and what it is for.
pub(super) type Row = (&'static str, Kind, &'static str);

/// oslo's name of the group that has none.
pub(super) const DEFAULT: &str = "DEFAULT";
/// The group of oslo's `rabbit` driver.
pub(super) const RABBIT: &str = "oslo_messaging_rabbit";
/// The group of oslo's old `pika` driver.
pub(super) const PIKA: &str = "oslo_messaging_pika";
/// The group of notifications.
pub(super) const NOTIFICATIONS: &str = "oslo_messaging_notifications";
/// The group of `oslo_concurrency`, whose one option of ours says where lock files are.
pub(super) const CONCURRENCY: &str = "oslo_concurrency";
/// The group of reports to a collector of oslo.metrics.
pub(super) const METRICS: &str = "oslo_messaging_metrics";
/// The group of what oslo does not have.
pub(super) const LEVERET: &str = "leveret";

/// All groups and their options, by name. Each row is in one place only, so that rows compare by
/// address.
pub(super) static GROUPS: &[(&str, &[Row])] = &[
    (DEFAULT, GENERAL_ROWS),
    (RABBIT, RABBIT_ROWS),
    (PIKA, pika::PIKA_ROWS),
    (NOTIFICATIONS, NOTIFICATION_ROWS),
    (CONCURRENCY, CONCURRENCY_ROWS),
    (METRICS, METRICS_ROWS),
    (LEVERET, LEVERET_ROWS),
];

/// The groups whose options the query of a transport URL may carry; a name that two of them have
/// is the first one's.
pub(super) const OF_URLS: &[&str] = &[RABBIT, DEFAULT, CONCURRENCY, LEVERET, PIKA];

/// The options of [`LEVERET`] that no URL may carry: an engine is started without one, and may run
/// transports of several.
pub(super) const OF_ENGINE: &[&str] = &["backend", "busy_poll_us", "cores", "shards"];

const MAX: u64 = i32::MAX as u64;
/// Seconds without a bound of their own.
const LONG: f64 = 1e9;

static GENERAL_ROWS: &[Row] = &[
    (
        "control_exchange",
        Name(|all| &mut all.driver.control_exchange),
        "the exchange of targets that name none",
    ),
    (
        "executor_thread_pool_size",
        Count(|all| Number::Usize(&mut all.driver.executor_threads), 0, 65_535),
        "most threads a server runs endpoints on",
    ),
    (
        "rpc_ping_enabled",
        Flag(|all| &mut all.driver.rpc_ping),
        "servers answer oslo_rpc_server_ping",
    ),
    (
        "rpc_response_timeout",
        Seconds(|all| &mut all.driver.response_timeout, LONG),
        "how long a call waits unless it says otherwise",
    ),
    ("transport_url", Url(|all| &mut all.transport_url), "the brokers, and the driver to use"),
];

static RABBIT_ROWS: &[Row] = &[
    (
        "amqp_auto_delete",
        Flag(|all| &mut all.driver.entities.auto_delete),
        "permanent exchanges and queues go with their last user",
    ),
    (
        "amqp_durable_queues",
        Flag(|all| &mut all.driver.entities.durable),
        "permanent exchanges and queues survive the broker",
    ),
    (
        "conn_pool_min_size",
        Count(|all| Number::U32(&mut all.driver.pool.size_min), 0, MAX),
        "read for oslo's sake: one connection publishes for all threads",
    ),
    ("conn_pool_ttl", Seconds(|all| &mut all.driver.pool.ttl, LONG), "the same"),
    (
        "direct_mandatory_flag",
        Flag(|all| &mut all.driver.entities.direct_mandatory),
        "a reply to a missing queue is noticed and tried again",
    ),
    (
        "enable_cancel_on_failover",
        Flag(|all| &mut all.driver.entities.cancel_on_failover),
        "consumers whose mirrored queue moves are cancelled, and consume again at once",
    ),
    (
        "heartbeat_rate",
        Count(|all| Number::U32(&mut all.unused.heartbeat_rate), 1, MAX),
        "no effect: heartbeats are timers of a shard, sent twice an interval",
    ),
    (
        "heartbeat_timeout_threshold",
        Seconds(|all| &mut all.driver.heartbeat, LONG),
        "the heartbeat asked for, in whole seconds; 0 for none",
    ),
    (
        "hostname",
        Maybe(|all| &mut all.driver.stable_names.hostname),
        "first part of stable names; empty: the host's",
    ),
    (
        "kombu_compression",
        Choice(choices::COMPRESSION),
        "how messages are compressed: gzip, or empty",
    ),
    ("kombu_failover_strategy", Choice(choices::FAILOVER), "the order hosts are tried in"),
    (
        "kombu_missing_consumer_retry_timeout",
        Seconds(|all| &mut all.driver.missing_queue_timeout, LONG),
        "how long a reply is tried on a queue that is missing",
    ),
    (
        "kombu_reconnect_delay",
        Seconds(|all| &mut all.driver.reconnect_delay, 4.5),
        "wait before the first attempt after a loss",
    ),
    (
        "kombu_reconnect_splay",
        Seconds(|all| &mut all.driver.reconnect_splay, LONG),
        "a random part of this is added to that wait",
    ),
    (
        "processname",
        Maybe(|all| &mut all.driver.stable_names.process_name),
        "second part of stable names; empty: the program's",
    ),
    ("queue_profile", Choice(choices::QUEUE_PROFILE), "how queues adapt to the broker"),
    (
        "rabbit_ha_queues",
        Flag(|all| &mut all.driver.entities.ha),
        "queues carry x-ha-policy: all, for brokers before RabbitMQ 3.0",
    ),
    (
        "rabbit_interval_max",
        Seconds(|all| &mut all.driver.retry_interval_max, LONG),
        "longest wait between attempts to connect",
    ),
    ("rabbit_login_method", Choice(choices::LOGIN_METHOD), "how a client proves who it is"),
    (
        "rabbit_qos_prefetch_count",
        Count(|all| Number::U16(&mut all.driver.prefetch), 0, 65_535),
        "most unacknowledged requests a server holds; 0 for no limit",
    ),
    (
        "rabbit_quorum_delivery_limit",
        Count(|all| Number::U32(&mut all.driver.entities.quorum_delivery_limit), 0, MAX),
        "deliveries before a quorum queue drops a message; 0 for the broker's own",
    ),
    (
        "rabbit_quorum_max_memory_bytes",
        Count(|all| Number::U32(&mut all.driver.entities.quorum_max_memory_bytes), 0, MAX),
        "bytes a quorum queue keeps in memory; 0 for the broker's own",
    ),
    (
        "rabbit_quorum_max_memory_length",
        Count(|all| Number::U32(&mut all.driver.entities.quorum_max_memory_length), 0, MAX),
        "messages a quorum queue keeps in memory; 0 for the broker's own",
    ),
    (
        "rabbit_quorum_queue",
        Flag(|all| &mut all.driver.entities.quorum),
        "permanent queues are quorum queues",
    ),
    (
        "rabbit_retry_backoff",
        Choice(choices::RETRY_BACKOFF),
        "what the wait between attempts grows by; empty: it is doubled",
    ),
    (
        "rabbit_retry_interval",
        Seconds(|all| &mut all.driver.retry_interval, LONG),
        "first wait between attempts to connect",
    ),
    (
        "rabbit_stream_fanout",
        Flag(|all| &mut all.driver.entities.stream_fanout),
        "all fanouts of a topic go through one stream",
    ),
    (
        "rabbit_transient_queues_ttl",
        Seconds(|all| &mut all.driver.entities.transient_ttl, LONG),
        "life of an unused reply or fanout queue; 0 for ever",
    ),
    (
        "rabbit_transient_quorum_queue",
        Flag(|all| &mut all.driver.entities.transient_quorum),
        "reply and fanout queues are durable quorum queues",
    ),
    (
        "rpc_conn_pool_size",
        Count(|all| Number::U32(&mut all.driver.pool.size), 1, MAX),
        "the same; not below conn_pool_min_size",
    ),
    ("ssl", Tls, "TLS, which is not supported yet: true is refused"),
    (
        "ssl_ca_file",
        Name(|all| &mut all.unused.ssl_ca_file),
        "of TLS, no effect as long as that is off",
    ),
    (
        "ssl_cert_file",
        Name(|all| &mut all.unused.ssl_cert_file),
        "of TLS, no effect as long as that is off",
    ),
    (
        "ssl_enforce_fips_mode",
        Flag(|all| &mut all.unused.ssl_enforce_fips_mode),
        "no effect, as with oslo",
    ),
    (
        "ssl_enforce_hostname_verification",
        Flag(|all| &mut all.unused.ssl_enforce_hostname_verification),
        "of TLS, no effect as long as that is off",
    ),
    (
        "ssl_key_file",
        Name(|all| &mut all.unused.ssl_key_file),
        "of TLS, no effect as long as that is off",
    ),
    (
        "ssl_version",
        Name(|all| &mut all.unused.ssl_version),
        "of TLS, no effect as long as that is off",
    ),
    (
        "use_queue_manager",
        Flag(|all| &mut all.driver.stable_names.enabled),
        "reply and fanout queues keep their names over restarts",
    ),
];

static NOTIFICATION_ROWS: &[Row] = &[
    (
        "driver",
        Multi(|all| &mut all.notifications.drivers),
        "who gets every notification; may stand several times",
    ),
    (
        "retry",
        Attempts(|all| &mut all.notifications.retry),
        "further attempts after one that failed; -1 without end",
    ),
    (
        "routing_config",
        Path(|all| &mut all.notifications.routing_config),
        "the file of the routing driver",
    ),
    ("topics", List(|all| &mut all.notifications.topics), "what notifications are sent under"),
    (
        "transport_url",
        Url(|all| &mut all.notifications.transport_url),
        "brokers for notifications alone; empty: those of the RPCs",
    ),
];

static CONCURRENCY_ROWS: &[Row] = &[(
    "lock_path",
    Path(|all| &mut all.driver.stable_names.lock_path),
    "folder of the lock file of stable names; empty: OSLO_LOCK_PATH",
)];

static METRICS_ROWS: &[Row] = &[
    (
        "metrics_buffer_size",
        Count(|all| Number::Usize(&mut all.driver.metrics.buffer_size), 1, 1_000_000),
        "reports that may wait; when there are more, the oldest are dropped",
    ),
    (
        "metrics_enabled",
        Flag(|all| &mut all.driver.metrics.enabled),
        "calls and casts are reported to a collector of oslo.metrics",
    ),
    (
        "metrics_process_name",
        Name(|all| &mut all.driver.metrics.process_name),
        "what the reports call this process",
    ),
    (
        "metrics_socket_file",
        Path(|all| &mut all.driver.metrics.socket_file),
        "the collector's Unix datagram socket; empty: nothing is sent",
    ),
    (
        "metrics_thread_stop_timeout",
        Seconds(|all| &mut all.driver.metrics.thread_stop_timeout, LONG),
        "the sending thread ends when it could send nothing for this long",
    ),
];

static LEVERET_ROWS: &[Row] = &[
    ("backend", Choice(choices::BACKEND), "how sockets are driven: auto, uring or epoll"),
    (
        "block_bytes",
        Count(|all| Number::Usize(&mut all.driver.connection.block_bytes), 4096, 16 << 20),
        "size of a block that is read into",
    ),
    (
        "blocks_max",
        Count(|all| Number::Usize(&mut all.driver.connection.blocks_max), 1, 65_536),
        "blocks a connection keeps, made on demand; when all are lent out, reading stops",
    ),
    (
        "body_max",
        Count(|all| Number::U64(&mut all.driver.connection.body_max), 1, 1 << 40),
        "largest message accepted from the broker, in bytes",
    ),
    ("busy_poll_us", Micros(|all| &mut all.engine.busy_poll), "polling before a shard sleeps"),
    (
        "confirm_timeout",
        Seconds(|all| &mut all.driver.connection.confirm_timeout, LONG),
        "how long a broker may confirm nothing before it is left for the next; 0: for ever",
    ),
    (
        "connect",
        Choice(choices::CONNECT),
        "eager: a transport needs a broker to begin with; lazy: it goes on trying",
    ),
    (
        "connect_deadline",
        Seconds(|all| &mut all.driver.connection.connect_deadline, LONG),
        "how long a first connect keeps going round the hosts; 0: once",
    ),
    (
        "connect_timeout",
        Seconds(|all| &mut all.driver.connection.connect_timeout, LONG),
        "how long a TCP connect may take, per address of a host",
    ),
    (
        "connection_factory",
        Choice(dialect_choices::CONNECTION_FACTORY),
        "single, read_write, new, pool:<n> or per_shard; empty: new",
    ),
    (
        "cores",
        Choice(choices::CORES),
        "a shard on each of these cores, as in 0,2-4; empty: not pinned",
    ),
    (
        "dialect_sending",
        Choice(dialect_choices::DIALECT_SENDING),
        "what clients and notifiers send: kombu, pika or auto; empty: by the URL's scheme",
    ),
    (
        "dialect_serving",
        Choice(dialect_choices::DIALECT_SERVING),
        "what servers and listeners understand: kombu, pika or both; empty: by the scheme",
    ),
    (
        "handshake_timeout",
        Seconds(|all| &mut all.driver.connection.handshake_timeout, LONG),
        "how long the AMQP handshake may take",
    ),
    (
        "nack_retry",
        Seconds(|all| &mut all.driver.connection.nack_retry, LONG),
        "how long a message that the broker refuses is sent again; 0: not at all",
    ),
    (
        "operation_timeout",
        Seconds(|all| &mut all.driver.connection.operation_timeout, LONG),
        "how long a declaration may take",
    ),
    (
        "outbox_bytes",
        Count(|all| Number::Usize(&mut all.driver.connection.outbox_bytes), 4096, 1 << 30),
        "what a channel keeps in memory for sending",
    ),
    (
        "redelivered",
        Choice(dialect_choices::REDELIVERED),
        "dispatch or refuse requests that the broker has delivered before",
    ),
    (
        "resolve_timeout",
        Seconds(|all| &mut all.driver.connection.resolve_timeout, LONG),
        "how long the resolver may take for the name of a host",
    ),
    (
        "shards",
        Count(|all| Number::Usize(&mut all.engine.shards), 1, 1024),
        "threads of the engine; with cores, as many as are named there",
    ),
    (
        "topology_audit_interval",
        Seconds(|all| &mut all.driver.connection.topology_audit_interval, LONG),
        "how often queues and bindings are declared again; 0: when one is found missing",
    ),
    (
        "user_timeout",
        Seconds(|all| &mut all.driver.connection.user_timeout, LONG),
        "TCP_USER_TIMEOUT: sent bytes the peer's kernel leaves unacknowledged; 0: the system's",
    ),
];

/// The options of a group, if it is one of ours.
pub(super) fn rows(group: &str) -> Option<&'static [Row]> {
    GROUPS.iter().find(|(name, _)| *name == group).map(|(_, rows)| *rows)
}

/// An option by group and name.
pub(super) fn find(group: &str, name: &str) -> Option<&'static Row> {
    rows(group)?.iter().find(|(known, ..)| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::registry::settings::Settings;

    /// The guide's rows, each under its group.
    fn guide() -> Vec<(String, String, String)> {
        let text = include_str!("../../guide/configuration.md");
        let mut group = "";
        let mut rows = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("## `[") {
                group = rest.trim_end_matches("]`");
            } else if let Some(cells) = line.strip_prefix("| `").filter(|_| !group.is_empty()) {
                let cells: Vec<_> =
                    cells.split('|').map(|one| one.trim().replace('`', "")).collect();
                rows.push((group.to_owned(), cells[0].clone(), cells[1].replace("(none)", "")));
            }
        }
        rows
    }

    #[test]
    fn the_guide_lists_every_option_with_its_default_and_no_other() {
        let mut settings = Settings::default();
        let mut rows = Vec::new();
        for (group, options) in GROUPS {
            for (name, kind, help) in *options {
                assert!(!help.is_empty() && !help.ends_with('.'), "{name}");
                rows.push((group.to_string(), name.to_string(), kind.get(&mut settings)));
            }
        }
        for (group, options) in GROUPS {
            assert!(options.is_sorted_by_key(|row| row.0), "{group}");
        }
        rows.sort();
        let mut guide = guide();
        guide.sort();
        assert_eq!(rows, guide);
    }
}
