//! Tables torn, foreign, newer and no tables at all: found, replaced once, and the living come back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::layout::{self, header};
use crate::testing::PrivateTable;
use crate::{Error, Pulse, Table};

fn replaced(damage: impl FnOnce(&Table)) {
    let private = PrivateTable::new();
    let pulse = Pulse::in_table(
        &private.table,
        "job",
        Some(Duration::from_secs(60)),
        Duration::ZERO,
    )
    .unwrap();
    pulse.progress(5, 6);
    pulse.phase("half way");
    damage(&private.table);
    let fresh = private.reopened().unwrap();
    assert!(private.table.retired(), "who has it mapped is told");
    assert!(fresh.flaw().is_none() && private.table.flaw().is_some());
    assert!(fresh.rows().is_empty());
    pulse.beat();
    let row = fresh.rows().pop().expect("the living job is there again");
    assert_eq!(
        (row.name.as_str(), row.rows, row.phase.as_str()),
        ("job", 5, "half way")
    );
    drop(pulse);
    assert!(fresh.rows().is_empty());
}

#[test]
fn a_corrupt_header_is_replaced_and_the_living_come_back() {
    for word in 0..=header::CHECKSUM {
        replaced(|table| table.words()[word].store(0x5a5a_5a5a, Ordering::Release));
    }
    replaced(|table| {
        table.words()[..64]
            .iter()
            .for_each(|word| word.store(u64::MAX, Ordering::Release))
    });
    replaced(Table::retire);
}

#[test]
fn a_table_open_to_others_is_replaced() {
    replaced(|table| fs::set_permissions(table.path(), fs::Permissions::from_mode(0o666)).unwrap());
}

#[test]
fn a_table_of_another_size_is_replaced() {
    replaced(|table| {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(table.path())
            .unwrap();
        file.set_len(layout::BYTES as u64 + 4096).unwrap();
    });
}

#[test]
fn files_that_are_no_tables_are_replaced() {
    let private = PrivateTable::new();
    for content in ["", "x", &"junk".repeat(4096)] {
        fs::remove_file(private.table.path()).unwrap();
        fs::write(private.table.path(), content).unwrap();
        assert!(private.reopened().unwrap().flaw().is_none());
    }
    fs::remove_file(private.table.path()).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", private.table.path()).unwrap();
    assert!(private.reopened().unwrap().flaw().is_none());
    assert!(fs::symlink_metadata("/etc/hostname").is_ok());
}

#[test]
fn a_newer_layout_is_refused_and_left_alone() {
    let private = PrivateTable::new();
    let words = private.table.words();
    words[header::VERSION].store(layout::VERSION + 1, Ordering::Release);
    let sum = layout::checksum(
        words[..header::CHECKSUM]
            .iter()
            .map(|word| word.load(Ordering::Acquire)),
    );
    words[header::CHECKSUM].store(sum, Ordering::Release);
    assert!(matches!(private.reopened(), Err(Error::Newer { .. })));
    assert!(!private.table.retired());
}

#[test]
fn many_who_find_it_bad_replace_it_once() {
    let private = PrivateTable::new();
    private.table.words()[header::MAGIC].store(0, Ordering::Release);
    let inodes: std::collections::HashSet<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    use std::os::unix::fs::MetadataExt;
                    let table = private.reopened().unwrap();
                    assert!(!table.retired() && table.flaw().is_none());
                    fs::metadata(table.path()).unwrap().ino()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(inodes.len(), 1);
}

#[test]
fn a_foreign_file_stops_a_user_but_not_root() {
    let private = PrivateTable::new();
    if !rustix::process::geteuid().is_root() {
        eprintln_skip("only root can make a foreign file");
        return;
    }
    std::os::unix::fs::chown(private.table.path(), Some(12345), None).unwrap();
    let fresh = private.reopened().unwrap();
    assert!(fresh.flaw().is_none());
    // And as a user, seen through a program that has become one.
    std::os::unix::fs::chown(fresh.path(), Some(12345), None).unwrap();
    let own = std::env::current_exe().unwrap();
    let copy = std::env::temp_dir().join(format!("checkproc-foreign-{}", std::process::id()));
    fs::copy(own, &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    let name = fresh
        .path()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let output = {
        use std::os::unix::process::CommandExt;
        Command::new(&copy)
            .args([
                "--exact",
                "opening::tests::opens_the_given_table",
                "--nocapture",
            ])
            .env("CHECKPROC_TEST_TABLE", &name)
            .uid(23456)
            .gid(23456)
            .output()
            .unwrap()
    };
    fs::remove_file(&copy).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("belongs to uid 12345, not to uid 23456"),
        "{text}"
    );
}

fn eprintln_skip(why: &str) {
    use std::io::Write;
    writeln!(std::io::stderr().lock(), "skipped: {why}").unwrap();
}

/// Run by the test above as another user.
#[test]
fn opens_the_given_table() {
    use std::io::Write;
    let Ok(name) = std::env::var("CHECKPROC_TEST_TABLE") else {
        return;
    };
    let uid = rustix::process::geteuid().as_raw();
    let error = crate::opening::open(&name, uid)
        .err()
        .map(|error| error.to_string());
    writeln!(std::io::stdout().lock(), "{}", error.unwrap_or_default()).unwrap();
}
