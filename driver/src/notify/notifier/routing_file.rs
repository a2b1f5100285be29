//! The driver `routing`: a file says which notifications go to which drivers.
//!
//! The file is oslo's, in YAML: groups, in each group drivers by name, for each driver patterns of
//! event types and of priorities that it accepts. Within one entry all kinds given must match; any
//! entry selects its driver, once. Patterns are those of Python's `fnmatch`. oslo.messaging 18.3.1
//! loses such notifications (its sub-drivers fail to load); this does what its documentation says.

use std::path::Path;

use regex::Regex;
use serde::Deserialize;

use crate::error::Error;
use crate::message::priority::Priority;
use crate::notify::notifier::driver::{Entry, NotificationDriver, Routing};
use crate::notify::notifier::fnmatch::{fnmatch, invalid};

/// One driver's entry as the file has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Accepted {
    accepted_events: Option<Vec<String>>,
    accepted_priorities: Option<Vec<String>>,
}

type Groups =
    std::collections::BTreeMap<String, std::collections::BTreeMap<String, Option<Accepted>>>;

impl Routing {
    /// Reads the rules from a file (oslo's option `routing_config`).
    ///
    /// # Errors
    /// `ConfigurationError` with the name of the file, if it cannot be read or parsed.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let about = |error: &dyn std::fmt::Display| {
            invalid(format!("routing_config {}: {error}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|error| about(&error))?;
        text.parse().map_err(|error: Error| about(&error))
    }

    /// The drivers that accept a notification of this type and priority, each once.
    pub(crate) fn select(
        &self,
        event_type: &str,
        priority: Priority,
    ) -> impl Iterator<Item = &NotificationDriver> {
        let accepts = move |entry: &&Entry| {
            let matches = |patterns: &Option<Vec<Regex>>, text: &str| {
                patterns.as_ref().is_none_or(|all| all.iter().any(|one| one.is_match(text)))
            };
            matches(&entry.events, event_type) && matches(&entry.priorities, priority.as_str())
        };
        let mut selected: Vec<&Entry> = self.entries.iter().filter(accepts).collect();
        selected.sort_by(|one, other| one.name.cmp(&other.name));
        selected.dedup_by(|one, other| one.name == other.name);
        selected.into_iter().map(|entry| &entry.driver)
    }
}

impl std::str::FromStr for Routing {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let groups: Groups = serde_yaml_ng::from_str(text)
            .map_err(|error| invalid(format!("the routing rules cannot be read: {error}")))?;
        let mut entries = Vec::new();
        for (name, accepted) in groups.into_values().flatten() {
            let Accepted { accepted_events, accepted_priorities } = accepted.unwrap_or_default();
            let patterns = |all: Option<Vec<String>>| {
                all.map(|all| all.iter().map(|one| fnmatch(one)).collect()).transpose()
            };
            entries.push(Entry {
                driver: name.parse()?,
                events: patterns(accepted_events)?,
                priorities: patterns(accepted_priorities)?,
                name,
            });
        }
        Ok(Self { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_python() {
        for (pattern, text, answer) in [
            ("compute.*", "compute.start", true),
            ("compute.*", "computeXstart", false),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[ac]x", "cx", true),
            ("[!ac]x", "cx", false),
            ("[a-c]x", "bx", true),
            ("[]]x", "]x", true),
            ("[x", "[x", true),
            ("a.b", "aXb", false),
            ("[^]", "^", true),
            ("é*", "été", true),
            ("[é]x", "éx", true),
            ("[!é]x", "éx", false),
            ("[!]x]y", "]y", false),
            ("[!]x]y", "zy", true),
            ("[a--b]", "b", true),
            ("[a--b]", "a", false),
            ("[b-a]", "b", false),
            ("[!b-a]", "b", true),
            ("[a-]", "-", true),
            ("[-a]", "-", true),
            ("[a-c-e]", "-", true),
            ("[a-c-e]", "d", false),
            ("[\\d]", "5", false),
            ("[a&&b]", "&", true),
            ("[[]", "[", true),
        ] {
            assert_eq!(fnmatch(pattern).unwrap().is_match(text), answer, "{pattern} {text}");
        }
    }

    fn selected(routing: &Routing, event_type: &str, priority: Priority) -> Vec<String> {
        let drivers = routing.select(event_type, priority);
        drivers.map(|driver| format!("{driver:?}")).collect()
    }

    #[test]
    fn any_entry_selects_and_all_its_keys_must_match() {
        let routing: Routing = "
group_1:
  messaging:
    accepted_events: ['compute.*']
    accepted_priorities: [info, 'err*']
  log:
    accepted_priorities: [debug]
group_2:
  messaging:
    accepted_events: [volume.create]
  noop:
"
        .parse()
        .unwrap();
        let select = |event_type, priority| selected(&routing, event_type, priority);
        assert_eq!(select("compute.start", Priority::Error), ["Messaging", "Noop"]);
        assert_eq!(select("compute.start", Priority::Warn), ["Noop"]);
        assert_eq!(select("volume.create", Priority::Debug), ["Log", "Messaging", "Noop"]);
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        for (text, reason) in [
            ("a: [1", "cannot be read"),
            ("g: {messaging: {acepted_events: [x]}}", "unknown field `acepted_events`"),
            ("g: {pigeon: {}}", "Failed to load notification driver \"pigeon\""),
        ] {
            let error = text.parse::<Routing>().unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
        let error = Routing::from_file("/nowhere/routing.yaml").unwrap_err();
        assert!(error.to_string().contains("/nowhere/routing.yaml"), "{error}");
    }
}
