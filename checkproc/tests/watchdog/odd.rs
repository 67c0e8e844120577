//! Tables that go bad under a running watchdog, processes that it must not or cannot kill.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use checkproc::Pulse;
use checkproc::process::{self, Signal};

use crate::lab::{Lab, signal, skipped, state, throughout, until};

#[test]
fn a_table_that_is_taken_away_comes_back_and_so_do_the_living() {
    let mut lab = Lab::new();
    lab.watch("50ms");
    let pulse = Pulse::in_table(
        &lab.table,
        "lives",
        Some(Duration::from_secs(60)),
        Duration::ZERO,
    )
    .unwrap();
    std::fs::remove_file(lab.table.path()).unwrap();
    until("the old table is retired", || lab.table.retired());
    let fresh = checkproc::Table::open_private(&lab.suffix).unwrap();
    let is_back = || {
        pulse.beat();
        fresh.rows().iter().any(|row| row.name == "lives")
    };
    until("it is back", is_back);
    until("it is said", || lab.log().contains("its file is gone"));
}

#[test]
fn garbage_over_the_whole_file_is_survived() {
    use std::os::unix::fs::FileExt;
    let mut lab = Lab::new();
    lab.watch("50ms");
    let victim = lab.job("victim", 60_000, "sleep 1000");
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(lab.table.path())
        .unwrap();
    let noise: Vec<u8> = (0..65536_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    for part in 0..16 {
        file.write_all_at(&noise, part * 65536).unwrap();
    }
    until("it is replaced", || lab.log().contains("retired"));
    let fresh = checkproc::Table::open_private(&lab.suffix).unwrap();
    until("the watchdog beats in the new one", || {
        fresh.rows().iter().any(|row| row.name == "checkproc")
    });
    assert!(victim.is_alive() && lab.watchdog().try_wait().unwrap().is_none());
}

#[test]
fn a_process_of_another_user_is_not_touched() {
    let mut lab = Lab::new();
    if !rustix::process::geteuid().is_root() {
        skipped("only root can start a process of another user");
        return;
    }
    let mut child = Command::new("sleep")
        .arg("1000")
        .uid(12345)
        .gid(12345)
        .spawn()
        .unwrap();
    until("it has become the other user's", || {
        process::real_uid(child.id()) == Some(12345)
    });
    let slot = lab.claim("foreign", child.id(), 20, 7);
    lab.watch("20ms");
    until("it is said", || lab.log().contains("not of uid 0"));
    throughout("it lives", Duration::from_millis(300), || {
        slot.row().unwrap().hung.is_none()
    });
    assert_eq!(lab.log().matches("not of uid 0").count(), 1, "said once");
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A group of the old freezer: only that holds a process so that SIGKILL has no effect.
struct Freezer(std::path::PathBuf);

impl Freezer {
    fn new(name: &str) -> Option<Freezer> {
        let folder = Path::new("/sys/fs/cgroup/freezer").join(name);
        std::fs::create_dir(&folder).ok()?;
        let freezer = Freezer(folder);
        freezer.0.join("freezer.state").exists().then_some(freezer)
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).unwrap();
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        std::fs::write(self.0.join("freezer.state"), "THAWED").ok();
        let end = Instant::now() + Duration::from_secs(5);
        while std::fs::remove_dir(&self.0).is_err() && Instant::now() < end {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_process_in_the_kernel_is_reported_and_not_waited_for() {
    let mut lab = Lab::new();
    let Some(freezer) = Freezer::new(&format!("checkproc-{}", lab.suffix)) else {
        skipped("no cgroup v1 freezer here");
        return;
    };
    let job = lab.job("frozen", 50, "exec sleep 1000");
    freezer.write("cgroup.procs", &job.member.pid.to_string());
    freezer.write("freezer.state", "FROZEN");
    until("it is frozen", || state(job.member.pid) == 'D');
    until("it is late", || {
        job.slot.row().unwrap().deadline_in.unwrap() < 0
    });
    let log = lab.log_file().display().to_string();
    let begun = Instant::now();
    assert!(lab.run(&[&log]).status.success());
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        lab.log()
            .contains("cannot be killed: it waits in the kernel (state D"),
        "{}",
        lab.log()
    );
    assert!(job.is_alive());
    lab.run(&[&log]);
    assert_eq!(
        lab.log().matches("is hung").count(),
        1,
        "no endless loop: {}",
        lab.log()
    );
    freezer.write("freezer.state", "THAWED");
    until("the signal takes effect", || !job.is_alive());
    lab.reap();
}

#[test]
fn a_signal_ends_the_watchdog_in_order() {
    let mut lab = Lab::new();
    let pid = lab.watch("1s");
    until("it has a slot of its own", || {
        lab.table
            .rows()
            .iter()
            .any(|row| row.name == "checkproc" && row.pid == pid)
    });
    signal(pid, Signal::TERM);
    assert!(lab.watchdog().wait().unwrap().success());
    assert!(lab.table.rows().is_empty(), "and it has given it back");
}

#[test]
fn a_slot_of_a_dead_process_by_hand_is_freed() {
    let mut lab = Lab::new();
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let slot = lab.claim("gone", child.id(), 60_000, 0);
    child.kill().unwrap();
    child.wait().unwrap();
    lab.watch("20ms");
    until("it is freed", || slot.row().is_none());
}
