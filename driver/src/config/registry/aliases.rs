//! Names that are not in the registry: deprecated ones, removed ones, and spelling mistakes.
//!
//! Not here: what options do.

use crate::config::registry::groups::{
    self, CONCURRENCY, DEFAULT, LEVERET, METRICS, NOTIFICATIONS, PIKA, RABBIT,
};
use crate::config::registry::row::Row;

/// Deprecated group and name, current group and name.
const DEPRECATED: &[(&str, &str, &str, &str)] = &[
    (DEFAULT, "rpc_thread_pool_size", DEFAULT, "executor_thread_pool_size"),
    (DEFAULT, "rpc_conn_pool_size", RABBIT, "rpc_conn_pool_size"),
    (DEFAULT, "conn_pool_min_size", RABBIT, "conn_pool_min_size"),
    (DEFAULT, "conn_pool_ttl", RABBIT, "conn_pool_ttl"),
    (DEFAULT, "notification_driver", NOTIFICATIONS, "driver"),
    (DEFAULT, "notification_topics", NOTIFICATIONS, "topics"),
    (DEFAULT, "notification_transport_url", NOTIFICATIONS, "transport_url"),
    ("rpc_notifier2", "topics", NOTIFICATIONS, "topics"),
    (RABBIT, "kombu_reconnect_timeout", RABBIT, "kombu_missing_consumer_retry_timeout"),
    (RABBIT, "lock_path", CONCURRENCY, "lock_path"),
    (RABBIT, "rabbit_durable_queues", RABBIT, "amqp_durable_queues"),
    (RABBIT, "rabbit_use_ssl", RABBIT, "ssl"),
    (RABBIT, "kombu_ssl_ca_certs", RABBIT, "ssl_ca_file"),
    (RABBIT, "kombu_ssl_certfile", RABBIT, "ssl_cert_file"),
    (RABBIT, "kombu_ssl_keyfile", RABBIT, "ssl_key_file"),
    (RABBIT, "kombu_ssl_version", RABBIT, "ssl_version"),
    (LEVERET, "nack_retry", LEVERET, "nack_retry_timeout"),
    (LEVERET, "user_timeout", LEVERET, "tcp_user_timeout"),
];

/// Removed group and name, and the reason why it has no effect. An empty name stands for the whole
/// group.
const REMOVED: &[(&str, &str, &str)] = &[
    (DEFAULT, "rpc_backend", "the scheme of transport_url names the driver"),
    (RABBIT, "rabbit_host", IN_URL),
    (RABBIT, "rabbit_hosts", IN_URL),
    (RABBIT, "rabbit_port", IN_URL),
    (RABBIT, "rabbit_userid", IN_URL),
    (RABBIT, "rabbit_password", IN_URL),
    (RABBIT, "rabbit_virtual_host", IN_URL),
    (RABBIT, "fake_rabbit", "write transport_url = fake:// for a broker in the process"),
    (RABBIT, "rabbit_max_retries", "connection attempts go on until the caller gives up"),
    ("oslo_messaging_tracing", "", "spans are those of the `tracing` crate; subscribe to them"),
];

const IN_URL: &str =
    "brokers are named by transport_url in [DEFAULT], as in rabbit://USER:PASSWORD@HOST:PORT/VHOST";

/// Prefixes of the options of oslo's `rabbit` group that used to be in `[DEFAULT]`.
const RABBIT_PREFIXES: &[&str] = &["amqp_", "kombu_", "rabbit_"];

/// What a group and a name stand for.
pub(crate) enum OptionName {
    /// An option, perhaps by a deprecated name.
    Known { group: &'static str, row: &'static Row, is_deprecated: bool },
    /// An option that was removed, and the reason. `names_broker`: without its value the driver
    /// would connect to another broker.
    Removed { reason: String, names_broker: bool },
    /// An unknown name in a group of the driver, and the option with the nearest name.
    Unknown { nearest: Option<&'static str> },
    /// An option of another library or of the service.
    Foreign,
}

/// Classifies a name of a group.
pub(crate) fn classify(group: &str, name: &str) -> OptionName {
    let deprecated = DEPRECATED.iter().find(|old| (old.0, old.1) == (group, name));
    let (current_group, current_name) = deprecated.map_or((group, name), |old| (old.2, old.3));
    let known = groups::GROUPS.iter().find(|(known, _)| *known == current_group);
    let row = known.and_then(|(group, _)| Some((*group, groups::find(group, current_name)?)));
    if let Some((group, row)) = row {
        return OptionName::Known { group, row, is_deprecated: deprecated.is_some() };
    }
    let removed = |group: &str| {
        REMOVED.iter().find(|one| one.0 == group && (one.1.is_empty() || one.1 == name))
    };
    let was_in_default =
        group == DEFAULT && RABBIT_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let found = removed(group).or_else(|| removed(RABBIT).filter(|_| was_in_default));
    if let Some((_, _, reason)) = found {
        let names_broker = *reason == IN_URL;
        return OptionName::Removed { reason: (*reason).to_owned(), names_broker };
    }
    if was_in_default && groups::find(RABBIT, name).is_some() {
        // oslo ignores these in [DEFAULT] today, and all peers must declare queues alike.
        let reason = format!("it belongs in [{RABBIT}]");
        return OptionName::Removed { reason, names_broker: false };
    }
    // Services have options of their own in [DEFAULT], and so has oslo.concurrency in its group.
    match known {
        Some((_, rows)) if ![DEFAULT, CONCURRENCY].contains(&group) => {
            OptionName::Unknown { nearest: nearest(name, rows.iter().map(|row| row.name)) }
        }
        _ => OptionName::Foreign,
    }
}

/// The group's name as the registry has it: in lower case except for `DEFAULT`, as in oslo.
pub(crate) fn normalize_group(text: &str) -> String {
    match text {
        DEFAULT => text.to_owned(),
        _ => text.to_lowercase(),
    }
}

/// The same for the name of an environment variable, which has groups in upper case.
pub(crate) fn normalize_variable_group(text: &str) -> String {
    match text.to_lowercase() {
        lower if lower == "default" => DEFAULT.to_owned(),
        lower => lower,
    }
}

/// The group of the driver, other than `DEFAULT`, that `group` is a misspelling of.
pub(crate) fn nearest_group(group: &str) -> Option<&'static str> {
    let others = [RABBIT, PIKA, NOTIFICATIONS, METRICS, LEVERET];
    let candidate = nearest(group, others.into_iter())?;
    (distance(group, candidate) <= 2).then_some(candidate)
}

/// The name with the smallest edit distance from `key`, if that is at most a third of its length.
pub(crate) fn nearest(
    key: &str,
    names: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    // Names of the registry are shorter; this bounds the cost.
    if key.len() > 64 {
        return None;
    }
    let (distance, name) = names.map(|name| (distance(key, name), name)).min()?;
    (distance <= name.len() / 3).then_some(name)
}

/// The end of an error message that suggests a name.
pub(crate) fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// The Levenshtein distance in bytes.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deprecated_names_resolve_and_removed_ones_are_no_options() {
        for (old_group, old, group, name) in DEPRECATED {
            assert!(groups::find(group, name).is_some(), "{group}.{name}");
            assert!(groups::find(old_group, old).is_none(), "{old_group}.{old}");
        }
        for (group, name, _) in REMOVED {
            let listed =
                groups::rows(group).is_some_and(|rows| name.is_empty() && !rows.is_empty());
            assert!(groups::find(group, name).is_none() && !listed, "{group}.{name}");
        }
    }
}
