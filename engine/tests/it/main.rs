//! The engine against a real broker: one binary, one module per concern.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod publish;
mod setup;
