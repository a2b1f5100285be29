//! Who may import whom: the table of allowed arrows, and the `use` lines held against it.
//!
//! Three times one motif: two siblings that never meet and one joiner. `proto` knows AMQP and
//! no sockets, `reactor` sockets and no AMQP, `shard` joins them; `dialect` knows formats and
//! no broker, `broker` queues and no formats, `rpc` joins them; in perf, `runner` makes samples
//! and `report` reads them. Invariant: a module that is not in the table is an error, so the
//! table is the map. Tests may import what they like. Not here: what happens inside a folder.

use std::collections::BTreeMap;

use crate::Problem;
use crate::source::{Source, words};

/// A crate, by its folder and its name in code, and the sister crates it may not name.
struct House {
    folder: &'static str,
    never: &'static [&'static str],
    rooms: &'static [Room],
}

/// A top-level module and the top-level modules it may import.
struct Room(&'static str, &'static [&'static str]);

/// May import every module of its crate.
const ALL: &[&str] = &["*"];

const HOUSES: &[House] = &[
    House {
        folder: "engine/src/",
        never: &["leveret", "leveret_perf", "leveret_benches", "leveret_support"],
        rooms: &[
            // leaves
            Room("wire", &[]),
            Room("buffer", &[]),
            // two siblings, and the loopback peer that shares nothing with them
            Room("proto", &["wire", "buffer"]),
            Room("reactor", &["buffer"]),
            Room("loopback", &["wire", "buffer"]),
            // the words of the public door, which the shard speaks as well
            Room("config", SPOKEN),
            Room("credentials", SPOKEN),
            Room("declare", SPOKEN),
            Room("error", SPOKEN),
            Room("outcome", SPOKEN),
            Room("topology_group", SPOKEN),
            // the joiner; it knows neither who publishes nor who consumes
            Room("shard", SPOKEN),
            // what users hold
            Room("handles", SPOKEN),
            Room("lib", ALL),
        ],
    },
    House {
        folder: "driver/src/",
        never: &["leveret_perf", "leveret_benches", "leveret_support"],
        rooms: &[
            // leaves
            Room("ids", &[]),
            Room("codec", PLAIN),
            // plain data
            Room("topology", PLAIN),
            Room("config", PLAIN),
            Room("message", PLAIN),
            Room("error", PLAIN),
            // threads and timers, which know no queues and no formats
            Room("runtime", &["+"]),
            // two siblings
            Room("dialect", PLAIN),
            Room("broker", &["runtime", "observe", "+"]),
            // counters and readings, which name neither queues nor formats
            Room("observe", &["runtime", "+"]),
            // what both joiners stand on
            Room("transport", &["dialect", "broker", "runtime", "observe", "+"]),
            // joiners, which do not meet either
            Room("rpc", JOINED),
            Room("notify", JOINED),
            Room("guide", ALL),
            Room("bin", ALL),
            Room("lib", ALL),
        ],
    },
    House {
        folder: "perf/src/",
        never: &["leveret_benches"],
        rooms: &[
            // leaves
            Room("alloc", &[]),
            Room("sys", &[]),
            Room("clock", &[]),
            Room("workload", &[]),
            Room("progress", &[]),
            Room("peer_process", &[]),
            Room("place", &["sys", "placement"]),
            Room("placement", &["sys", "place"]),
            Room("usage", &["sys", "alloc"]),
            Room("pacer", &["clock"]),
            Room("stage", &["clock"]),
            // the record: the border between those who measure and those who report
            Room("sample", &["workload"]),
            Room("metrics", &["sample"]),
            Room("report", &["metrics", "sample", "workload"]),
            Room("plot", &["metrics", "sample", "workload"]),
            // who is measured
            Room("subject", &["workload", "clock", "stage", "place", "placement", "sys", "pacer"]),
            Room("machine", &["sample", "place", "placement", "subject", "sys"]),
            // those who measure; never those who report
            Room("cli", &["subject", "workload", "place", "placement"]),
            Room("child", MEASURING),
            Room("peers", MEASURING),
            Room("fixture", MEASURING),
            Room("runner", MEASURING),
            Room("simulator", MEASURING),
            Room("rolling", MEASURING),
            Room("chaos", MEASURING),
            // joiners
            Room("suite", ALL),
            Room("main", ALL),
        ],
    },
];

/// What the engine's shard and its vocabulary may import: each other, and all below.
const SPOKEN: &[&str] = &[
    "buffer",
    "config",
    "credentials",
    "declare",
    "error",
    "outcome",
    "proto",
    "reactor",
    "shard",
    "topology_group",
    "wire",
];

/// Plain data of the driver: it may name other plain data, and nothing that does something.
/// `+` in the table above stands for this list.
const PLAIN: &[&str] = &["codec", "config", "error", "ids", "message", "topology"];

/// What the driver's joiners may import, on top of its plain data.
const JOINED: &[&str] = &["transport", "runtime", "retry", "observe", "dialect", "broker", "+"];

/// What the measuring half of perf may import: all but `report` and `plot`.
const MEASURING: &[&str] = &[
    "alloc",
    "child",
    "cli",
    "clock",
    "fixture",
    "machine",
    "metrics",
    "pacer",
    "peer_process",
    "peers",
    "place",
    "placement",
    "progress",
    "runner",
    "sample",
    "stage",
    "subject",
    "sys",
    "usage",
    "workload",
];

/// What the front doors (`lib.rs`) re-export: the folder of the crate, the name, its module.
/// `crate::Name` is an arrow to that module.
#[derive(Debug, Default)]
pub(crate) struct Doors(BTreeMap<(&'static str, String), String>);

impl Doors {
    /// Reads the `use` lines of all `lib.rs`.
    pub(crate) fn read(sources: &[Source]) -> Self {
        let mut doors = Self::default();
        for house in HOUSES {
            let lib = sources.iter().find(|file| file.path == format!("{}lib.rs", house.folder));
            let program = lib.map(program_text).unwrap_or_default();
            for statement in program.split("pub use ").skip(1) {
                let statement = statement.split(';').next().unwrap_or(statement);
                let mut path = words(statement).map(|(_, word)| word).skip_while(|w| *w == "crate");
                let Some(module) = path.next() else { continue };
                let names = path.filter(|word| word.starts_with(char::is_uppercase));
                doors.0.extend(names.map(|n| ((house.folder, n.to_owned()), module.to_owned())));
            }
        }
        doors
    }

    /// The module behind `crate::name`.
    fn resolve(&self, house: &House, name: String) -> String {
        self.0.get(&(house.folder, name.clone())).cloned().unwrap_or(name)
    }
}

pub(crate) fn check(file: &Source, doors: &Doors) -> Vec<Problem> {
    let Some(house) = HOUSES.iter().find(|house| file.path.starts_with(house.folder)) else {
        return Vec::new();
    };
    let place = place_of(&file.path[house.folder.len()..]);
    let Some(room) = house.rooms.iter().find(|room| room.0 == place[0]) else {
        let message =
            format!("`{}` is new: add it to the table in .ci/tidy/src/arrows/mod.rs", place[0]);
        return vec![Problem::new(&file.path, 1, message)];
    };
    let mut problems = Vec::new();
    let program = program_text(file);
    for (line, name) in imports(&program, place.len()) {
        let module = doors.resolve(house, name);
        if let Some(message) = objection(house, room, &module) {
            problems.push(Problem::new(&file.path, line, message));
        }
    }
    for sister in house.never {
        let named = |line: &str| words(line).any(|(_, word)| word == *sister);
        let lines = file.program().filter(|(_, line)| named(line) && line.contains("::"));
        problems.extend(lines.map(|(number, _)| {
            Problem::new(&file.path, number, format!("this crate may not name `{sister}`"))
        }));
    }
    problems
}

/// Why this room may not import that module, if it may not.
fn objection(house: &House, room: &Room, module: &str) -> Option<String> {
    let Room(from, allowed) = room;
    let listed = |list: &[&str]| list.contains(&module);
    if module == *from || *allowed == ALL || listed(allowed) {
        return None;
    }
    if allowed.contains(&"+") && listed(PLAIN) {
        return None;
    }
    if module.starts_with(char::is_uppercase) {
        return Some(format!("`crate::{module}` is behind no door: import it from its module"));
    }
    if !house.rooms.iter().any(|room| room.0 == module) {
        let message = format!("`{module}` is in no row of the table in .ci/tidy/src/arrows/mod.rs");
        return Some(message);
    }
    Some(format!("`{from}` may not import `{module}`"))
}

/// The module path of a file below `src/`: `shard/socket.rs` is `[shard, socket]`.
fn place_of(path: &str) -> Vec<&str> {
    let mut place: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    if place.len() > 1 && place.last() == Some(&"mod") {
        place.pop();
    }
    place
}

/// The program without its tests, lines kept.
fn program_text(file: &Source) -> String {
    let lines = file.all().map(|(n, line)| if file.test[n - 1] { "" } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

/// The top-level modules a program of this depth names, through `crate::` or enough `super::`.
fn imports(program: &str, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let up = "super::".repeat(depth);
    for root in ["crate::", up.as_str()] {
        for (at, _) in program.match_indices(root) {
            let before = program[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
                continue;
            }
            let line = program[..at].matches('\n').count() + 1;
            let names = first_names(&program[at + root.len()..]);
            found.extend(names.into_iter().map(|name| (line, name)));
        }
    }
    found
}

/// The first path segment, or those of each branch of a `{a::b, c}` group.
fn first_names(rest: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = rest.strip_prefix('{') else {
        return vec![name(rest)];
    };
    let (mut depth, mut start, mut names) = (0_usize, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(name(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
        if c == '}' && start == at + 1 {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[cfg(test)]
mod tests;
