//! One option of the registry, and the macros that write a table of options.

use crate::config::registry::value::Kind;

/// An option of a group. The registry has each once, so that options compare by address.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The kind of its value, with the field of the settings.
    pub(crate) kind: Kind,
    /// What it does, in one line.
    #[cfg_attr(not(test), expect(dead_code, reason = "read by tests only"))]
    pub(crate) help: &'static str,
}

/// Upper bound of integers that have none of their own.
pub(crate) const INTEGER_MAX: u64 = i32::MAX as u64;
/// Upper bound of seconds that have none of their own.
pub(crate) const SECONDS_MAX: f64 = 1e9;

/// Help of options that `rabbit` and `pika` both have.
pub(crate) const HEARTBEAT: &str = "the heartbeat to request, in whole seconds; 0: none";
pub(crate) const NO_POOL: &str = "no effect: one connection publishes for all threads";

/// Makes a table of rows from `"name" => Kind(field), "help";`. The field is a path in `Settings`,
/// followed by the bounds of a number.
macro_rules! rows {
    ($($name:literal => $kind:ident $field:tt, $help:expr;)*) => {
        &[$($crate::config::registry::row::Row {
            name: $name,
            kind: $crate::config::registry::row::kind!($kind $field),
            help: $help,
        }),*]
    };
}

/// Makes the kind of a row.
macro_rules! kind {
    (Choice($choice:expr)) => {
        $crate::config::registry::value::Kind::Choice($choice)
    };
    (Integer($($field:ident).+, $least:literal..=$most:expr)) => {
        $crate::config::registry::value::Kind::Integer(
            |settings| (&mut settings.$($field).+).into(),
            $least..=$most,
        )
    };
    (Seconds($($field:ident).+)) => {
        $crate::config::registry::row::kind!(
            Seconds($($field).+, $crate::config::registry::row::SECONDS_MAX)
        )
    };
    (Seconds($($field:ident).+, $most:expr)) => {
        $crate::config::registry::value::Kind::Seconds(|settings| &mut settings.$($field).+, $most)
    };
    ($kind:ident($($field:ident).+)) => {
        $crate::config::registry::value::Kind::$kind(|settings| &mut settings.$($field).+)
    };
}

pub(crate) use {kind, rows};
