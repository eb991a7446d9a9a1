//! What the two commands run.
fn main() {}
