//! The `doorline` binary.
fn main() {}
