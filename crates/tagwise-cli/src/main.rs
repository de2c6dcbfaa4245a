//! The tagwise command.
fn main() {}
