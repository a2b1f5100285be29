//! What a configuration comes to: the values in force, where each comes from, and what was odd.
//!
//! Invariant: for each option one entry (or, for multi-valued ones, one run of entries) decides,
//! and `effective` names it. No error and no line of `effective` shows a password. Not here:
//! reading files (`layers`), what kinds of values accept (`value`).

use std::collections::BTreeSet;
use std::fmt;

use crate::config::driver_name::tls_unsupported;
use crate::config::overrides::apply;
use crate::config::registry::aliases::{self, Meaning, hint};
use crate::config::registry::groups::{self, DEFAULT, GROUPS, LEVERET};
use crate::config::registry::row::Row;
use crate::config::registry::settings::Settings;
use crate::config::registry::value::{Kind, Refusal};
use crate::config::sources::source::{Entry, Source, invalid};
use crate::config::sources::substitute::substitute;
use crate::config::url::TransportUrl;
use crate::error::{Error, ErrorKind};

/// An option with the value in force. `Display` writes `group.option = value  (source)`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// oslo's group, or `leveret`.
    pub group: &'static str,
    /// The option's name of today.
    pub option: &'static str,
    /// The value as a file would have it, passwords masked.
    pub value: String,
    /// Where it comes from.
    pub source: Source,
}

/// Something found that belongs to somebody else; see [`Config::ignored`](crate::Config::ignored).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ignored {
    /// The group it was found in.
    pub group: String,
    /// Its name.
    pub option: String,
    /// Where it stands.
    pub source: Source,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} = {}  ({})", self.group, self.option, self.value, self.source)
    }
}

/// What a configuration comes to.
pub(super) struct Resolved {
    /// Without the URL's query.
    pub(super) settings: Settings,
    pub(super) effective: Vec<Setting>,
    pub(super) warnings: Vec<String>,
    pub(super) ignored: Vec<Ignored>,
}

/// The entries that speak of one option, weakest first.
struct Chosen<'a> {
    group: &'static str,
    row: &'static Row,
    entries: Vec<&'a Entry>,
}

/// Everything the entries come to, or the first thing that is wrong with them.
pub(super) fn resolve(entries: &[Entry]) -> Result<Resolved, Error> {
    let mut findings = Findings::default();
    let chosen = findings.sort(entries)?;
    let mut settings = Settings::default();
    let lookup = |group: &str, name: &str| written(&chosen, entries, group, name);
    for one in &chosen {
        one.put_into(&mut settings, &lookup)?;
    }
    findings.check(&chosen, &settings)?;
    let (mut in_force, from_url) = with_query(&settings)?;
    let mut effective = Vec::new();
    for (group, rows) in GROUPS {
        for row in *rows {
            let said = chosen.iter().find(|one| std::ptr::eq(one.row, row));
            let source = match said.and_then(|one| one.entries.last()) {
                _ if from_url.contains(&(*group, row.name)) => Source::Url,
                Some(entry) => entry.source.clone(),
                None => Source::Default,
            };
            let value = row.kind.get(&mut in_force);
            effective.push(Setting { group, option: row.name, value, source });
        }
    }
    let Findings { warnings, ignored, .. } = findings;
    Ok(Resolved { settings, effective, warnings, ignored })
}

#[derive(Default)]
struct Findings {
    warnings: Vec<String>,
    ignored: Vec<Ignored>,
    /// Why an option that would lead to another broker has no effect, and where it stands.
    left_out: Option<String>,
}

impl Findings {
    /// The entries by option, in the order in which they override each other.
    fn sort<'a>(&mut self, entries: &'a [Entry]) -> Result<Vec<Chosen<'a>>, Error> {
        let mut known = Vec::new();
        let mut groups_warned = BTreeSet::new();
        for entry in entries {
            let Entry { group, name, source, .. } = entry;
            match aliases::meaning(group, name) {
                Meaning::Option { group: today, row, renamed } => {
                    if renamed {
                        let text = format!(
                            "{source}: {name} in [{group}] is called {} in [{today}] now",
                            row.name
                        );
                        self.warnings.push(text);
                    }
                    known.push((entry.rank, !renamed, today, row, entry));
                }
                Meaning::Gone { why, names_broker } => {
                    let text = format!("{source}: {name} in [{group}] has no effect: {why}");
                    if names_broker && self.left_out.is_none() {
                        self.left_out = Some(text.clone());
                    }
                    self.warnings.push(text);
                }
                Meaning::Unknown { nearest } => {
                    let hint = hint(nearest);
                    let text = format!("{source}: there is no option {name} in [{group}]{hint}");
                    return Err(invalid(text));
                }
                Meaning::Foreign => {
                    let meant = aliases::nearest_group(group);
                    if let Some(meant) = meant.filter(|_| groups_warned.insert(group)) {
                        let text =
                            format!("{source}: nobody reads [{group}]; did you mean [{meant}]?");
                        self.warnings.push(text);
                    }
                    let (group, option) = (group.clone(), name.clone());
                    self.ignored.push(Ignored { group, option, source: source.clone() });
                }
            }
        }
        // Within one source, today's name wins over older ones; otherwise what comes later does.
        known.sort_by_key(|(rank, today, ..)| (*rank, *today));
        let mut chosen: Vec<Chosen<'a>> = Vec::new();
        for (_, _, group, row, entry) in known {
            match chosen.iter_mut().find(|one| std::ptr::eq(one.row, row)) {
                Some(one) => one.add(entry),
                None => chosen.push(Chosen { group, row, entries: vec![entry] }),
            }
        }
        Ok(chosen)
    }

    /// What only shows when all values are known.
    fn check(&self, chosen: &[Chosen<'_>], settings: &Settings) -> Result<(), Error> {
        let said = |group: &str, name: &str| {
            chosen.iter().find(|one| one.group == group && one.row.name == name)
        };
        // Without it, the default would lead to a broker nobody had in mind.
        if let Some(text) =
            self.left_out.as_ref().filter(|_| said(DEFAULT, "transport_url").is_none())
        {
            return Err(invalid(text.clone()));
        }
        let engine = &settings.engine;
        if let (Some(cores), Some(shards)) = (said(LEVERET, "cores"), said(LEVERET, "shards"))
            && !engine.cores.is_empty()
            && engine.cores.len() != engine.shards
        {
            return Err(invalid(format!(
                "{}: shards is {}, but cores ({}) names {}; leave shards out, or let them agree",
                shards.place(),
                engine.shards,
                cores.place(),
                engine.cores.len(),
            )));
        }
        Ok(())
    }
}

impl<'a> Chosen<'a> {
    fn add(&mut self, entry: &'a Entry) {
        let adds = self.entries.last().is_some_and(|last| entry.rank.adds_to(last.rank));
        if !(adds && matches!(self.row.kind, Kind::Multi(_))) {
            self.entries.clear();
        }
        self.entries.push(entry);
    }

    /// The value as its sources wrote it.
    fn text(&self) -> String {
        let values: Vec<_> = self.entries.iter().map(|entry| entry.value.as_str()).collect();
        values.join(",")
    }

    fn place(&self) -> String {
        self.entries.last().map_or_else(String::new, |entry| entry.source.to_string())
    }

    fn put_into(
        &self,
        settings: &mut Settings,
        lookup: &dyn Fn(&str, &str) -> Option<String>,
    ) -> Result<(), Error> {
        let (place, group, name) = (self.place(), self.group, self.row.name);
        let is_secret = matches!(self.row.kind, Kind::Url(_));
        let text = substitute(&self.text(), group, is_secret, lookup)
            .map_err(|why| invalid(format!("{place}: option {name} in [{group}] {why}")))?;
        self.row.kind.set(settings, &text).map_err(|refusal| match refusal {
            Refusal::Accepts(what) => {
                invalid(format!("{place}: option {name} in [{group}] takes {what}"))
            }
            Refusal::Url(why) => Error::new(
                ErrorKind::InvalidTransportUrl,
                format!("{place}: option {name} in [{group}]: {why}"),
            ),
            Refusal::Tls => tls_unsupported(&format!("{name} in [{group}], {place}")),
        })
    }
}

/// A value as its source wrote it, for those that refer to it: one of ours, or anybody's.
fn written(chosen: &[Chosen<'_>], all: &[Entry], group: &str, name: &str) -> Option<String> {
    let group = aliases::group_name(group);
    if let Some(one) = chosen.iter().find(|one| one.group == group && one.row.name == name) {
        return Some(one.text());
    }
    if let Some(row) = groups::find(&group, name) {
        return Some(row.kind.get(&mut Settings::default()));
    }
    let found = all.iter().filter(|entry| entry.group == group && entry.name == name);
    // `max_by_key` takes the last of equals: what was said later.
    found.max_by_key(|entry| entry.rank).map(|entry| entry.value.clone())
}

/// The settings with what the URL's query says, and the options it named.
#[expect(clippy::type_complexity, reason = "two values that live for three lines")]
fn with_query(
    settings: &Settings,
) -> Result<(Settings, BTreeSet<(&'static str, &'static str)>), Error> {
    let url: TransportUrl = settings.transport_url().parse()?;
    let mut settings = settings.clone();
    let mut named = BTreeSet::new();
    for (key, value) in url.query() {
        named.insert(apply(&mut settings, key, value)?);
    }
    settings.driver.clone().settled(&url)?;
    Ok((settings, named))
}

#[cfg(test)]
mod tests;
