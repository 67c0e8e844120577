//! The home folder as the command line means it, and what to do where there is none.

use std::path::Path;

use jobfile::Home;

use crate::error::Error;

/// Finds the home.
///
/// # Errors
/// When there is none or its settings are wrong; the message tells how to name another.
pub fn find(option: Option<&Path>) -> Result<Home, Error> {
    Home::find(option).map_err(|problems| {
        let named = option.is_some() || std::env::var_os("PROCCTL_HOME").is_some();
        let hint = if named {
            ""
        } else {
            "; name the home by --home or PROCCTL_HOME"
        };
        Error::Invalid(format!("{problems}{hint}"))
    })
}
