//! A stop reaches the whole tree, and what a run leaves behind does not meet the next one.

use std::process::Command;

use crate::home::{Home, alive, wait_for};

/// A worker with a child in its session and a grandchild in a session of its own.
pub(crate) fn family(home: &Home) -> String {
    let folder = home.folder.path().display();
    home.script(
        "family",
        &format!(
            "sleep 1000 & echo $! > {folder}/child\n\
             setsid sh -c 'setsid sleep 1000 & echo $! > {folder}/grandchild; wait' &\n\
             trap '' HUP; trap 'exit 0' TERM; while :; do sleep 0.1; done"
        ),
    )
}

fn stops_its_whole_tree(home: &mut Home) {
    home.job("family", "", &family(home));
    let pids = [
        home.pid("family"),
        home.number("child"),
        home.number("grandchild"),
    ];
    assert!(pids.iter().all(|pid| alive(*pid)));
    assert!(home.good(&["stop", "family"]).contains("stopped"));
    assert!(
        pids.iter().all(|pid| !alive(*pid)),
        "stop came back before all were gone"
    );
    assert_eq!(home.status("family")["state"], "stopped");
}

#[test]
fn a_stop_reaches_the_grandchild_in_a_session_of_its_own() {
    let mut home = Home::new();
    home.supervise();
    stops_its_whole_tree(&mut home);
}

/// The same where no control groups can be had, as on older machines.
#[test]
fn a_stop_reaches_it_without_control_groups_too() {
    let mut home = Home::new();
    if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("unshare");
        // private to the namespace, also in a chroot, whose root is no mount
        let hide = "for at in /sys /sys/fs/cgroup; do mount --make-private $at 2>/dev/null; done; \
                    mount -t tmpfs none /sys/fs/cgroup && exec \"$0\" run";
        let alone = ["-m", "--propagation", "unchanged", "sh", "-c", hide];
        command.args(alone).arg(env!("CARGO_BIN_EXE_procctl"));
        home.surround(&mut command);
        home.supervise_by(command);
    } else {
        home.supervise();
    }
    home.job("family", "", &family(&home));
    home.pid("family");
    let text = home.good(&["status", "family"]);
    assert!(
        text.contains("process group") || !nix::unistd::geteuid().is_root(),
        "{text}"
    );
    stops_its_whole_tree(&mut home);
}

#[test]
fn what_a_run_leaves_behind_does_not_meet_the_next_one() {
    let mut home = Home::new();
    let folder = home.folder.path().display();
    let script = home.script(
        "leaves",
        &format!(
            "[ -e {folder}/left ] && kill -0 $(cat {folder}/left) 2>/dev/null && echo met >> {folder}/met\n\
             setsid sleep 1000 & echo $! > {folder}/left; echo run >> {folder}/runs"
        ),
    );
    home.job("leaves", "every=\"10ms\"", &script);
    home.supervise();
    wait_for("several runs", || {
        (home.lines("runs").len() > 3).then_some(())
    });
    assert!(home.lines("met").is_empty());
}
