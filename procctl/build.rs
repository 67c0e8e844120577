//! Links procctl at a fixed address.
//!
//! The time zone database is a megabyte of tables full of pointers. In a position-independent program the loader writes each of them
//! at every start, so supervisor and recorder would hold a private copy each; at a fixed address the tables stay in the file and are shared.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-bins=-no-pie");
}
