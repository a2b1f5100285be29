//! The structure check.
fn main() {}
