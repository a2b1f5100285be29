//! The options of groups that belong to no driver: `[DEFAULT]`, notifications, locks and metrics.

use crate::config::registry::row::{Row, rows};

pub(crate) static GENERAL_ROWS: &[Row] = rows! {
    "control_exchange" => Text(driver.control_exchange), "the exchange of targets that name none";
    "executor_thread_pool_size" => Integer(driver.executor_threads, 0..=65_535),
        "threads per server that run endpoints";
    "rpc_ping_enabled" => Flag(driver.rpc_ping), "servers answer oslo_rpc_server_ping";
    "rpc_response_timeout" => Seconds(driver.response_timeout),
        "the default timeout of calls";
    "transport_url" => Url(transport_url), "the driver and the brokers";
};

pub(crate) static NOTIFICATION_ROWS: &[Row] = rows! {
    "driver" => Multi(notifications.drivers),
        "the drivers that get every notification; may occur several times";
    "retry" => Attempts(notifications.retry),
        "attempts after the first; -1: no limit";
    "routing_config" => Path(notifications.routing_config), "the file of the routing driver";
    "topics" => List(notifications.topics), "the topics of notifications";
    "transport_url" => Url(notifications.transport_url),
        "brokers of notifications only; empty: those of RPCs";
};

pub(crate) static CONCURRENCY_ROWS: &[Row] = rows! {
    "lock_path" => Path(driver.stable_names.lock_path),
        "the folder of the lock file of stable names; empty: OSLO_LOCK_PATH";
};

pub(crate) static METRICS_ROWS: &[Row] = rows! {
    "metrics_buffer_size" => Integer(driver.metrics.buffer_size, 1..=1_000_000),
        "reports that may wait; of more, the oldest are dropped";
    "metrics_enabled" => Flag(driver.metrics.enabled),
        "calls and casts are reported to a collector of oslo.metrics";
    "metrics_process_name" => Text(driver.metrics.process_name),
        "the name of this process in reports";
    "metrics_socket_file" => Path(driver.metrics.socket_file),
        "the collector's Unix datagram socket; empty: nothing is sent";
    "metrics_thread_stop_timeout" => Seconds(driver.metrics.thread_stop_timeout),
        "the sending thread ends after it could send nothing for this long";
};
