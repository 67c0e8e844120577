//! A home with a running `fileserver`, and jobs that talk to it.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use super::proxy::Proxy;
use crate::lab::{Lab, PATIENCE, wait_for};

/// The key of every account.
pub(super) const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A port that nobody listens on.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// Bytes that look random and are the same for the same seed.
pub(super) fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// What a folder shows: all files that do not begin with a dot, by their path.
pub(super) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(dir) = folders.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = fs::read(&path) {
                let name = path
                    .strip_prefix(folder)
                    .expect("it is below")
                    .to_str()
                    .expect("UTF-8");
                found.insert(name.to_owned(), bytes);
            }
        }
    }
    found
}

/// A client's job.
pub(super) fn client(name: &str, port: u16, account: &str, key: &str, inside: &str) -> String {
    format!(
        r#"<tcp name="{name}"><server host="127.0.0.1:{port}" account="{account}" key="{key}"/>{inside}</tcp>"#
    )
}

/// A home, its server, and the server's port.
pub(super) struct Site {
    pub(super) lab: Lab,
    pub(super) port: u16,
    server: Option<Child>,
}

impl Site {
    /// A server with the accounts node1 (everything below `xfer`), reader, small and cache (300 KB each).
    pub(super) fn new() -> Site {
        Site::with("")
    }

    /// As [`Site::new`], with TLS.
    pub(super) fn secure() -> Site {
        Site::with(r#"<tls cert="cert.pem" key="key.pem"/>"#)
    }

    fn with(tls: &str) -> Site {
        let lab = Lab::new();
        let port = free_port();
        if !tls.is_empty() {
            lab.certificate();
        }
        fs::create_dir_all(lab.path("out")).expect("a folder");
        lab.job(
            "files",
            &format!(
                r#"<fileserver name="files"><listen address="127.0.0.1:{port}"/>{tls}
                <account name="node1" key="{KEY}" root="xfer"/>
                <account name="reader" key="{KEY}" root="xfer" rights="get"/>
                <account name="small" key="{KEY}" root="small" quota="300K"/>
                <account name="cache" key="{KEY}" root="cache" quota="300K" evict="true"/></fileserver>"#
            ),
        );
        let mut site = Site {
            lab,
            port,
            server: None,
        };
        site.start();
        site
    }

    /// Starts the server and waits until it listens.
    pub(super) fn start(&mut self) {
        let child = self
            .lab
            .command("jobs")
            .arg("run")
            .arg(self.lab.path("jobs/files.xml"))
            .stdout(Stdio::null())
            .stderr(
                fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(self.lab.path("server.log"))
                    .expect("its log"),
            )
            .spawn()
            .expect("starting the server");
        self.server = Some(child);
        let port = self.port;
        wait_for("the server listens", PATIENCE, || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
    }

    /// Kills the server as hard as can be.
    pub(super) fn kill(&mut self) {
        let mut child = self.server.take().expect("a server runs");
        child.kill().expect("killing the server");
        child.wait().expect("reaping the server");
    }

    /// The server's pid.
    pub(super) fn pid(&self) -> u32 {
        self.server.as_ref().expect("a server runs").id()
    }

    /// A proxy before the server.
    pub(super) fn proxy(&self) -> Proxy {
        Proxy::before(self.port)
    }

    /// Writes a job of node1's.
    pub(super) fn job(&self, name: &str, inside: &str) -> PathBuf {
        self.job_at(name, self.port, inside)
    }

    /// As [`Site::job`], by another port.
    pub(super) fn job_at(&self, name: &str, port: u16, inside: &str) -> PathBuf {
        self.lab
            .job(name, &client(name, port, "node1", KEY, inside))
    }

    /// As [`Site::job`], for another account.
    pub(super) fn job_as(&self, name: &str, account: &str, inside: &str) -> PathBuf {
        self.lab
            .job(name, &client(name, self.port, account, KEY, inside))
    }

    /// Runs a job to its end.
    pub(super) fn run(&self, job: &Path) -> Output {
        self.lab.run("jobs", [Path::new("run"), job])
    }

    /// Runs a job, which must succeed.
    pub(super) fn good(&self, job: &Path) {
        self.lab.good("jobs", [Path::new("run"), job]);
    }

    /// Makes files of these sizes, some of them in folders; tells what they hold.
    pub(super) fn fill(
        &self,
        folder: &str,
        seed: u64,
        sizes: &[usize],
    ) -> BTreeMap<String, Vec<u8>> {
        let mut made = BTreeMap::new();
        for (n, size) in sizes.iter().enumerate() {
            let name = format!("f{seed}-{n}.bin");
            let bytes = content(seed * 1_000 + n as u64, *size);
            self.lab.write(&format!("{folder}/{name}"), &bytes);
            made.insert(name, bytes);
        }
        made
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in self.lab.lines("server.log").iter().rev().take(30).rev() {
                // shown by the test runner beside the failure
                let _unseen = std::io::Write::write_fmt(
                    &mut std::io::stderr(),
                    format_args!("server: {line}\n"),
                );
            }
        }
        if let Some(mut child) = self.server.take() {
            let _killed = child.kill();
            let _reaped = child.wait();
        }
    }
}
