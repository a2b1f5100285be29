//! The perf suite.
fn main() {}
