//! What broken transfers left and nobody continued: removed a day later.

use std::time::{Duration, SystemTime};

use super::{landing::is_temporary, name::join, tree::Tree};
use crate::error::Error;

/// How long a leftover waits to be continued.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Removes old leftovers below a tree's root. Folders come and go meanwhile.
pub(crate) fn sweep(tree: &Tree) -> Result<(), Error> {
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let Ok(listing) = tree.list(&folder) else {
            continue;
        };
        for leaf in listing.iter() {
            let path = join(&folder, leaf.name);
            if leaf.folder {
                folders.push(path);
            } else if is_temporary(leaf.name) && is_old(tree, &path)? {
                tree.remove(&path)?;
                log::info!("{path}: removed, a transfer that nobody continued");
            }
        }
    }
    Ok(())
}

fn is_old(tree: &Tree, path: &str) -> Result<bool, Error> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let nanos = |long: Duration| i64::try_from(long.as_nanos()).unwrap_or(i64::MAX);
    let stat = tree.look(path)?;
    Ok(stat.is_some_and(|stat| nanos(now).saturating_sub(stat.ctime) > nanos(PATIENCE)))
}
