//! The options a URL's query may carry: one line each, with the type of its value.
//!
//! A key or value that cannot be obeyed is an error here, when the transport is made, never later.

use std::time::Duration;

use super::{DriverConfig, choices, tls_unsupported};
use crate::error::{Error, ErrorKind};

/// Puts a parsed value of the right type into its place; the text is what the type accepts.
enum Setter {
    Flag(fn(&mut DriverConfig, bool)),
    Count(fn(&mut DriverConfig, u32), u32),
    Seconds(fn(&mut DriverConfig, Duration)),
    /// At least one.
    Positive(fn(&mut DriverConfig, u32), u32),
    /// Up to a bound of its own.
    ShortSeconds(fn(&mut DriverConfig, Duration), f64),
    /// One of some words; the error is what the option takes.
    Choice(fn(&mut DriverConfig, &str) -> Result<(), &'static str>),
    Name(fn(&mut DriverConfig, &str)),
    Tls,
    /// One of TLS, without effect as long as that is off.
    OfTls,
}

use Setter::{Choice, Count, Flag, Name, OfTls, Positive, Seconds, ShortSeconds, Tls};

const MAX: u32 = i32::MAX as u32;

const OPTIONS: &[(&str, Setter)] = &[
    ("amqp_auto_delete", Flag(|config, on| config.entities.auto_delete = on)),
    ("amqp_durable_queues", Flag(|config, on| config.entities.durable = on)),
    ("conn_pool_min_size", Count(|config, count| config.pool.size_min = count, MAX)),
    ("conn_pool_ttl", Seconds(|config, time| config.pool.ttl = time)),
    ("control_exchange", Name(|config, name| config.control_exchange = name.into())),
    ("direct_mandatory_flag", Flag(|config, on| config.entities.direct_mandatory = on)),
    ("enable_cancel_on_failover", Flag(|config, on| config.entities.cancel_on_failover = on)),
    (
        "executor_thread_pool_size",
        Count(|config, count| config.executor_threads = count as usize, 65_535),
    ),
    // Without effect: a connection's heartbeats are timers of its shard, sent twice an interval.
    ("heartbeat_rate", Positive(|_, _| {}, MAX)),
    ("heartbeat_timeout_threshold", Seconds(|config, time| config.heartbeat = time)),
    (
        "kombu_missing_consumer_retry_timeout",
        Seconds(|config, time| config.missing_queue_timeout = time),
    ),
    ("hostname", Name(|config, name| config.stable_names.hostname = Some(name.into()))),
    ("kombu_compression", Choice(choices::compression)),
    ("kombu_failover_strategy", Choice(choices::failover)),
    ("kombu_reconnect_delay", ShortSeconds(|config, time| config.reconnect_delay = time, 4.5)),
    ("kombu_reconnect_splay", Seconds(|config, time| config.reconnect_splay = time)),
    ("lock_path", Name(|config, path| config.stable_names.lock_path = Some(path.into()))),
    ("processname", Name(|config, name| config.stable_names.process_name = Some(name.into()))),
    ("queue_profile", Choice(choices::queue_profile)),
    ("rabbit_ha_queues", Flag(|config, on| config.entities.ha = on)),
    ("rabbit_interval_max", Seconds(|config, time| config.retry_interval_max = time)),
    ("rabbit_login_method", Choice(choices::login_method)),
    ("rabbit_qos_prefetch_count", Count(|config, count| config.prefetch = count as u16, 65_535)),
    (
        "rabbit_quorum_delivery_limit",
        Count(|config, count| config.entities.quorum_delivery_limit = count, MAX),
    ),
    (
        "rabbit_quorum_max_memory_bytes",
        Count(|config, count| config.entities.quorum_max_memory_bytes = count, MAX),
    ),
    (
        "rabbit_quorum_max_memory_length",
        Count(|config, count| config.entities.quorum_max_memory_length = count, MAX),
    ),
    ("rabbit_quorum_queue", Flag(|config, on| config.entities.quorum = on)),
    ("rabbit_retry_backoff", Seconds(|config, time| config.retry_backoff = Some(time))),
    ("rabbit_retry_interval", Seconds(|config, time| config.retry_interval = time)),
    ("rabbit_stream_fanout", Flag(|config, on| config.entities.stream_fanout = on)),
    ("rabbit_transient_queues_ttl", Seconds(|config, time| config.entities.transient_ttl = time)),
    ("rabbit_transient_quorum_queue", Flag(|config, on| config.entities.transient_quorum = on)),
    ("rpc_conn_pool_size", Positive(|config, count| config.pool.size = count, MAX)),
    ("rpc_ping_enabled", Flag(|config, on| config.rpc_ping = on)),
    ("rpc_response_timeout", Seconds(|config, time| config.response_timeout = time)),
    ("ssl", Tls),
    ("ssl_ca_file", OfTls),
    ("ssl_cert_file", OfTls),
    ("ssl_enforce_fips_mode", OfTls),
    ("ssl_enforce_hostname_verification", OfTls),
    ("ssl_key_file", OfTls),
    ("ssl_version", OfTls),
    ("use_queue_manager", Flag(|config, on| config.stable_names.enabled = on)),
];

/// Obeys one `key=value` of a query.
pub(super) fn apply(config: &mut DriverConfig, key: &str, value: &str) -> Result<(), Error> {
    let Some((_, setter)) = OPTIONS.iter().find(|(name, _)| *name == key) else {
        let hint = nearest(key).map_or_else(String::new, |name| format!("; did you mean {name}?"));
        return Err(invalid(format!("there is no option {key}{hint}")));
    };
    let wrong = |accepted: &str| invalid(format!("option {key} takes {accepted}"));
    match setter {
        Flag(set) => set(config, flag(value).ok_or_else(|| wrong("true or false"))?),
        Count(set, most) => {
            let count = value.parse().ok().filter(|count| count <= most);
            set(config, count.ok_or_else(|| wrong(&format!("a whole number from 0 to {most}")))?);
        }
        Positive(set, most) => {
            let count = value.parse().ok().filter(|count| (1..=*most).contains(count));
            set(config, count.ok_or_else(|| wrong(&format!("a whole number from 1 to {most}")))?);
        }
        Seconds(set) => set(config, seconds(value, 1e9).map_err(|text| wrong(&text))?),
        ShortSeconds(set, most) => {
            set(config, seconds(value, *most).map_err(|text| wrong(&text))?);
        }
        OfTls => {}
        Choice(set) => set(config, value).map_err(wrong)?,
        Name(set) => set(config, value),
        Tls => match flag(value) {
            Some(false) => {}
            Some(true) => return Err(tls_unsupported(key)),
            None => return Err(wrong("true or false")),
        },
    }
    Ok(())
}

fn invalid(text: String) -> Error {
    Error::new(ErrorKind::InvalidTransportUrl, format!("Invalid transport URL: {text}"))
}

fn seconds(text: &str, most: f64) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=most).contains(seconds));
    let text = || {
        format!("seconds, from 0 to {}", if most < 1e9 { most.to_string() } else { "1e9".into() })
    };
    seconds.map(Duration::from_secs_f64).ok_or_else(text)
}

/// A boolean as oslo.config reads it.
fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Some(true),
        "false" | "0" | "off" | "no" => Some(false),
        _ => None,
    }
}

/// The option whose name is at most a third of its letters away.
fn nearest(key: &str) -> Option<&'static str> {
    let candidates = OPTIONS.iter().map(|(name, _)| (distance(key, name), *name));
    let (distance, name) = candidates.min()?;
    (distance <= name.len() / 3).then_some(name)
}

/// Levenshtein's distance, bytewise. Keys come from a URL the user wrote: their length is no
/// attack.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.bytes().enumerate() {
            let cost = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}
