//! The groups that belong to no driver: `[DEFAULT]`, notifications, locks and reports of metrics.

use crate::config::registry::row::{Row, rows};

pub(crate) static GENERAL_ROWS: &[Row] = rows! {
    "control_exchange" => Name(driver.control_exchange), "the exchange of targets that name none";
    "executor_thread_pool_size" => Count(driver.executor_threads, 0..=65_535),
        "most threads a server runs endpoints on";
    "rpc_ping_enabled" => Flag(driver.rpc_ping), "servers answer oslo_rpc_server_ping";
    "rpc_response_timeout" => Seconds(driver.response_timeout),
        "how long a call waits unless it says otherwise";
    "transport_url" => Url(transport_url), "the brokers, and the driver to use";
};

pub(crate) static NOTIFICATION_ROWS: &[Row] = rows! {
    "driver" => Multi(notifications.drivers),
        "who gets every notification; may stand several times";
    "retry" => Attempts(notifications.retry),
        "further attempts after one that failed; -1 without end";
    "routing_config" => Path(notifications.routing_config), "the file of the routing driver";
    "topics" => List(notifications.topics), "what notifications are sent under";
    "transport_url" => Url(notifications.transport_url),
        "brokers for notifications alone; empty: those of the RPCs";
};

pub(crate) static CONCURRENCY_ROWS: &[Row] = rows! {
    "lock_path" => Path(driver.stable_names.lock_path),
        "folder of the lock file of stable names; empty: OSLO_LOCK_PATH";
};

pub(crate) static METRICS_ROWS: &[Row] = rows! {
    "metrics_buffer_size" => Count(driver.metrics.buffer_size, 1..=1_000_000),
        "reports that may wait; when there are more, the oldest are dropped";
    "metrics_enabled" => Flag(driver.metrics.enabled),
        "calls and casts are reported to a collector of oslo.metrics";
    "metrics_process_name" => Name(driver.metrics.process_name),
        "what the reports call this process";
    "metrics_socket_file" => Path(driver.metrics.socket_file),
        "the collector's Unix datagram socket; empty: nothing is sent";
    "metrics_thread_stop_timeout" => Seconds(driver.metrics.thread_stop_timeout),
        "the sending thread ends when it could send nothing for this long";
};
