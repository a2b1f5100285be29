//! The groups that belong to no driver: `[DEFAULT]`, notifications, locks and reports of metrics.

use crate::config::registry::row::{LONG, Row};
use crate::config::registry::value::Kind::{
    Attempts, Count, Flag, List, Multi, Name, Path, Seconds, Url,
};
use crate::config::registry::value::Number;

pub(crate) static GENERAL_ROWS: &[Row] = &[
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

pub(crate) static NOTIFICATION_ROWS: &[Row] = &[
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

pub(crate) static CONCURRENCY_ROWS: &[Row] = &[(
    "lock_path",
    Path(|all| &mut all.driver.stable_names.lock_path),
    "folder of the lock file of stable names; empty: OSLO_LOCK_PATH",
)];

pub(crate) static METRICS_ROWS: &[Row] = &[
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
