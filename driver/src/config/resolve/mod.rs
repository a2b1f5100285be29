//! Resolves a configuration: values in force with their sources, warnings, ignored options.
//!
//! Invariant: for each option one entry decides (for multi-valued options, one run of entries), and
//! `effective` names its source. No error and no line of `effective` shows a password. Not here:
//! reading files (`loader`), parsing values (`registry::value`).

use std::collections::BTreeSet;
use std::fmt;

use crate::config::overrides::{QueryOption, apply_query};
use crate::config::registry::aliases::{self, OptionName, suggestion};
use crate::config::registry::groups::{self, DEFAULT, GROUPS, LEVERET};
use crate::config::registry::row::Row;
use crate::config::registry::settings::Settings;
use crate::config::registry::value::{Kind, ValueError};
use crate::config::sources::source::{Entry, Source, invalid};
use crate::config::sources::substitute::substitute;
use crate::config::url::TransportUrl;
use crate::error::{Error, ErrorKind};

/// An option with the value in force. `Display` writes `group.option = value  (source)`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// The group: oslo's, or `leveret`.
    pub group: &'static str,
    /// The current name of the option.
    pub option: &'static str,
    /// The value as a file would have it, with passwords masked.
    pub value: String,
    /// The source of the value.
    pub source: Source,
}

/// An option of another library or of the service; see
/// [`Config::ignored`](crate::Config::ignored).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ignored {
    /// The group it is in.
    pub group: String,
    /// Its name.
    pub option: String,
    /// The source that sets it.
    pub source: Source,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} = {}  ({})", self.group, self.option, self.value, self.source)
    }
}

/// A resolved configuration.
pub(super) struct Resolved {
    /// Without the URL's query.
    pub(super) settings: Settings,
    pub(super) effective: Vec<Setting>,
    pub(super) warnings: Vec<String>,
    pub(super) ignored: Vec<Ignored>,
}

/// An option with the entry that decides its value; for multi-valued options, the entries whose
/// values add up, in their order.
struct Decided<'a> {
    group: &'static str,
    row: &'static Row,
    entries: Vec<&'a Entry>,
}

/// Resolves the entries, or returns the first error in them.
pub(super) fn resolve(entries: &[Entry]) -> Result<Resolved, Error> {
    let mut diagnostics = Diagnostics::default();
    let decided = diagnostics.decide(entries)?;
    let mut settings = Settings::default();
    let lookup = |group: &str, name: &str| raw_value(&decided, entries, group, name);
    for one in &decided {
        one.set(&mut settings, &lookup)?;
    }
    diagnostics.check(&decided, &settings)?;
    let (mut in_force, in_query) = with_query(&settings)?;
    diagnostics.warn_of_deprecated(&in_query);
    let mut effective = Vec::new();
    for (group, rows) in GROUPS {
        for row in *rows {
            let decided = decided.iter().find(|one| std::ptr::eq(one.row, row));
            let source = match decided.and_then(|one| one.entries.last()) {
                _ if in_query.iter().any(|one| std::ptr::eq(one.row, row)) => Source::Url,
                Some(entry) => entry.source.clone(),
                None => Source::Default,
            };
            let value = row.kind.get(&mut in_force);
            effective.push(Setting { group, option: row.name, value, source });
        }
    }
    let Diagnostics { warnings, ignored, .. } = diagnostics;
    Ok(Resolved { settings, effective, warnings, ignored })
}

#[derive(Default)]
struct Diagnostics {
    warnings: Vec<String>,
    ignored: Vec<Ignored>,
    /// The warning about a removed option that named the broker.
    removed_broker: Option<String>,
}

impl Diagnostics {
    /// Finds the entry that decides each option.
    fn decide<'a>(&mut self, entries: &'a [Entry]) -> Result<Vec<Decided<'a>>, Error> {
        let mut known = Vec::new();
        let mut groups_warned = BTreeSet::new();
        for entry in entries {
            let Entry { group, name, source, .. } = entry;
            match aliases::classify(group, name) {
                OptionName::Known { group: current, row, is_deprecated } => {
                    if is_deprecated {
                        let name = format!("{name} in [{group}]");
                        self.warnings.push(renamed(source, &name, current, row));
                    }
                    known.push((entry.rank, !is_deprecated, current, row, entry));
                }
                OptionName::Removed { reason, names_broker } => {
                    let text = format!("{source}: {name} in [{group}] has no effect: {reason}");
                    if names_broker && self.removed_broker.is_none() {
                        self.removed_broker = Some(text.clone());
                    }
                    self.warnings.push(text);
                }
                OptionName::Unknown { nearest } => {
                    let suggestion = suggestion(nearest);
                    let text = format!("{source}: there is no option {name} in [{group}]");
                    return Err(invalid(text + &suggestion));
                }
                OptionName::Foreign => {
                    let nearest = aliases::nearest_group(group);
                    if let Some(nearest) = nearest.filter(|_| groups_warned.insert(group)) {
                        let text =
                            format!("{source}: [{group}] is ignored; did you mean [{nearest}]?");
                        self.warnings.push(text);
                    }
                    let (group, option) = (group.clone(), name.clone());
                    self.ignored.push(Ignored { group, option, source: source.clone() });
                }
            }
        }
        // Of one source, the current name wins over deprecated ones; otherwise a later entry wins.
        known.sort_by_key(|(rank, is_current, ..)| (*rank, *is_current));
        let mut decided: Vec<Decided<'a>> = Vec::new();
        for (_, _, group, row, entry) in known {
            match decided.iter_mut().find(|one| std::ptr::eq(one.row, row)) {
                Some(one) => one.add(entry),
                None => decided.push(Decided { group, row, entries: vec![entry] }),
            }
        }
        Ok(decided)
    }

    /// Warns of deprecated names in the query of the URL.
    fn warn_of_deprecated(&mut self, options: &[QueryOption]) {
        let renamed = |option: &QueryOption| {
            let name = option.deprecated_name.as_deref()?;
            Some(renamed(&Source::Url, name, option.group, option.row))
        };
        self.warnings.extend(options.iter().filter_map(renamed));
    }

    /// Checks that need all values.
    fn check(&self, decided: &[Decided<'_>], settings: &Settings) -> Result<(), Error> {
        let find = |group: &str, name: &str| {
            decided.iter().find(|one| one.group == group && one.row.name == name)
        };
        // Without a URL, the default would connect to a broker that the file does not name.
        if let Some(text) =
            self.removed_broker.as_ref().filter(|_| find(DEFAULT, "transport_url").is_none())
        {
            return Err(invalid(text.clone()));
        }
        let engine = &settings.engine;
        if let (Some(cores), Some(shards)) = (find(LEVERET, "cores"), find(LEVERET, "shards"))
            && !engine.cores.is_empty()
            && engine.cores.len() != engine.shards
        {
            return Err(invalid(format!(
                "{}: shards is {}, but cores ({}) names {}; leave shards out, or let them agree",
                shards.location(),
                engine.shards,
                cores.location(),
                engine.cores.len(),
            )));
        }
        Ok(())
    }
}

/// The warning about a deprecated name.
fn renamed(source: &Source, name: &str, group: &str, row: &Row) -> String {
    format!("{source}: {name} is called {} in [{group}] now", row.name)
}

impl<'a> Decided<'a> {
    /// Adds an entry that wins over those before, or adds to them.
    fn add(&mut self, entry: &'a Entry) {
        let adds = self.entries.last().is_some_and(|last| entry.rank.adds_to(last.rank));
        if !(adds && matches!(self.row.kind, Kind::Multi(_))) {
            self.entries.clear();
        }
        self.entries.push(entry);
    }

    /// The value as its sources have it, before substitution.
    fn text(&self) -> String {
        let values: Vec<_> = self.entries.iter().map(|entry| entry.value.as_str()).collect();
        values.join(",")
    }

    /// The source of the value, for errors.
    fn location(&self) -> String {
        self.entries.last().map_or_else(String::new, |entry| entry.source.to_string())
    }

    /// Sets the option in `settings`.
    fn set(
        &self,
        settings: &mut Settings,
        lookup: &dyn Fn(&str, &str) -> Option<String>,
    ) -> Result<(), Error> {
        let (location, group, name) = (self.location(), self.group, self.row.name);
        let is_secret = self.row.kind.is_secret();
        let text = substitute(&self.text(), group, is_secret, lookup)
            .map_err(|why| invalid(format!("{location}: option {name} in [{group}] {why}")))?;
        self.row.kind.set(settings, &text).map_err(|error| match error {
            ValueError::Accepts(what) => {
                invalid(format!("{location}: option {name} in [{group}] takes {what}"))
            }
            ValueError::Url(reason) => Error::new(
                ErrorKind::InvalidTransportUrl,
                format!("{location}: option {name} in [{group}]: {reason}"),
            ),
        })
    }
}

/// The value of an option as its source has it, for values that refer to it; also of an option that
/// is ignored.
fn raw_value(decided: &[Decided<'_>], all: &[Entry], group: &str, name: &str) -> Option<String> {
    let group = aliases::normalize_group(group);
    if let Some(one) = decided.iter().find(|one| one.group == group && one.row.name == name) {
        return Some(one.text());
    }
    if let Some(row) = groups::find(&group, name) {
        return Some(row.kind.get(&mut Settings::default()));
    }
    let found = all.iter().filter(|entry| entry.group == group && entry.name == name);
    // `max_by_key` returns the last of equal elements: the later entry.
    found.max_by_key(|entry| entry.rank).map(|entry| entry.value.clone())
}

/// The settings overridden by the URL's query, and the options that it sets.
fn with_query(settings: &Settings) -> Result<(Settings, Vec<QueryOption>), Error> {
    let url: TransportUrl = settings.transport_url().parse()?;
    let mut settings = settings.clone();
    let options = apply_query(&mut settings, &url)?;
    settings.driver.clone().completed(&url)?;
    Ok((settings, options))
}

#[cfg(test)]
mod tests;
