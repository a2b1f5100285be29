//! Options of a transport, under their oslo names and with oslo's defaults where it has them.
//!
//! Code sets them with `with_*`; files and the environment through [`Config`]; the query of the URL
//! overrides both. `options` holds the values, `registry` maps names to values, `sources` parses
//! files, `loader` gathers the sources and `resolve` decides between them. Every option in the
//! registry has an effect or says that it has none; an unknown key is an error that names the
//! nearest option.

mod check;
pub(crate) mod driver_config;
pub(crate) mod driver_name;
pub(crate) mod engine_connection;
pub(crate) mod loader;
pub(crate) mod options;
mod overrides;
pub(crate) mod registry;
pub(crate) mod resolve;
pub(crate) mod sources;
pub(crate) mod url;
