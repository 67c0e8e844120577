//! Stories of `forward`: senders on one side, a centre on the other, and everything that can go wrong between them.

mod alarms;
mod bounds;
mod centre;
mod changes;
mod faults;
mod https;
mod kills;
mod operators;
mod plain;
mod sender;
mod sink;

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};

use nix::sys::signal::Signal;

use crate::lab::{Lab, PATIENCE, signal, wait_for};

/// A forward run by hand, in a home of its own.
struct Forward {
    lab: Lab,
    address: SocketAddr,
    child: Option<Child>,
}

/// A loopback address that nobody listens on.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address")
}

impl Forward {
    /// Writes the job file: attributes of `<listen>` and `<spool>`, and the delivers whole.
    fn new(listen: &str, spool: &str, delivers: &str) -> Forward {
        let forward = Forward {
            lab: Lab::new(),
            address: free_address(),
            child: None,
        };
        forward.write(listen, spool, delivers);
        forward
    }

    fn write(&self, listen: &str, spool: &str, delivers: &str) -> PathBuf {
        let address = self.address;
        let text = format!(
            r#"<forward name="f"><listen address="{address}" {listen}/><spool dir="spool" {spool}/>{delivers}</forward>"#
        );
        self.lab.job("f", &text)
    }

    /// Starts it and waits until it takes connections.
    fn start(&mut self) {
        let mut command = self.lab.command("jobs");
        command.args(["run", "jobs/f.xml"]);
        self.start_by(command);
    }

    /// The same by another command, such as one that injects faults.
    fn start_by(&mut self, mut command: Command) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.lab.path("job.out"))
            .expect("its output");
        command
            .stdout(log.try_clone().expect("a descriptor"))
            .stderr(log);
        let child = self
            .child
            .insert(command.spawn().expect("starting the job"));
        let address = self.address;
        wait_for("the forward takes connections", PATIENCE, || {
            let ended = child.try_wait().expect("looking at the job");
            assert!(ended.is_none(), "the job ended: {ended:?}");
            TcpStream::connect(address).ok().map(drop)
        });
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().expect("it was started").id()
    }

    /// SIGKILL.
    fn kill(&mut self) {
        let mut child = self.child.take().expect("it was started");
        child.kill().expect("killing the job");
        child.wait().expect("reaping the job");
    }

    /// SIGTERM; waits for the end.
    fn stop(&mut self) -> ExitStatus {
        signal(self.pid(), Signal::SIGTERM);
        let mut child = self.child.take().expect("it was started");
        wait_for("the job stops", PATIENCE, || {
            child.try_wait().expect("looking at the job")
        })
    }

    /// Waits until the log has a line with this text.
    fn told(&self, text: &str) -> String {
        wait_for(&format!("the log says `{text}`"), PATIENCE, || {
            let lines = self.lab.lines("job.out");
            lines.into_iter().find(|line| line.contains(text))
        })
    }

    /// What `jobs spool` prints.
    fn spool(&self, words: &[&str]) -> String {
        let words = ["spool"].iter().chain(words);
        self.lab.good("jobs", words)
    }

    /// Resident memory in kilobytes.
    fn memory(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let text = text.expect("its status");
        let line = text.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.expect("its memory").parse().expect("a number")
    }

    /// The segments of the spool, oldest first.
    fn segments(&self) -> Vec<PathBuf> {
        let folder = fs::read_dir(self.lab.path("spool")).expect("the spool");
        let mut paths: Vec<PathBuf> = folder
            .map(|entry| entry.expect("an entry").path())
            .collect();
        paths.retain(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or("");
            name.ends_with(".seg") && !name.starts_with('.')
        });
        paths.sort();
        paths
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _gone = child.kill();
            let _reaped = child.wait();
        }
        if std::thread::panicking() {
            for line in self.lab.lines("job.out").iter().rev().take(30).rev() {
                // shown by the test runner beside the failure
                use std::io::Write as _;
                let _unseen = writeln!(std::io::stderr(), "job.out: {line}");
            }
        }
    }
}
