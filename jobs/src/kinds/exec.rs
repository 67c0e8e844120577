//! `exec`: any command as a job, run by hand. Under procctl the supervisor starts the command itself, with nothing between;
//! here it runs in the foreground and means the same: own process group, stop to the whole tree, beats from its output or from itself.

use std::{
    fs::File,
    io::{self, Read as _, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        linux::net::SocketAddrExt as _,
        unix::{
            fs::PermissionsExt as _,
            net::{SocketAddr, UnixDatagram},
            process::{CommandExt as _, ExitStatusExt as _},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use checkproc::{
    census::Census,
    process,
    tree::{Target, Tree},
};
use jobfile::exec::{Beat, Exec as Params};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::{
    context::Context,
    error::Error,
    job::{Invalid, Job, Report, Tally},
    stop::readable,
};

/// A command as a job.
pub(super) struct Exec {
    words: Vec<String>,
    beat: Beat,
}

impl Job for Exec {
    const KIND: &'static str = "exec";
    const ABOUT: &'static str =
        "runs a command, any program at all, watched by its output or by its own beats";
    const SAMPLE: &'static str = include_str!("../../../etc/jobs/exec.xml");
    type Params = Params;

    fn new(params: Params) -> Result<Exec, Invalid> {
        Ok(Exec {
            words: params.command.plain(),
            beat: params.beat,
        })
    }

    fn run(&mut self, cx: &mut Context) -> Result<Tally, Error> {
        let mut run = Running::start(self, cx)?;
        let status = run.follow(cx)?;
        match (cx.stop().asked(), status.code(), status.signal()) {
            (Some(signal), ..) => Err(Error::Stopped(signal)),
            (None, Some(0), _) => Ok(Tally::default()),
            (None, Some(code), _) => Err(Error::Command(u8::try_from(code).unwrap_or(1))),
            (None, None, signal) => Err(Error::Command(
                u8::try_from(128 + signal.unwrap_or(0)).unwrap_or(1),
            )),
        }
    }

    fn check(&mut self, _: &mut Context, report: &mut Report) -> Result<(), Error> {
        match find(&self.words[0]) {
            Some(path) => report.note(format_args!("the command is {}", path.display())),
            None => report.problem(
                "command",
                format_args!("there is no program {}", self.words[0]),
            ),
        }
        Ok(())
    }
}

/// The program that a first word means: a path, or something on PATH.
fn find(word: &str) -> Option<PathBuf> {
    let runs = |path: &Path| {
        path.metadata()
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if word.contains('/') {
        return Some(PathBuf::from(word)).filter(|path| runs(path));
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .map(|dir| dir.join(word))
        .find(|path| runs(path))
}

/// The command while it runs.
struct Running {
    child: Child,
    pidfd: OwnedFd,
    tree: Tree,
    /// Its standard output and error, while they are open and pass through us; each with where they go.
    pipes: Vec<(File, Box<dyn Write>)>,
    notes: Option<UnixDatagram>,
    /// When the stop turns from SIGTERM to SIGKILL.
    kill_at: Option<Instant>,
}

impl Running {
    fn start(exec: &Exec, cx: &Context) -> Result<Running, Error> {
        let program = &exec.words[0];
        let mut command = Command::new(program);
        let run = u64::from(std::process::id());
        // The run's number finds descendants that leave the process group.
        command
            .args(&exec.words[1..])
            .process_group(0)
            .stdin(Stdio::null())
            .env("PROCCTL_RUN", run.to_string());
        if let Some((index, generation)) = cx.slot() {
            command.env("PROCCTL_SLOT", format!("{index}:{generation}"));
        }
        let notes = match exec.beat {
            Beat::SelfBeat => Some(notify_socket(&mut command, cx)?),
            Beat::Output | Beat::None => None,
        };
        if exec.beat == Beat::Output {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        let mut child = command.spawn().map_err(Error::io("start", program))?;
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())
            .map_err(|errno| Error::io("watch", program)(errno.into()))?;
        let pid = child.id();
        let tree = Tree::new(Target {
            pid,
            start_time: process::start_time(pid).unwrap_or(0),
            run: Some(run),
            cgroup: None,
        });
        let mut pipes: Vec<(File, Box<dyn Write>)> = Vec::new();
        if let Some(out) = child.stdout.take() {
            pipes.push((File::from(OwnedFd::from(out)), Box::new(io::stdout())));
        }
        if let Some(err) = child.stderr.take() {
            pipes.push((File::from(OwnedFd::from(err)), Box::new(io::stderr())));
        }
        Ok(Running {
            child,
            pidfd,
            tree,
            pipes,
            notes,
            kill_at: None,
        })
    }

    /// Follows the command to its end: passes on output, beats, hands on a stop.
    fn follow(&mut self, cx: &Context) -> Result<ExitStatus, Error> {
        loop {
            self.hand_on_stop(cx);
            let long = self.kill_at.map_or(Duration::from_secs(3600), |at| {
                at.saturating_duration_since(Instant::now())
                    .max(Duration::from_millis(10))
            });
            self.listen(cx, long);
            if let Some(status) = self
                .child
                .try_wait()
                .map_err(Error::io("wait for", "the command"))?
            {
                // What is still in the pipes comes first; who else holds them open is not waited for.
                while self.listen(cx, Duration::ZERO) {}
                if self.kill_at.is_some() {
                    self.tree.kill();
                }
                return Ok(status);
            }
        }
    }

    /// Waits so long for output, messages, the command's end or a stop. Tells whether there was output or a message.
    fn listen(&mut self, cx: &Context, long: Duration) -> bool {
        let mut fds: Vec<BorrowedFd<'_>> =
            self.pipes.iter().map(|(pipe, _)| pipe.as_fd()).collect();
        let pipes = fds.len();
        fds.extend(self.notes.as_ref().map(AsFd::as_fd));
        let sources = fds.len();
        fds.push(self.pidfd.as_fd());
        if self.kill_at.is_none() {
            fds.push(cx.stop().asked_fd());
        }
        let ready = readable(&fds, long);
        if self.notes.is_some() && ready[pipes] {
            self.take_notes(cx);
        }
        let mut at = 0;
        self.pipes.retain_mut(|(pipe, to)| {
            at += 1;
            !ready[at - 1] || pass_on(pipe, to, cx)
        });
        ready[..sources].contains(&true)
    }

    /// Takes what the command says on its notify socket: `WATCHDOG=1` beats, `STATUS=` is its phase.
    fn take_notes(&self, cx: &Context) {
        let mut bytes = [0; 4096];
        while let Some(Ok(length)) = self.notes.as_ref().map(|socket| socket.recv(&mut bytes)) {
            for line in String::from_utf8_lossy(&bytes[..length]).lines() {
                match line.split_once('=') {
                    Some(("WATCHDOG", "1") | ("READY", "1")) => cx.beat(),
                    Some(("STATUS", text)) => cx.phase(text),
                    _ => {}
                }
            }
        }
    }

    fn hand_on_stop(&mut self, cx: &Context) {
        match self.kill_at {
            None if cx.stopping() => {
                self.tree.signal(Signal::TERM, &Census::take());
                self.kill_at = Some(Instant::now() + cx.stop_grace());
            }
            Some(at) if at <= Instant::now() => {
                self.tree.kill();
            }
            _ => {}
        }
    }
}

/// Passes on what a pipe holds; a line is a beat. `false` at its end.
fn pass_on(pipe: &mut File, to: &mut Box<dyn Write>, cx: &Context) -> bool {
    let mut bytes = [0; 16 * 1024];
    match pipe.read(&mut bytes) {
        Ok(0) => false,
        Ok(length) => {
            if bytes[..length].contains(&b'\n') {
                cx.beat();
            }
            // The command goes on even if nobody wants to see what it prints.
            let _unseen = to.write_all(&bytes[..length]).and_then(|()| to.flush());
            true
        }
        Err(error) => error.kind() == io::ErrorKind::Interrupted,
    }
}

/// Gives the command a socket to beat on, as systemd does.
fn notify_socket(command: &mut Command, cx: &Context) -> Result<UnixDatagram, Error> {
    let name = format!("procctl-exec-{}", std::process::id());
    let failed = |error| Error::Internal(format!("open the notify socket: {error}"));
    let address = SocketAddr::from_abstract_name(&name).map_err(failed)?;
    let socket = UnixDatagram::bind_addr(&address).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    command
        .env("NOTIFY_SOCKET", format!("@{name}"))
        .env_remove("WATCHDOG_PID");
    if let Some(heartbeat) = cx.heartbeat() {
        command.env("WATCHDOG_USEC", heartbeat.as_micros().to_string());
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &str, beat: Beat, cx: &mut Context) -> Result<Tally, Error> {
        let command = command.parse().unwrap();
        let mut exec = <Exec as Job>::new(Params { command, beat }).unwrap();
        Job::run(&mut exec, cx)
    }

    #[test]
    fn the_exit_code_is_passed_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut cx = Context::fake(dir.path());
        assert_eq!(
            run("sh -c 'exit 3'", Beat::None, &mut cx)
                .unwrap_err()
                .exit_code(),
            3
        );
        assert_eq!(
            run("sh -c 'kill -9 $$'", Beat::None, &mut cx)
                .unwrap_err()
                .exit_code(),
            137
        );
        run("true", Beat::Output, &mut cx).unwrap();
        assert_eq!(
            run("/no/such/program", Beat::None, &mut cx)
                .unwrap_err()
                .exit_code(),
            74
        );
    }

    #[test]
    fn messages_on_the_notify_socket_are_taken() {
        let dir = tempfile::tempdir().unwrap();
        let mut cx = Context::fake(dir.path());
        let mut command = Command::new("true");
        let socket = notify_socket(&mut command, &cx).unwrap();
        let name = command
            .get_envs()
            .find(|(name, _)| *name == "NOTIFY_SOCKET");
        let name = name
            .and_then(|(_, value)| value)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let address = SocketAddr::from_abstract_name(name.strip_prefix('@').unwrap()).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender
            .send_to_addr(b"WATCHDOG=1\nSTATUS=busy", &address)
            .unwrap();
        assert_eq!(readable(&[socket.as_fd()], Duration::from_secs(10)), [true]);
        run("true", Beat::SelfBeat, &mut cx).unwrap_err();
        drop(socket);
        run("true", Beat::SelfBeat, &mut cx).unwrap();
    }

    #[test]
    fn a_stop_ends_the_whole_tree() {
        let dir = tempfile::tempdir().unwrap();
        let mut cx = Context::fake(dir.path());
        let pid_file = dir.path().join("pid");
        let stop = cx.stop().clone();
        let seen = pid_file.clone();
        let asker = std::thread::spawn(move || {
            let deadline = Instant::now() + Duration::from_secs(20);
            loop {
                let text = std::fs::read_to_string(&seen).unwrap_or_default();
                if let Ok(pid) = text.trim().parse::<u32>() {
                    stop.ask(15);
                    return pid;
                }
                assert!(Instant::now() < deadline, "the command did not start");
                std::thread::yield_now();
            }
        });
        let command = format!("sh -c 'sleep 1000 & echo $! >{}; wait'", pid_file.display());
        let error = run(&command, Beat::Output, &mut cx).unwrap_err();
        assert_eq!(error.exit_code(), 143);
        let pid = asker.join().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while process::start_time(pid).is_some_and(|start| process::is_alive(pid, start)) {
            assert!(Instant::now() < deadline, "the grandchild lives");
            std::thread::yield_now();
        }
    }
}
