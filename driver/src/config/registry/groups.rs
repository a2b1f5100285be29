//! The groups of options, and finding an option by group and name.
//!
//! Not here: deprecated names (`aliases`).

use crate::config::registry::general::{
    CONCURRENCY_ROWS, GENERAL_ROWS, METRICS_ROWS, NOTIFICATION_ROWS,
};
use crate::config::registry::leveret::LEVERET_ROWS;
use crate::config::registry::pika::PIKA_ROWS;
use crate::config::registry::rabbit::RABBIT_ROWS;
use crate::config::registry::row::Row;

/// oslo's name for options without a group.
pub(crate) const DEFAULT: &str = "DEFAULT";
/// The group of oslo's `rabbit` driver.
pub(crate) const RABBIT: &str = "oslo_messaging_rabbit";
/// The group of oslo's old `pika` driver.
pub(crate) const PIKA: &str = "oslo_messaging_pika";
/// The group of notifications.
pub(crate) const NOTIFICATIONS: &str = "oslo_messaging_notifications";
/// The group of oslo.concurrency, of which the driver uses `lock_path`.
pub(crate) const CONCURRENCY: &str = "oslo_concurrency";
/// The group of reports to a collector of oslo.metrics.
pub(crate) const METRICS: &str = "oslo_messaging_metrics";
/// The group of options that oslo does not have.
pub(crate) const LEVERET: &str = "leveret";

/// All groups and their options, by name.
pub(crate) static GROUPS: &[(&str, &[Row])] = &[
    (DEFAULT, GENERAL_ROWS),
    (RABBIT, RABBIT_ROWS),
    (PIKA, PIKA_ROWS),
    (NOTIFICATIONS, NOTIFICATION_ROWS),
    (CONCURRENCY, CONCURRENCY_ROWS),
    (METRICS, METRICS_ROWS),
    (LEVERET, LEVERET_ROWS),
];

/// The options of [`LEVERET`] that no URL may set: an engine starts without a URL and may run
/// transports of several URLs.
pub(crate) const ENGINE_OPTIONS: &[&str] = &["backend", "busy_poll_us", "cores", "shards"];

/// The options of a group, if the registry has it.
pub(crate) fn rows(group: &str) -> Option<&'static [Row]> {
    GROUPS.iter().find(|(name, _)| *name == group).map(|(_, rows)| *rows)
}

/// An option by group and name.
pub(crate) fn find(group: &str, name: &str) -> Option<&'static Row> {
    rows(group)?.iter().find(|row| row.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::registry::settings::Settings;

    /// Group, name and default of each option in the guide.
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
            for Row { name, kind, help } in *options {
                assert!(!help.is_empty() && !help.ends_with('.'), "{name}");
                rows.push((group.to_string(), name.to_string(), kind.get(&mut settings)));
            }
        }
        for (group, options) in GROUPS {
            assert!(options.is_sorted_by_key(|row| row.name), "{group}");
        }
        rows.sort();
        let mut guide = guide();
        guide.sort();
        assert_eq!(rows, guide);
    }
}
