//! As whom and with what a job's processes run: user, groups, environment, limits. Looks things
//! up; starts nothing.

use std::ffi::{CString, OsStr, OsString};
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use crate::launch::Identity;
use crate::plan::spec::Surroundings;

/// Variables that speak of the supervisor's own start, and mean nothing to its children.
const NOT_INHERITED: [&str; 10] = [
    "PROCCTL_BACKGROUND",
    "PROCCTL_RUN",
    "PROCCTL_SLOT",
    "PROCCTL_JOB",
    "PROCCTL_HOME",
    "PROCCTL_RESUME",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
];

/// An environment while it is put together.
#[derive(Debug, Clone)]
pub(super) struct Environment(Vec<(OsString, OsString)>);

impl Environment {
    /// The supervisor's own, without what is its own business.
    pub(super) fn inherited() -> Environment {
        let all = std::env::vars_os();
        Environment(
            all.filter(|(name, _)| NOT_INHERITED.iter().all(|own| name != own))
                .collect(),
        )
    }

    /// Sets a variable, in the place of an older one of that name.
    pub(super) fn set(&mut self, name: impl AsRef<OsStr>, value: impl Into<OsString>) {
        let name = name.as_ref();
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value.into(),
            None => self.0.push((name.to_owned(), value.into())),
        }
    }

    /// The value of a variable.
    pub(super) fn value(&self, name: &str) -> Option<&OsStr> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_os_str())
    }

    /// As `execve` wants it.
    pub(super) fn strings(&self) -> Result<Vec<CString>, String> {
        let line = |(name, value): &(OsString, OsString)| {
            let mut line = name.clone();
            line.push("=");
            line.push(value);
            crate::launch::c_string(line)
        };
        let all: Option<Vec<CString>> = self.0.iter().map(line).collect();
        all.ok_or_else(|| "a variable of its environment holds a zero byte".to_string())
    }
}

/// The user that a job's processes run as, where that is another than ours.
#[derive(Debug)]
pub(super) struct Other {
    /// For the child.
    pub(super) identity: Identity,
    /// What it finds in `USER`, `HOME` and `SHELL`; `None` for a number without a name.
    names: Option<[OsString; 3]>,
}

impl Other {
    /// Sets what a login would.
    pub(super) fn tell(&self, environment: &mut Environment) {
        if let Some([user, home, shell]) = &self.names {
            environment.set("USER", user);
            environment.set("LOGNAME", user);
            environment.set("HOME", home);
            environment.set("SHELL", shell);
        }
    }
}

/// Looks up `user` and `group`; `None` when the job has neither, or they are what we are.
pub(super) fn other(surroundings: &Surroundings) -> Result<Option<Other>, String> {
    let user = surroundings.user.as_deref().map(find_user).transpose()?;
    let group = surroundings.group.as_deref().map(find_group).transpose()?;
    let (own_uid, own_gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let (uid, known) = match user {
        None => (own_uid, None),
        Some(found) => found,
    };
    let gid = group
        .or(known.as_ref().map(|known| known.gid))
        .unwrap_or(own_gid);
    if (uid, gid) == (own_uid, own_gid) {
        return Ok(None);
    }
    if !own_uid.is_root() {
        let text = "only a procctl of root can start it as another user or group";
        return Err(text.to_string());
    }
    let groups = match &known {
        Some(known) => groups_of(known, gid)?,
        None => vec![gid.as_raw()],
    };
    Ok(Some(Other {
        identity: Identity {
            uid: uid.as_raw(),
            gid: gid.as_raw(),
            groups: Some(groups),
        },
        names: known.map(|known| [known.name.into(), known.dir.into(), known.shell.into()]),
    }))
}

fn find_user(user: &str) -> Result<(Uid, Option<User>), String> {
    let look = |error: nix::Error| format!("look up user {user}: {error}");
    if let Some(known) = User::from_name(user).map_err(look)? {
        return Ok((known.uid, Some(known)));
    }
    let number: u32 = user
        .parse()
        .map_err(|_| format!("there is no user {user}"))?;
    let uid = Uid::from_raw(number);
    Ok((uid, User::from_uid(uid).map_err(look)?))
}

fn find_group(group: &str) -> Result<Gid, String> {
    let known =
        Group::from_name(group).map_err(|error| format!("look up group {group}: {error}"))?;
    match known {
        Some(known) => Ok(known.gid),
        None => group
            .parse()
            .map(Gid::from_raw)
            .map_err(|_| format!("there is no group {group}")),
    }
}

fn groups_of(user: &User, gid: Gid) -> Result<Vec<u32>, String> {
    let name = CString::new(user.name.as_str()).map_err(|error| error.to_string())?;
    let groups = getgrouplist(&name, gid)
        .map_err(|error| format!("look up the groups of {}: {error}", user.name))?;
    Ok(groups.into_iter().map(Gid::as_raw).collect())
}

/// The folder that a run starts in.
pub(super) fn folder(home: &Path, surroundings: Option<&Surroundings>) -> std::path::PathBuf {
    match surroundings.and_then(|all| all.dir.as_ref()) {
        Some(dir) => home.join(dir),
        None => home.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_user(user: &str, group: Option<&str>) -> Result<Option<Other>, String> {
        other(&Surroundings {
            user: Some(user.into()),
            group: group.map(String::from),
            ..Surroundings::default()
        })
    }

    #[test]
    fn users_are_found_by_name_and_number_and_missing_ones_are_named() {
        assert!(
            as_user("no-such-user", None)
                .unwrap_err()
                .contains("no-such-user")
        );
        assert!(
            as_user("root", Some("no-group"))
                .unwrap_err()
                .contains("no-group")
        );
        let own = nix::unistd::geteuid().to_string();
        let group = nix::unistd::getegid().to_string();
        assert!(as_user(&own, Some(&group)).unwrap().is_none());
        let nobody = as_user("65534", Some("65534"));
        if nix::unistd::geteuid().is_root() {
            let nobody = nobody.unwrap().unwrap();
            assert_eq!((nobody.identity.uid, nobody.identity.gid), (65534, 65534));
            assert!(nobody.identity.groups.is_some());
        } else {
            assert!(nobody.is_err());
        }
    }

    #[test]
    fn a_variable_is_there_once() {
        let mut environment = Environment(vec![("A".into(), "1".into())]);
        environment.set("A", "2");
        environment.set("B", "3");
        let strings = environment.strings().unwrap();
        assert_eq!(strings, [c"A=2".to_owned(), c"B=3".to_owned()]);
        environment.set("C", "\0");
        assert!(environment.strings().is_err());
    }
}
