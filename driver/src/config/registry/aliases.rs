//! Names that are not in the registry: older ones of options that are, those of options that are
//! gone, and near misses.
//!
//! Not here: what the options do.

use crate::config::registry::groups::{
    self, CONCURRENCY, DEFAULT, LEVERET, METRICS, NOTIFICATIONS, PIKA, RABBIT,
};
use crate::config::registry::row::Row;

/// Older group and name, today's group and name.
const RENAMED: &[(&str, &str, &str, &str)] = &[
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
];

/// Group, name and why it has no effect. An empty name stands for the whole group.
const GONE: &[(&str, &str, &str)] = &[
    (DEFAULT, "rpc_backend", "the scheme of transport_url names the driver"),
    (RABBIT, "rabbit_host", IN_URL),
    (RABBIT, "rabbit_hosts", IN_URL),
    (RABBIT, "rabbit_port", IN_URL),
    (RABBIT, "rabbit_userid", IN_URL),
    (RABBIT, "rabbit_password", IN_URL),
    (RABBIT, "rabbit_virtual_host", IN_URL),
    (RABBIT, "fake_rabbit", "write transport_url = fake:// for a broker in the process"),
    (RABBIT, "rabbit_max_retries", "connections are tried until whoever waits gives up"),
    ("oslo_messaging_tracing", "", "spans are those of the `tracing` crate; subscribe to them"),
];

const IN_URL: &str =
    "brokers are named by transport_url in [DEFAULT], as in rabbit://USER:PASSWORD@HOST:PORT/VHOST";

/// Options of oslo's `rabbit` group, known by these beginnings, were in `[DEFAULT]` once.
const RABBIT_PREFIXES: &[&str] = &["amqp_", "kombu_", "rabbit_"];

/// What a group and a name stand for.
pub(crate) enum Meaning {
    /// An option, perhaps under an older name.
    Option { group: &'static str, row: &'static Row, renamed: bool },
    /// Nothing any more, and why; `names_broker` if leaving it out leads to another broker.
    Gone { why: String, names_broker: bool },
    /// A mistake in a group of ours, and the option that may have been meant.
    Unknown { nearest: Option<&'static str> },
    /// Somebody else's.
    Foreign,
}

/// What a group and a name stand for.
pub(crate) fn meaning(group: &str, name: &str) -> Meaning {
    let renamed = RENAMED.iter().find(|old| (old.0, old.1) == (group, name));
    let (today, option) = renamed.map_or((group, name), |old| (old.2, old.3));
    let known = groups::GROUPS.iter().find(|(known, _)| *known == today);
    if let Some((group, row)) = known.and_then(|(g, _)| Some((*g, groups::find(g, option)?))) {
        return Meaning::Option { group, row, renamed: renamed.is_some() };
    }
    let gone =
        |group: &str| GONE.iter().find(|one| one.0 == group && (one.1.is_empty() || one.1 == name));
    let moved = group == DEFAULT && RABBIT_PREFIXES.iter().any(|begin| name.starts_with(begin));
    if let Some((_, _, why)) = gone(group).or_else(|| gone(RABBIT).filter(|_| moved)) {
        return Meaning::Gone { why: (*why).to_owned(), names_broker: *why == IN_URL };
    }
    if moved && groups::find(RABBIT, name).is_some() {
        // As oslo today: peers ignore it there, and queues must be declared alike by all.
        let why = format!("it belongs in [{RABBIT}]");
        return Meaning::Gone { why, names_broker: false };
    }
    // Services keep options of their own in [DEFAULT], and their locks are none of ours.
    match known {
        Some((_, rows)) if ![DEFAULT, CONCURRENCY].contains(&group) => {
            Meaning::Unknown { nearest: nearest(name, rows.iter().map(|row| row.name)) }
        }
        _ => Meaning::Foreign,
    }
}

/// The group as it is looked up: in lower case but for `DEFAULT`, as oslo.
pub(crate) fn group_name(text: &str) -> String {
    match text {
        DEFAULT => text.to_owned(),
        _ => text.to_lowercase(),
    }
}

/// The group of ours with this name in whatever case, as environment variables have it.
pub(crate) fn shouted_group_name(text: &str) -> String {
    match text.to_lowercase() {
        lower if lower == "default" => DEFAULT.to_owned(),
        lower => lower,
    }
}

/// Why a group that belongs to this crate alone cannot be ignored when misspelt: it is near
/// [`LEVERET`], or one of oslo's.
pub(crate) fn nearest_group(group: &str) -> Option<&'static str> {
    let others = [RABBIT, PIKA, NOTIFICATIONS, METRICS, LEVERET];
    let candidate = nearest(group, others.into_iter())?;
    (distance(group, candidate) <= 2).then_some(candidate)
}

/// The name that is at most a third of its letters away.
pub(crate) fn nearest(
    key: &str,
    names: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    // A name longer than any of ours by half is near none, and costs nothing to tell.
    if key.len() > 64 {
        return None;
    }
    let (distance, name) = names.map(|name| (distance(key, name), name)).min()?;
    (distance <= name.len() / 3).then_some(name)
}

/// The end of a message that names what may have been meant.
pub(crate) fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// Levenshtein's distance, bytewise.
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
    fn old_names_lead_to_options_and_no_option_is_called_gone() {
        for (old_group, old, group, name) in RENAMED {
            assert!(groups::find(group, name).is_some(), "{group}.{name}");
            assert!(groups::find(old_group, old).is_none(), "{old_group}.{old}");
        }
        for (group, name, _) in GONE {
            let listed =
                groups::rows(group).is_some_and(|rows| name.is_empty() && !rows.is_empty());
            assert!(groups::find(group, name).is_none() && !listed, "{group}.{name}");
        }
    }
}
