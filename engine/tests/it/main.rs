//! Integration tests of the engine with a real broker and scripted peers: one binary, one module
//! per topic.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]
#![allow(clippy::disallowed_methods, reason = "tests may ask the clock")]

mod connection;
mod consuming;
mod panics;
mod publishing;
mod recovery;
mod support;
mod tls;
