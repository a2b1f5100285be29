//! What options, URLs and permissions decide.

mod conflicts;
mod credentials;
mod factories;
mod lazy;
mod options;
mod permissions;
mod python_config;
