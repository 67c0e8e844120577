//! The home folder as the command line means it. Where nobody names one, `./etc` need not be there: the first run makes it.

use std::path::Path;

use jobfile::Home;

use crate::error::Error;

/// Finds the home.
///
/// # Errors
/// When the one that was named is not there, or its settings are wrong.
pub fn find(option: Option<&Path>) -> Result<Home, Error> {
    Ok(Home::find_or_plan(option)?)
}
