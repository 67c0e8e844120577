//! One view of one moment in several connections, so that a large result can be read in parts at the same time.
//! Only the order of steps is here; how a server exports a snapshot or holds its writers is a matter of the backends.

use crate::{Connection, Error, ErrorKind, Result};

/// Begins the same snapshot in `first` and in all `others`, which are connections to the same server with nothing open.
///
/// # Errors
/// [`ErrorKind::Permission`] where the account may not do what it takes, [`ErrorKind::Invalid`] where the database has nothing of that
/// kind. The connections are of no more use then.
pub fn share_snapshot(
    first: &mut dyn Connection,
    others: &mut [&mut dyn Connection],
) -> Result<()> {
    if !first.shares_snapshots() {
        let why = format!(
            "{} has no snapshot for several connections",
            first.dialect().name()
        );
        return Err(Error::new(ErrorKind::Invalid, "sharing a snapshot").because(why));
    }
    if first.hold_writers()? {
        let begun = begin_all(first, others);
        // also after an error: nobody else shall wait for us
        first.release_writers()?;
        return begun;
    }
    first.begin_snapshot()?;
    let Some(name) = first.export_snapshot()? else {
        let why = "the server gave the snapshot no name";
        return Err(Error::new(ErrorKind::Other, "sharing a snapshot").because(why));
    };
    others
        .iter_mut()
        .try_for_each(|other| other.join_snapshot(&name))
}

fn begin_all(first: &mut dyn Connection, others: &mut [&mut dyn Connection]) -> Result<()> {
    for other in others {
        other.begin_snapshot()?;
    }
    first.begin_snapshot()
}
