//! Where the sister programs are: beside this one, else wherever `PATH` finds them.

use std::path::PathBuf;

/// This program's own file; by way of `/proc` where it has been replaced or removed since.
pub fn own() -> PathBuf {
    match std::env::current_exe() {
        Ok(path) if path.is_file() => path,
        Ok(_) | Err(_) => PathBuf::from("/proc/self/exe"),
    }
}

/// The file of a sister program, or its bare name where it does not lie beside us.
pub fn beside(name: &str) -> PathBuf {
    let beside = std::env::current_exe().map(|own| own.with_file_name(name));
    match beside {
        Ok(path) if path.is_file() => path,
        Ok(_) | Err(_) => PathBuf::from(name),
    }
}
