//! A get, from the server's side: which files the wish means, and what becomes of those that the client has.

use std::{sync::Arc, time::Duration};

use jobfile::Patterns;

use super::{account::Account, session::Working};
use crate::{
    error::Error,
    moving::Then,
    transfer::{
        disposal,
        host::Host,
        message::{Code, Refusal, Wish},
        name::{self, Name},
        refused,
        scan::{Found, Next, Scan, Wanted},
        sender::{self, Ends, Moved, Origin},
        tree::Tree,
    },
};

/// The longest time that a client may ask files to have been unchanged for.
const MAX_STABLE: Duration = Duration::from_secs(60);

/// Files that an account's client wants.
pub(super) struct Serving<'a> {
    account: &'a Account,
    tree: &'a Arc<Tree>,
    scan: Scan,
    then: Then,
}

impl<'a> Serving<'a> {
    /// The files that a wish means, or why it cannot be granted.
    pub(super) fn new(
        account: &'a Account,
        tree: &'a Arc<Tree>,
        wish: &Wish,
    ) -> Result<Serving<'a>, Refusal> {
        let bad_name = |why| Refusal::new(Code::Name, why);
        let forbidden = |why: &str| Refusal::new(Code::Forbidden, why);
        if !account.rights.get {
            return Err(forbidden("the account has no right to get"));
        }
        let then = match &wish.then {
            Then::Keep => Then::Keep,
            _ if !account.rights.put => {
                return Err(forbidden(
                    "the account has no right to put, which it takes to delete or move files",
                ));
            }
            Then::Delete => Then::Delete,
            Then::Move(folder) => Then::Move(name::folder(folder).map_err(bad_name)?),
        };
        let folder = name::folder(&wish.folder).map_err(bad_name)?;
        let patterns: Patterns = wish
            .patterns
            .parse()
            .map_err(|why: String| Refusal::new(Code::Name, why))?;
        tree.folder(&folder)
            .map_err(|error| match refused::refusal(&error) {
                refusal if refusal.code == Code::Missing => {
                    Refusal::new(Code::Missing, format!("there is no folder /{folder}"))
                }
                refusal => refusal,
            })?;
        let except = match &then {
            Then::Move(to) => Some(to.clone()),
            _ => None,
        };
        let stable = Duration::from_millis(u64::from(wish.stable)).min(MAX_STABLE);
        let wanted = Wanted {
            folder,
            patterns,
            recurse: wish.recurse,
            stable,
            except,
        };
        Ok(Serving {
            account,
            tree,
            scan: Scan::new(Arc::clone(tree), wanted),
            then,
        })
    }

    /// Sends them.
    pub(super) fn send(&mut self, ends: Ends<'_>, host: &Working) -> Result<Moved, Error> {
        let tree = Arc::clone(self.tree);
        sender::send(ends, &tree, self, host, false)
    }
}

impl Origin for Serving<'_> {
    fn next(&mut self, host: &dyn Host) -> Result<Next, Error> {
        let next = self.scan.next(host, &mut |_| true);
        for refused in self.scan.refused() {
            log::warn!("{}: left alone: {}", refused.shown, refused.why);
        }
        next
    }

    fn path(&self, name: &Name) -> String {
        self.scan.path(name)
    }

    fn settle(&mut self, files: &[Found]) -> Result<(), Error> {
        match &self.then {
            Then::Delete => tell(disposal::delete(self.tree, &self.scan, files, true)),
            Then::Move(to) => tell(disposal::shift(self.tree, &self.scan, files, to)),
            Then::Keep
                if self
                    .account
                    .quota
                    .as_ref()
                    .is_some_and(super::quota::Quota::evicts) =>
            {
                for file in files {
                    if let Err(error) = self.tree.touch(&self.scan.path(&file.name)) {
                        log::debug!("{}", error.chain());
                    }
                }
                Ok(())
            }
            Then::Keep => Ok(()),
        }
    }

    fn missed(&mut self, file: &Found, why: &Refusal) {
        log::warn!("{}: {}", file.name, why.reason);
    }
}

/// Sources that could not be deleted or moved are told of, here where somebody can do something about it.
fn tell(done: Result<disposal::Failures, Error>) -> Result<(), Error> {
    for (file, error) in done? {
        log::error!("{}: {}", file.name, error.chain());
    }
    Ok(())
}
