//! Imports that the table allows pass, all others are named.

use super::*;
use crate::tree::Text;

/// A table of one small crate, so that the samples need no file for every row of the real one.
const TABLE: &[CrateRules] = &[CrateRules {
    folder: "engine/src/",
    never: &["leveret"],
    modules: &[
        only("buffer", &[]),
        only("proto", &[&["wire"], LOW]),
        only("reactor", &[LOW]),
        only("shard", &[LOW, &["proto", "reactor", "wire"]]),
        only("wire", &[]),
        ModuleRule { module: "lib", imports: Imports::Any },
    ],
}];
const LOW: &[&str] = &["buffer"];

const fn only(module: &'static str, lists: &'static [&'static [&'static str]]) -> ModuleRule {
    ModuleRule { module, imports: Imports::Only(lists) }
}

/// A crate in which every module of the table exists, with these files in the place of its own.
fn problems(files: &[(&str, &str)]) -> Vec<Problem> {
    let mut tree = vec![
        (
            "engine/src/lib.rs",
            "mod buffer; mod proto; mod reactor; mod shard; mod wire; \
             pub use proto::Event; pub use shard::Shard; pub use bytes::Bytes;",
        ),
        ("engine/src/buffer.rs", "pub struct Slice;"),
        ("engine/src/proto/mod.rs", "mod event; mod a; pub use event::Event;"),
        ("engine/src/proto/a.rs", ""),
        ("engine/src/proto/event.rs", "pub struct Event;"),
        ("engine/src/reactor.rs", "pub fn now() {} pub use bytes::Bytes;"),
        ("engine/src/shard/mod.rs", "mod a; pub struct Shard;"),
        ("engine/src/shard/a.rs", ""),
        ("engine/src/wire.rs", "pub struct Frame;"),
    ];
    for (path, text) in files {
        tree.retain(|(old, _)| old != path);
        tree.push((path, text));
    }
    let text = |(path, text): &(&str, &str)| Text { path: (*path).into(), text: (*text).into() };
    let texts: Vec<Text> = tree.iter().map(text).collect();
    let sources: Vec<Source> = tree.iter().map(|(path, text)| Source::new(path, text)).collect();
    let modules = Modules::read("engine/src/lib.rs", &texts).unwrap();
    check_by(TABLE, &[modules], &sources)
}

/// The beginnings of the messages, up to what to do.
fn messages(files: &[(&str, &str)]) -> Vec<String> {
    let short = |problem: Problem| problem.message.split([':', ',']).next().unwrap().to_owned();
    problems(files).into_iter().map(short).collect()
}

#[test]
fn imports_that_the_table_allows_pass() {
    for (path, text) in [
        ("engine/src/proto/a.rs", "use crate::wire::Frame;"),
        ("engine/src/proto/a.rs", "use crate::proto::event::Event; use super::Event as Other;"),
        ("engine/src/shard/a.rs", "use crate::{proto::Event, reactor::{self, now}};"),
        ("engine/src/shard/a.rs", "use crate::Event; fn f() { crate::reactor::now() }"),
        ("engine/src/shard/a.rs", "use crate::wire; use crate::buffer::*; fn f(_: Slice) {}"),
        ("engine/src/shard/a.rs", "use leveret_engine::Publisher; use crate::reactor::Bytes;"),
        ("engine/src/wire.rs", "use std::fmt; use serde::wire; fn f() { fmt::f(wire::g()) }"),
        ("benches/frame.rs", "use crate::anything;"),
    ] {
        assert_eq!(problems(&[(path, text)]), [], "{path}: {text}");
    }
}

#[test]
fn imports_that_the_table_does_not_allow_are_named() {
    for (path, text, message) in [
        ("engine/src/wire.rs", "use crate::buffer::Slice;", "`wire` may not import `buffer`"),
        ("engine/src/wire.rs", "use crate::buffer;", "`wire` may not import `buffer`"),
        ("engine/src/wire.rs", "use crate::buffer::*;", "`wire` may not import `buffer`"),
        ("engine/src/wire.rs", "pub use crate::buffer::Slice;", "`wire` may not import `buffer`"),
        (
            "engine/src/proto/a.rs",
            "fn f() { crate::reactor::now() }",
            "`proto` may not import `reactor`",
        ),
        (
            "engine/src/proto/a.rs",
            "fn f() { println!(\"{}\", super::super::reactor::now()) }",
            "`proto` may not import `reactor`",
        ),
        (
            "engine/src/reactor.rs",
            "use crate::{buffer::Slice,\n    proto};",
            "`reactor` may not import `proto`",
        ),
        ("engine/src/reactor.rs", "impl crate::wire::Frame {}", "`reactor` may not import `wire`"),
    ] {
        assert_eq!(messages(&[(path, text)]), [message], "{path}: {text}");
    }
}

#[test]
fn a_message_says_what_is_imported_and_what_to_do() {
    let found = problems(&[("engine/src/reactor.rs", "use crate::wire::Frame;")]);
    let message = "`reactor` may not import `wire`, but imports `Frame` of engine/src/wire.rs: \
                   move the item to a module that both may import, or this code to one above both";
    assert_eq!(found, [Problem::new("engine/src/reactor.rs", 1, message)]);
}

#[test]
fn a_re_export_is_followed_to_its_module() {
    let through_lib = [("engine/src/reactor.rs", "use crate::Event;")];
    assert_eq!(messages(&through_lib), ["`reactor` may not import `proto`"]);
    let through_shard = [
        ("engine/src/shard/mod.rs", "mod a; pub use crate::wire::Frame; pub struct Shard;"),
        ("engine/src/proto/a.rs", "use crate::shard::Frame;"),
    ];
    assert_eq!(problems(&through_shard), []);
    let foreign = [("engine/src/shard/a.rs", "use crate::Bytes;")];
    assert_eq!(messages(&foreign), ["`shard` may not import `lib`"]);
}

#[test]
fn sister_crates_may_not_be_named() {
    let sister = [("engine/src/shard/a.rs", "\nfn f(_: leveret::Transport) {}")];
    let message =
        "this crate may not name `leveret`: move the code to a crate that may depend on it";
    assert_eq!(problems(&sister), [Problem::new("engine/src/shard/a.rs", 2, message)]);
    let own = [("engine/src/shard/a.rs", "// leveret::Transport\nuse leveret_engine::Shard;")];
    assert_eq!(problems(&own), []);
}

#[test]
fn modules_without_a_row_are_asked_for() {
    let new = "module `sink` is new: add a row for it to .ci/tidy/src/arrows/table.rs";
    for path in ["engine/src/sink.rs", "engine/src/sink/mod.rs"] {
        assert_eq!(problems(&[(path, "fn a() {}")]), [Problem::new(path, 1, new)]);
    }
}

#[test]
fn rows_and_names_without_a_module_are_refused() {
    const ONE: &[CrateRules] = &[CrateRules {
        folder: "engine/src/",
        never: &[],
        modules: &[only("lib", &[]), only("wire", &[&["pacer"]])],
    }];
    let lib = Source::new("engine/src/lib.rs", "");
    let wire = Source::new("engine/src/wire/mod.rs", "");
    let messages = |sources: &[Source]| {
        let problems = check_by(ONE, &[], sources).into_iter();
        problems.map(|problem| problem.message).collect::<Vec<_>>()
    };
    let name = "engine/src/ has no module `pacer`: remove it from what `wire` may import";
    assert_eq!(messages(&[lib, wire]), [name]);
    let lib = Source::new("engine/src/lib.rs", "");
    let row = "engine/src/ has no module `wire`: remove its row";
    assert_eq!(messages(&[lib]), [row, name]);
}

#[test]
fn tests_and_comments_may_name_any_module() {
    let text = "// crate::shard::X\n#[cfg(test)]\nmod tests {\n    use crate::shard::X;\n}\n";
    assert_eq!(problems(&[("engine/src/wire.rs", text)]), []);
    let apart = [
        ("engine/src/wire.rs", "#[cfg(test)]\nmod tests;"),
        ("engine/src/wire/tests.rs", "use crate::shard::Shard;"),
    ];
    assert_eq!(problems(&apart), []);
}
