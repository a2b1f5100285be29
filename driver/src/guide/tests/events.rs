//! Holds the table of events against the sources of driver and engine: names, levels, fields.
//!
//! The sources are read as text, so an event no test brings about counts as well. Not here:
//! spans, whose fields are few and tested by what hears them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use leveret_support::EventSubscriber;
use tracing::Event;

use crate::config::loader::Config;
use crate::notify::notifier::driver::NotificationDriver;
use crate::notify::notifier::notifier::Notifier;
use crate::transport::builder::TransportBuilder;

/// Levels and fields: of one event in the sources, or of all that have one name.
type Shape = (BTreeSet<String>, BTreeSet<String>);

/// The macros that make an event; the level of the last is among its arguments.
const MACROS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "event"];

/// The Rust files below a folder, tests apart.
fn sources(folder: &Path, keep: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            sources(&path, keep);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let lines = program.lines().filter(|line| !line.trim_start().starts_with("//"));
            keep.push(lines.collect::<Vec<_>>().join(" "));
        }
    }
}

/// What stands between a macro's parentheses, given what follows the opening one.
fn arguments(rest: &str) -> &str {
    let (mut depth, mut is_text, mut is_escaped) = (1, false, false);
    for (place, byte) in rest.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b'(' if !is_text => depth += 1,
            b')' if !is_text => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &rest[..place];
        }
    }
    panic!("no end: {rest}")
}

/// Name, level and fields of each event of a source; an event without a name has an empty one.
fn events(source: &str) -> Vec<(String, Shape)> {
    let mut found = Vec::new();
    for makes in MACROS {
        for (place, opening) in source.match_indices(&format!("{makes}!(")) {
            let before = source[..place].chars().next_back();
            if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_') {
                continue;
            }
            let all = arguments(&source[place + opening.len()..]).trim_start();
            let name = all.strip_prefix("name: \"").and_then(|rest| rest.split_once('"'));
            let (name, rest) = name.unwrap_or(("", all));
            let words = rest.trim_start_matches(',').split(',').map(str::trim);
            let fields = words
                .take_while(|word| !word.starts_with('"') && !word.is_empty())
                .filter(|word| !word.starts_with("target:") && !word.contains("Level::"))
                .map(|word| word.split('=').next().unwrap_or_default())
                .map(|word| word.trim().trim_start_matches(['%', '?']).to_owned());
            let level = (makes != "event").then(|| makes.to_uppercase());
            found.push((name.to_owned(), (level.into_iter().collect(), fields.collect())));
        }
    }
    found
}

/// The words in backticks of a cell.
fn words(cell: &str) -> BTreeSet<String> {
    super::tests(cell).map(str::to_owned).collect()
}

/// The rows of the guide's table.
fn table() -> BTreeMap<String, Shape> {
    let page = include_str!("../observing.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `leveret.")?.split_once('`'));
    let mut table = BTreeMap::new();
    for (name, rest) in rows {
        let cells: Vec<_> = rest.split('|').map(str::trim).collect();
        let ["", levels, fields, when, ""] = cells[..] else { panic!("{name}: {cells:?}") };
        assert!(!when.is_empty(), "{name}");
        let former = table.insert(format!("leveret.{name}"), (words(levels), words(fields)));
        assert!(former.is_none(), "{name} has two rows");
    }
    table
}

#[test]
fn every_event_has_a_name_and_a_row() {
    let mut named: BTreeMap<String, Shape> = BTreeMap::new();
    for (folder, is_engine) in [("src", false), ("../engine/src", true)] {
        let mut texts = Vec::new();
        sources(&super::folder().join(folder), &mut texts);
        for (name, (levels, fields)) in texts.iter().flat_map(|text| events(text)) {
            let is_stable = name.chars().all(|c| matches!(c, 'a'..='z' | '.' | '_'));
            let is_placed = name.starts_with("leveret.engine.") == is_engine;
            let is_ours = name.starts_with("leveret.") && is_stable && is_placed;
            assert!(is_ours, "{folder}: {name:?} at {levels:?} with {fields:?}");
            let shape = named.entry(name).or_default();
            shape.0.extend(levels);
            shape.1.extend(fields);
        }
    }
    assert!(named.len() > 40, "{named:?}");
    let table = table();
    for (name, shape) in &named {
        assert_eq!(table.get(name), Some(shape), "{name} in the guide, and in the sources");
    }
    for name in table.keys() {
        assert!(named.contains_key(name), "{name} is in the guide alone");
    }
}

#[test]
fn events_are_found_in_sources() {
    let source = r#"
        tracing::warn!(name: "a.b", queue, error = %last(), ?x.y, "words, {what}: \")");
        info!("nameless"); my_info!("none of ours");
        tracing::event!(name: "c", target: TARGET, tracing::Level::$level, id)
    "#;
    let shape = |levels: &[&str], fields: &[&str]| {
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        (set(levels), set(fields))
    };
    let found = events(source);
    let expected = [
        ("a.b".to_owned(), shape(&["WARN"], &["queue", "error", "x.y"])),
        (String::new(), shape(&["INFO"], &[])),
        ("c".to_owned(), shape(&[], &["id"])),
    ];
    assert_eq!(found, expected);
    assert_eq!(arguments(r#"1, "(\")", f(2)) g()"#), r#"1, "(\")", f(2)"#);
}

#[test]
fn events_carry_their_names() {
    let names = Arc::<Mutex<Vec<(&str, String)>>>::default();
    let kept = Arc::clone(&names);
    let keep = move |event: &Event<'_>| {
        let metadata = event.metadata();
        kept.lock().unwrap().push((metadata.name(), metadata.target().to_owned()));
    };
    tracing::subscriber::with_default(EventSubscriber(keep), || {
        let ini = "[DEFAULT]\ntransport_url = fake:///events\nrpc_thread_pool_size = 2\n";
        let config = Config::new().ini_str(ini).unwrap();
        let transport = TransportBuilder::from_config(&config).unwrap().connect_blocking().unwrap();
        let notifier = Notifier::builder(&transport).driver(NotificationDriver::Log).build();
        notifier.warn_blocking((), "disk.full", &()).unwrap();
        transport.close_blocking().unwrap();
    });
    let heard = names.lock().unwrap();
    for (name, target) in [
        ("leveret.configuration.doubtful", "leveret::transport::builder"),
        ("leveret.engine.backend.chosen", "leveret_engine::reactor::probe"),
        ("leveret.notification.logged", "leveret::notification"),
    ] {
        assert!(heard.contains(&(name, target.to_owned())), "{name} of {target}: {heard:?}");
    }
}
