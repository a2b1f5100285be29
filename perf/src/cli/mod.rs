//! The command line: what all modes have in common (`command_line`), and the flags of each mode.

pub(crate) mod chaos;
pub(crate) mod command_line;
pub(crate) mod report;
pub(crate) mod rolling;
pub(crate) mod shell;
pub(crate) mod simulator;
pub(crate) mod suite;
pub(crate) mod values;
