//! The program: everything it does lives in the library beside it.
fn main() {}
