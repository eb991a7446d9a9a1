//! Quaero.
fn main() {}
