//! A pid that has come to mean another process, in a pid namespace so small that this happens within moments.

use std::process::Command;

use crate::lab::{Lab, skipped};

/// Claims slots for two processes, lets one of them die and its pid be given to an innocent one, and scans. On kernels where
/// the limit is the whole machine's (before 6.14) the next pid is set instead.
const STORY: &str = r#"
set -e
# A /proc of this namespace over the old one, seen by nobody else.
mount --make-private /proc 2>/dev/null || true
mount -t proc proc /proc
# Once round, numbers begin at 300: victims must have such.
if [ "$SMALL" = yes ]; then
  echo 340 > /proc/sys/kernel/pid_max
  for burn in $(seq 310); do (:); done
fi
victim() { sleep 1000 > /dev/null 2>&1 & echo $!; }
old=$(victim)
hung=$(victim)
"$PROGRAM" beat reused --pid "$old" --heartbeat 10ms
"$PROGRAM" beat hung --pid "$hung" --heartbeat 10ms
kill -9 "$old"
while kill -0 "$old" 2>/dev/null; do :; done
sleep 0.05
[ "$SMALL" = yes ] || echo $((old - 1)) > /proc/sys/kernel/ns_last_pid
for try in $(seq 2000); do
  sleep 1000 > /dev/null 2>&1 &
  new=$!
  [ "$new" = "$old" ] && break
  kill -9 "$new"; wait "$new" 2>/dev/null || true
done
[ "$new" = "$old" ] || { echo "no pid was used again"; exit 9; }
"$PROGRAM" --once
kill -0 "$new" && echo "the innocent lives"
kill -0 "$hung" 2>/dev/null || echo "the hung is dead"
"$PROGRAM" list
"#;

#[test]
fn a_reused_pid_is_not_killed() {
    let lab = Lab::new();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let version: Vec<u32> = release
        .split(['.', '-'])
        .map_while(|part| part.parse().ok())
        .collect();
    let small = if version >= vec![6, 14] { "yes" } else { "no" };
    let output = Command::new("unshare")
        .args([
            "--pid",
            "--mount",
            "--propagation",
            "unchanged", // in a chroot the root is no mount whose propagation could be changed
            "--fork",
            "--kill-child",
            "bash",
            "-c",
            STORY,
        ])
        .env("PROGRAM", env!("CARGO_BIN_EXE_checkproc"))
        .env("PROCCTL_TABLE", &lab.suffix)
        .env("SMALL", small)
        .env_remove("PROCCTL_SLOT")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    if !rustix::process::geteuid().is_root() && errors.contains("unshare failed") {
        skipped("no pid namespace without being root");
        return;
    }
    assert!(output.status.success(), "{text}{errors}");
    assert!(
        text.contains("the innocent lives") && text.contains("the hung is dead"),
        "{text}{errors}"
    );
    assert!(!text.contains("reused"), "its slot is freed: {text}");
}
