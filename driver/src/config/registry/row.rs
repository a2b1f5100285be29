//! One option of the registry, and the macros that write a table of options.

use crate::config::registry::value::Kind;

/// An option of a group. Each is in one place only, so that options compare by address.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What values it takes, and the field of the settings they go to.
    pub(crate) kind: Kind,
    /// What it does, in a line.
    #[cfg_attr(not(test), expect(dead_code, reason = "read by tests only"))]
    pub(crate) help: &'static str,
}

/// Upper bound of whole numbers that have none of their own.
pub(crate) const COUNT_MAX: u64 = i32::MAX as u64;
/// Upper bound of seconds that have none of their own.
pub(crate) const SECONDS_MAX: f64 = 1e9;

/// A table of rows: `"name" => Kind(field), "help";`, where the field is that of `Settings`, with
/// the bounds of a number behind it.
macro_rules! rows {
    ($($name:literal => $kind:ident $field:tt, $help:expr;)*) => {
        &[$($crate::config::registry::row::Row {
            name: $name,
            kind: $crate::config::registry::row::kind!($kind $field),
            help: $help,
        }),*]
    };
}

/// The kind of a row.
macro_rules! kind {
    (Choice($choice:expr)) => {
        $crate::config::registry::value::Kind::Choice($choice)
    };
    (Tls()) => {
        $crate::config::registry::value::Kind::Tls
    };
    (Count($($field:ident).+, $least:literal..=$most:expr)) => {
        $crate::config::registry::value::Kind::Count(
            |all| (&mut all.$($field).+).into(),
            $least..=$most,
        )
    };
    (Seconds($($field:ident).+)) => {
        $crate::config::registry::row::kind!(
            Seconds($($field).+, $crate::config::registry::row::SECONDS_MAX)
        )
    };
    (Seconds($($field:ident).+, $most:expr)) => {
        $crate::config::registry::value::Kind::Seconds(|all| &mut all.$($field).+, $most)
    };
    ($kind:ident($($field:ident).+)) => {
        $crate::config::registry::value::Kind::$kind(|all| &mut all.$($field).+)
    };
}

pub(crate) use {kind, rows};
