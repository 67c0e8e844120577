//! Unix sockets by path: binding and connecting also where the path is longer than the 107
//! bytes a socket address can hold. What is said over them is not known here.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Longest path that fits a socket address, with its closing zero left out.
const LONGEST: usize = 107;

/// Listens on a new socket at `path` (mode 0600), removing what an earlier owner left there.
///
/// The caller holds the home's lock: nobody else listens there. Non-blocking, close-on-exec.
pub fn listen(path: &Path, kind: SocketType) -> io::Result<OwnedFd> {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let (address, _folder) = address(path)?;
    let socket = open(kind, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::fs::chmod(path, Mode::RUSR | Mode::WUSR)?;
    rustix::net::listen(&socket, 128)?;
    Ok(socket)
}

/// Connects to the socket at `path`. The result blocks unless `nonblocking`; close-on-exec.
pub fn connect(path: &Path, kind: SocketType, nonblocking: bool) -> io::Result<OwnedFd> {
    let (address, _folder) = address(path)?;
    let socket = open(kind, nonblocking)?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket)
}

fn open(kind: SocketType, nonblocking: bool) -> io::Result<OwnedFd> {
    let mut flags = SocketFlags::CLOEXEC;
    if nonblocking {
        flags |= SocketFlags::NONBLOCK;
    }
    Ok(rustix::net::socket_with(
        AddressFamily::UNIX,
        kind,
        flags,
        None,
    )?)
}

/// The address of `path`; a long one goes by way of its open folder, which must outlive the use.
fn address(path: &Path) -> io::Result<(SocketAddrUnix, Option<File>)> {
    if path.as_os_str().len() <= LONGEST {
        return Ok((SocketAddrUnix::new(path)?, None));
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = rustix::fs::open(
        folder,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let folder = File::from(folder);
    let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    Ok((SocketAddrUnix::new(short)?, Some(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_paths_connect() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        for place in [folder.path(), deep.as_path()] {
            let path = place.join("x.sock");
            let listener = listen(&path, SocketType::SEQPACKET).unwrap();
            let client = connect(&path, SocketType::SEQPACKET, false).unwrap();
            let server = rustix::net::accept(&listener).unwrap();
            assert_eq!(rustix::io::write(&client, b"hello").unwrap(), 5);
            let mut buffer = [0; 16];
            assert_eq!(rustix::io::read(&server, &mut buffer).unwrap(), 5);
            // a second owner takes the place of a stale file
            drop(listener);
            listen(&path, SocketType::SEQPACKET).unwrap();
        }
    }
}
