//! Output and notify sockets as signs of life; the ends of runs.

use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};
use std::time::Duration;

use checkproc::Table;
use procctl::recorder::message::{Beats, FromRecorder, Notice, ToRecorder};
use procctl::recorder::notify;

use crate::played::{Played, alone, claim, ended, until};

#[test]
fn output_beats() {
    if !alone("signs::output_beats") {
        return;
    }
    let table = Table::open_own().unwrap();
    let slot = claim(&table);
    let beats = || slot.row().unwrap().beats;
    let before = beats();
    let mut played = Played::new();
    let mut output = played.announce(
        |kept| {
            kept.run.beats = Beats::Output;
            kept.run.slot = Some(slot.handle());
        },
        None,
    );
    output.write_all(b"no line yet").unwrap();
    output.write_all(b" but now\n").unwrap();
    until("a beat", || (beats() == before + 1).then_some(()));
    output.write_all(b"again\n").unwrap();
    until("another", || (beats() == before + 2).then_some(()));
    played.send(&ToRecorder::Quit);
}

#[test]
fn a_daemon_speaks_as_to_systemd() {
    if !alone("signs::a_daemon_speaks_as_to_systemd") {
        return;
    }
    let table = Table::open_own().unwrap();
    let slot = claim(&table);
    let before = slot.row().unwrap().beats;
    let (bound, name) = notify::socket(1).unwrap();
    let address = SocketAddr::from_abstract_name(name.strip_prefix('@').unwrap()).unwrap();
    let mut played = Played::new();
    let _output = played.announce(
        |kept| {
            kept.run.beats = Beats::Notify;
            kept.run.slot = Some(slot.handle());
            kept.notify = Some(bound);
        },
        None,
    );
    let daemon = UnixDatagram::unbound().unwrap();
    let say = |text: &str| daemon.send_to_addr(text.as_bytes(), &address).unwrap();
    say("READY=1\nSTATUS=serving 3 clients\nMAINPID=4711\nWHATEVER=1");
    for notice in [
        Notice::Ready,
        Notice::Status("serving 3 clients".into()),
        Notice::MainPid(4711),
    ] {
        let wanted = FromRecorder::Notified { run: 1, notice };
        played.hear(|said| (*said == wanted).then_some(()));
    }
    assert_eq!(slot.row().unwrap().phase, "serving 3 clients");
    let ready = slot.row().unwrap().beats;
    assert!(ready > before);
    say("WATCHDOG=1");
    until("a beat", || {
        (slot.row().unwrap().beats == ready + 1).then_some(())
    });
    say("WATCHDOG_USEC=5000000");
    until("another heartbeat", || {
        (slot.row().unwrap().heartbeat == Some(Duration::from_secs(5))).then_some(())
    });
    say("WATCHDOG=trigger\nSTOPPING=1");
    for notice in [Notice::Trigger, Notice::Stopping] {
        let wanted = FromRecorder::Notified { run: 1, notice };
        played.hear(|said| (*said == wanted).then_some(()));
    }
    assert_eq!(slot.row().unwrap().beats, ready + 1);
    played.send(&ToRecorder::Quit);
}

#[test]
fn the_next_supervisor_learns_how_runs_ended() {
    if !alone("signs::the_next_supervisor_learns_how_runs_ended") {
        return;
    }
    let mut played = Played::new();
    let mut child = Command::new("/bin/sh")
        .args(["-c", "read line; exit 3"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    let mut output = played.announce(
        |kept| kept.run.pid = pid.as_raw_nonzero().get(),
        Some(pidfd),
    );
    output.write_all(b"before\n").unwrap();
    until("the run is known", || {
        (played.text("a") == "before\n").then_some(())
    });
    let recorder = played.die();
    output.write_all(b"alone\n").unwrap();
    until("lines go on", || {
        (played.text("a") == "before\nalone\n").then_some(())
    });
    drop(child.stdin.take());
    child.wait().unwrap();
    drop(output);

    let (status, end) = until("its end is known", || {
        assert!(played.link.find(Duration::ZERO));
        played.link.flush().unwrap();
        played.said.clear();
        played.hear(|said| (*said == FromRecorder::KeptAll).then_some(()));
        played.said.iter().find_map(|(said, _)| match said {
            FromRecorder::Kept {
                run,
                status,
                ended: true,
                ended_at,
            } if run.run == 1 => Some((*status, *ended_at)),
            _ => None,
        })
    });
    assert!(end.is_some());
    // kernels before 6.15 cannot tell
    if let Some(status) = status {
        assert_eq!(status, 3 << 8);
    }
    played.send(&ToRecorder::Ended { run: 1 });
    played.send(&ToRecorder::Quit);
    until("it leaves", || ended(recorder));
}
