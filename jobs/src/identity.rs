//! Who a job is when it is run by hand: environment, folder, umask, priority, limits, user. Under procctl all of this
//! was done before our first instruction, and nothing here is called.

use std::{
    env,
    ffi::CString,
    fs::File,
    io::{Seek as _, Write as _},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
};

use jobfile::Root;
use nix::{
    sys::{
        resource::{Resource, setrlimit},
        stat::{Mode, umask},
    },
    unistd::{Gid, Group, Uid, User, geteuid, initgroups, setgid, setgroups, setuid},
};

use crate::error::Error;

/// Starts this program anew if the job wants another environment: a running program cannot safely change its own.
/// `input` is what was read from standard input, to be read again.
///
/// # Errors
/// Only returns where no new start is needed, or with why there is none.
pub(crate) fn enter_environment(root: &Root, input: Option<&[u8]>) -> Result<(), Error> {
    let there = |(name, value): &(String, String)| env::var(name).is_ok_and(|now| now == *value);
    if root.env.iter().all(there) {
        return Ok(());
    }
    let program = env::current_exe().map_err(Error::io("find", "this program"))?;
    let mut command = Command::new(program);
    command
        .args(env::args_os().skip(1))
        .envs(root.env.iter().cloned());
    if let Some(input) = input {
        command.stdin(Stdio::from(in_memory(input)?));
    }
    Err(Error::io("start anew", "this program")(command.exec()))
}

/// A file without a name that holds these bytes.
fn in_memory(bytes: &[u8]) -> Result<File, Error> {
    let failed = || Error::io("keep", "standard input");
    let fd = rustix::fs::memfd_create("job", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(|errno| failed()(errno.into()))?;
    let mut file = File::from(fd);
    file.write_all(bytes)
        .and_then(|()| file.rewind())
        .map_err(failed())?;
    Ok(file)
}

/// Takes on the rest: what needs rights first, the user last.
///
/// # Errors
/// [`Error::Permission`] for what this user may not do, [`Error::Invalid`] for a user or group that is not there.
pub(crate) fn assume(root: &Root, home: &Path) -> Result<(), Error> {
    if let Some(files) = root.nofile {
        limit(Resource::RLIMIT_NOFILE, files, "nofile")?;
    }
    if let Some(memory) = root.memory {
        limit(Resource::RLIMIT_AS, memory.0, "memory")?;
    }
    if let Some(nice) = root.nice {
        rustix::process::nice(i32::from(nice))
            .map_err(|errno| Error::Permission(format!("set nice={nice}: {errno}")))?;
    }
    if let Some(mask) = root.umask {
        umask(Mode::from_bits_truncate(mask.0));
    }
    become_user(root)?;
    if let Some(dir) = &root.dir {
        let dir = home.join(dir);
        env::set_current_dir(&dir).map_err(Error::io("change to", dir))?;
    }
    Ok(())
}

fn limit(what: Resource, most: u64, name: &str) -> Result<(), Error> {
    setrlimit(what, most, most)
        .map_err(|errno| Error::Permission(format!("set {name}={most}: {errno}")))
}

fn become_user(root: &Root) -> Result<(), Error> {
    let group = root.group.as_deref().map(group_named).transpose()?;
    let user = root.user.as_deref().map(user_named).transpose()?;
    let refused =
        |what: &str, errno: nix::Error| Error::Permission(format!("become {what}: {errno}"));
    if let Some(user) = &user {
        if !geteuid().is_root() {
            if user.uid == geteuid() && group.is_none_or(|gid| gid == Gid::effective()) {
                return Ok(());
            }
            return Err(Error::Permission(format!(
                "only root may become user {}",
                user.name
            )));
        }
        let name = CString::new(user.name.as_str())
            .map_err(|_| Error::Invalid("a user name with a zero byte".to_owned()))?;
        let gid = group.unwrap_or(user.gid);
        initgroups(&name, gid).map_err(|errno| refused(&user.name, errno))?;
        setgid(gid).map_err(|errno| refused(&user.name, errno))?;
        setuid(user.uid).map_err(|errno| refused(&user.name, errno))?;
        return Ok(());
    }
    match group {
        Some(gid) if gid != Gid::effective() => {
            if geteuid().is_root() {
                setgroups(&[gid]).map_err(|errno| refused("a group", errno))?;
            }
            setgid(gid).map_err(|errno| refused("a group", errno))
        }
        _ => Ok(()),
    }
}

fn user_named(name: &str) -> Result<User, Error> {
    let found = match name.parse() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)),
        Err(_) => User::from_name(name),
    };
    found
        .ok()
        .flatten()
        .ok_or_else(|| Error::Invalid(format!("there is no user {name}")))
}

fn group_named(name: &str) -> Result<Gid, Error> {
    if let Ok(gid) = name.parse() {
        return Ok(Gid::from_raw(gid));
    }
    let found = Group::from_name(name).ok().flatten();
    found
        .map(|group| group.gid)
        .ok_or_else(|| Error::Invalid(format!("there is no group {name}")))
}
