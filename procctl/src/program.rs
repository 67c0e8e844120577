//! Where the sister programs are: beside this one, else wherever `PATH` finds them.

use std::path::PathBuf;

/// The file of a sister program, or its bare name where it does not lie beside us.
pub fn beside(name: &str) -> PathBuf {
    let beside = std::env::current_exe().map(|own| own.with_file_name(name));
    match beside {
        Ok(path) if path.is_file() => path,
        Ok(_) | Err(_) => PathBuf::from(name),
    }
}
