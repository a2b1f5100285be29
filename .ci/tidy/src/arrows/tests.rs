//! Imports that point down pass, all others are named.

use super::*;

fn messages(path: &str, text: &str) -> Vec<String> {
    let lib = "pub use crate::config::{Host, Login};\npub use shard::sink::DeliverySink;";
    let doors = Doors::read(&[Source::new("engine/src/lib.rs", lib)]);
    check(&Source::new(path, text), &doors).into_iter().map(|problem| problem.message).collect()
}

#[test]
fn arrows_that_point_down_pass() {
    for (path, text) in [
        ("engine/src/proto/content.rs", "use crate::wire::frame::FrameView;"),
        ("engine/src/proto/mod.rs", "use crate::proto::event::Event;"),
        ("engine/src/shard/socket.rs", "use crate::{proto::Event, reactor::{Reactor, wake}};"),
        ("engine/src/handles/engine.rs", "use crate::shard::Shard;"),
        ("engine/src/lib.rs", "pub use crate::engine::Engine;"),
        ("engine/src/shard/redial.rs", "use crate::Host;"),
        ("driver/src/rpc/client.rs", "use crate::{dialect::Dialect, message::target::Target};"),
        ("driver/src/broker/publisher.rs", "use leveret_engine::Publisher;"),
        ("perf/src/report/text.rs", "use crate::sample::Sample;"),
        ("benches/frame.rs", "use crate::anything;"),
    ] {
        assert_eq!(messages(path, text), [""; 0], "{path}: {text}");
    }
}

#[test]
fn arrows_that_point_up_or_sideways_are_named() {
    for (path, text, message) in [
        ("engine/src/wire/a.rs", "use crate::buffer::Slice;", "`wire` may not import `buffer`"),
        ("engine/src/proto/a.rs", "crate::reactor::now()", "`proto` may not import `reactor`"),
        (
            "engine/src/reactor/a.rs",
            "use super::super::proto::X;",
            "`reactor` may not import `proto`",
        ),
        (
            "engine/src/loopback/a.rs",
            "use crate::{wire::Frame,\n    proto}",
            "`loopback` may not import `proto`",
        ),
        (
            "driver/src/dialect/kombu/a.rs",
            "use crate::broker::X;",
            "`dialect` may not import `broker`",
        ),
        ("driver/src/broker/a.rs", "use crate::dialect::X;", "`broker` may not import `dialect`"),
        ("driver/src/rpc/a.rs", "use crate::notify::X;", "`rpc` may not import `notify`"),
        ("perf/src/runner.rs", "use crate::report::X;", "`runner` may not import `report`"),
        ("engine/src/shard/a.rs", "use leveret::Transport;", "this crate may not name `leveret`"),
    ] {
        assert_eq!(messages(path, text), [message], "{path}: {text}");
    }
}

#[test]
fn modules_outside_the_table_are_asked_for() {
    let new = "`sink` is new: add it to the table in .ci/tidy/src/arrows/mod.rs";
    assert_eq!(messages("engine/src/sink.rs", "fn a() {}"), [new]);
    let unknown = "`sink` is in no row of the table in .ci/tidy/src/arrows/mod.rs";
    assert_eq!(messages("engine/src/shard/a.rs", "use crate::sink::X;"), [unknown]);
    let door = "`crate::Engine` is behind no door: import it from its module";
    assert_eq!(messages("engine/src/shard/a.rs", "use crate::Engine;"), [door]);
}

#[test]
fn tests_and_comments_may_name_whom_they_like() {
    let text = "// crate::shard::X\n#[cfg(test)]\nmod tests {\n    use crate::shard::X;\n}\n";
    assert_eq!(messages("engine/src/wire/a.rs", text), [""; 0]);
    assert_eq!(messages("engine/src/wire/tests.rs", "use crate::shard::X;"), [""; 0]);
}

#[test]
fn groups_are_read_to_their_own_end() {
    let text = "{a::{b, c}, d, e::f};\nfn g() { h, i }";
    assert_eq!(first_names(text), ["a", "d", "e"]);
    assert_eq!(first_names("a::b"), ["a"]);
}

#[test]
fn every_arrow_of_the_table_leads_to_a_room() {
    for house in HOUSES {
        for Room(from, allowed) in house.rooms {
            for to in allowed.iter().filter(|to| !["*", "+"].contains(to)) {
                assert!(house.rooms.iter().any(|room| room.0 == *to), "{from} -> {to}");
            }
        }
    }
}
