//! Paths lead to the file that defines what they name.

use super::*;

fn uses(files: &[(&str, &str)]) -> Vec<String> {
    let text = |&(path, text): &(&str, &str)| Text { path: path.into(), text: text.into() };
    let texts: Vec<Text> = files.iter().map(text).collect();
    let uses = Modules::read(files[0].0, &texts).unwrap().uses();
    let shown = |((from, to), names): ((String, String), BTreeSet<String>)| {
        format!("{from} {to} {}", names.into_iter().collect::<Vec<_>>().join(","))
    };
    uses.into_iter().map(shown).collect()
}

#[test]
fn a_path_is_followed_through_re_exports_to_its_definition() {
    let found = uses(&[
        ("src/lib.rs", "mod a; mod b; pub use a::A; pub use b::*;"),
        ("src/a/mod.rs", "mod inner; pub(crate) use inner::{A, other::Renamed as R};"),
        ("src/a/inner.rs", "pub struct A; pub mod other { pub struct Renamed; }"),
        ("src/b.rs", "use crate::a::R; use crate::A as Other; pub struct B; fn f(_: Other) {}"),
    ]);
    assert_eq!(found, ["src/b.rs src/a/inner.rs A,Renamed"]);
}

#[test]
fn modules_and_macros_are_looked_into() {
    let found = uses(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("/a.rs", "use crate::b; fn f() { b::g(); }"),
        ("/b.rs", "use super::c; pub fn g() { println!(\"{}\", c::VALUE + self::h()) } fn h() {}"),
        ("/c.rs", "pub const VALUE: u8 = 1; fn f() { use crate::b::g; g() }"),
    ]);
    assert_eq!(found, ["/a.rs /b.rs g", "/b.rs /c.rs VALUE", "/c.rs /b.rs g"]);
}

#[test]
fn tests_and_re_exports_are_no_uses() {
    let found = uses(&[
        ("src/lib.rs", "mod a; pub use a::A; #[cfg(test)] mod tests;"),
        (
            "src/a.rs",
            "pub struct A; #[cfg(test)] mod tests { use crate::f; } #[test] fn t() { crate::f() }",
        ),
    ]);
    assert_eq!(found, [""; 0]);
}

#[test]
fn a_name_that_leads_to_itself_ends() {
    let found = uses(&[
        ("src/lib.rs", "mod a; use a::X; use serde::serde as serde; fn f() { serde::g() }"),
        ("src/a.rs", "pub use crate::X;"),
    ]);
    assert_eq!(found, [""; 0]);
}

#[test]
fn re_exports_globs_and_modules_are_imports() {
    let texts = [
        ("src/lib.rs", "mod a; mod b; mod c;"),
        ("src/a.rs", "pub use crate::b::B; use crate::c; pub use other::C;"),
        ("src/b.rs", "use crate::c::*; pub struct B; use crate::a::C; use other::c;"),
        ("src/c.rs", "fn f() { crate::b::made_by_a_macro(); std::b() }"),
    ]
    .map(|(path, text)| Text { path: path.into(), text: text.into() });
    let modules = Modules::read("src/lib.rs", &texts).unwrap();
    let found: Vec<String> = modules
        .imports()
        .into_iter()
        .map(|((from, to), names)| format!("{from} {to} {names:?}"))
        .collect();
    assert_eq!(
        found,
        [
            "src/a.rs src/b.rs {\"B\"}",
            "src/a.rs src/c.rs {\"c\"}",
            "src/b.rs src/a.rs {\"C\"}",
            "src/b.rs src/c.rs {\"c\"}",
            "src/c.rs src/b.rs {\"made_by_a_macro\"}",
        ]
    );
    assert_eq!(modules.root(), "src/lib.rs");
}
