//! What the benches share: sample messages of the sizes the perf suite uses.
