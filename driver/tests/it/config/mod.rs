//! Effects of options, URLs and permissions.

mod conflicts;
mod credentials;
mod factories;
mod lazy;
mod options;
mod permissions;
mod python_config;
mod secrets;
mod tls;
