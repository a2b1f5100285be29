//! The table: the modules of each crate, and which of them each may import.
//!
//! Lowest first. Two siblings that do not import each other and one module above them that joins
//! both occur three times: `proto`, `reactor` and `shard` in the engine; `dialect`, `broker` and
//! `rpc` in the driver; `subject`, `results` and the programs in perf.

use super::{CrateRules, Imports, ModuleRule};

pub(super) const CRATES: &[CrateRules] = &[
    CrateRules {
        folder: "engine/src/",
        never: &["leveret", "leveret_perf", "leveret_benches", "leveret_support"],
        modules: &[
            only("wire", &[]),
            only("buffer", &[]),
            only("proto", &[&["wire", "buffer"]]),
            only("reactor", &[&["buffer"]]),
            only("tls", &[&["credentials", "error", "reactor"]]),
            only("loopback", &[&["wire", "buffer"]]),
            // plain data of the public interface
            only("config", &[SHARED_TYPES]),
            only("credentials", &[SHARED_TYPES]),
            only("declare", &[SHARED_TYPES]),
            only("error", &[SHARED_TYPES]),
            only("outcome", &[SHARED_TYPES]),
            only("topology_group", &[SHARED_TYPES]),
            // joins `proto` and `reactor`; knows neither publishers nor consumers
            only("shard", &[SHARED_TYPES]),
            only("handles", &[SHARED_TYPES]),
            any("fuzzing"),
            any("lib"),
        ],
    },
    CrateRules {
        folder: "driver/src/",
        never: &["leveret_perf", "leveret_benches", "leveret_support"],
        modules: &[
            // plain data
            only("codec", &[PLAIN_DATA]),
            only("topology", &[PLAIN_DATA]),
            only("config", &[PLAIN_DATA]),
            only("message", &[PLAIN_DATA]),
            only("error", &[PLAIN_DATA]),
            // threads, timers and counters, which know no queues and no formats
            only("runtime", &[PLAIN_DATA]),
            only("observe", &[PLAIN_DATA, &["runtime"]]),
            // formats without a broker; queues without a format
            only("dialect", &[PLAIN_DATA]),
            only("broker", &[PLAIN_DATA, &["runtime", "observe"]]),
            // join both
            only("transport", &[PLAIN_DATA, &["runtime", "observe", "dialect", "broker"]]),
            only("rpc", &[PLAIN_DATA, UNDER_RPC_AND_NOTIFY]),
            only("notify", &[PLAIN_DATA, UNDER_RPC_AND_NOTIFY]),
            any("fuzzing"),
            any("guide"),
            any("bin"),
            any("lib"),
        ],
    },
    CrateRules {
        folder: "perf/src/",
        never: &["leveret_benches"],
        modules: &[
            only("system", &[]),
            only("workload", &[]),
            only("placement", &[]),
            only("broker", &[]),
            only("load", &[&["system"]]),
            // the record between what measures and what reports
            only("results", &[&["workload"]]),
            only("report", &[&["results", "workload"]]),
            // what is measured
            only("subject", &[&["broker", "load", "placement", "system", "workload"]]),
            only("measure", &[MEASURED]),
            only("cli", &[&["placement", "report", "subject", "workload"]]),
            // the programs
            only("simulator", &[PROGRAM]),
            only("rolling", &[PROGRAM]),
            only("chaos", &[PROGRAM]),
            only("suite", &[PROGRAM]),
            any("main"),
        ],
    },
];

/// What the engine's handles, its shard and the plain data of both may import: the plain data, the
/// shard, and all that is below them.
const SHARED_TYPES: &[&str] = &[
    "buffer",
    "config",
    "credentials",
    "declare",
    "error",
    "outcome",
    "proto",
    "reactor",
    "shard",
    "tls",
    "topology_group",
    "wire",
];

/// Plain data of the driver: it may import other plain data only.
const PLAIN_DATA: &[&str] = &["codec", "config", "error", "message", "topology"];

/// What `rpc` and `notify` may import beside plain data. They do not import each other.
const UNDER_RPC_AND_NOTIFY: &[&str] = &["transport", "runtime", "observe", "dialect", "broker"];

/// What a measured process of perf is made of.
const MEASURED: &[&str] = &["broker", "load", "placement", "subject", "system", "workload"];

/// What each program of perf may import: everything but another program.
const PROGRAM: &[&str] = &[
    "broker",
    "cli",
    "load",
    "measure",
    "placement",
    "report",
    "results",
    "subject",
    "system",
    "workload",
];

/// A row for a module that may import what these lists name.
const fn only(module: &'static str, lists: &'static [&'static [&'static str]]) -> ModuleRule {
    ModuleRule { module, imports: Imports::Only(lists) }
}

/// A row for a module that may import all others of its crate.
const fn any(module: &'static str) -> ModuleRule {
    ModuleRule { module, imports: Imports::Any }
}
