//! Kills, cuts, full disks and files that change: at the end both sides agree, nothing half was ever seen, and nothing is
//! gone that the other side does not have.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::site::{Site, files};
use crate::chance::{Dice, pass_beside, rounds};
use crate::lab::{PATIENCE, wait_for};
use crate::small_disk::SmallDisk;

pub(super) fn start(site: &Site, job: &Path) -> Child {
    let mut command = site.lab.command("jobs");
    command
        .arg("run")
        .arg(job)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("starting a client")
}

/// Takes everything that shows in a folder, as a reader does: each file must be whole, and none may come twice.
fn take(folder: &Path, all: &BTreeMap<String, Vec<u8>>, taken: &mut BTreeMap<String, u32>) {
    for (name, bytes) in files(folder) {
        assert!(
            all.get(&name) == Some(&bytes),
            "{name} is not what was sent, {} bytes",
            bytes.len()
        );
        fs::remove_file(folder.join(&name)).expect("taking a file");
        *taken.entry(name).or_default() += 1;
    }
}

/// Plays one direction: `from` is where files are put, `to` where they are to arrive; `harm` does the harm of a round.
fn survive(
    site: &mut Site,
    (from, to): (&str, &str),
    job: &Path,
    mut harm: impl FnMut(&mut Site, &mut Child, &mut Dice),
    count: u64,
) {
    let mut dice = Dice::thrown();
    let (mut all, mut taken) = (BTreeMap::new(), BTreeMap::new());
    for round in 0..count {
        let sizes: Vec<usize> = (0..40)
            .map(|n| {
                if n < 2 {
                    3_000_000
                } else {
                    usize::try_from(dice.throw(9_000)).unwrap_or(0)
                }
            })
            .collect();
        all.extend(site.fill(from, round + 1, &sizes));
        let mut child = start(site, job);
        harm(site, &mut child, &mut dice);
        let _ended = child.kill();
        child.wait().expect("reaping a client");
        take(&site.lab.path(to), &all, &mut taken);
    }
    wait_for("a run goes through", PATIENCE, || {
        site.run(job).status.success().then_some(())
    });
    take(&site.lab.path(to), &all, &mut taken);
    assert_eq!(files(&site.lab.path(from)).len(), 0, "sources are left");
    let missing: Vec<_> = all
        .keys()
        .filter(|name| !taken.contains_key(*name))
        .collect();
    assert!(missing.is_empty(), "lost: {missing:?}");
    let twice: Vec<_> = taken.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "twice: {twice:?}");
}

pub(super) const PUT: &str =
    r#"<put from="out" to="vip" recurse="true" then="delete" stable="0s" sync="false"/>"#;
pub(super) const GET: &str =
    r#"<get from="vip" to="in" recurse="true" then="delete" stable="0s" sync="false"/>"#;

fn soon(dice: &mut Dice) -> Duration {
    Duration::from_millis(dice.throw(160))
}

#[test]
fn a_client_that_is_killed_putting() {
    let mut site = Site::new();
    let job = site.job("push", PUT);
    survive(
        &mut site,
        ("out", "xfer/vip"),
        &job,
        |_, child, dice| pass_beside(child, soon(dice)),
        rounds(10),
    );
}

#[test]
fn a_client_that_is_killed_getting() {
    let mut site = Site::new();
    let job = site.job("pull", GET);
    survive(
        &mut site,
        ("xfer/vip", "in"),
        &job,
        |_, child, dice| pass_beside(child, soon(dice)),
        rounds(10),
    );
}

fn server_dies(site: &mut Site, child: &mut Child, dice: &mut Dice) {
    pass_beside(child, soon(dice));
    site.kill();
    site.start();
    // the client notices, or is through
    pass_beside(child, Duration::from_secs(20));
}

#[test]
fn a_server_that_is_killed() {
    let mut site = Site::new();
    let put = site.job("push", PUT);
    survive(&mut site, ("out", "xfer/vip"), &put, server_dies, rounds(6));
    let get = site.job("pull", GET);
    survive(&mut site, ("xfer/vip", "in"), &get, server_dies, rounds(6));
}

#[test]
fn a_connection_that_is_cut_at_any_byte() {
    let mut site = Site::new();
    let proxy = site.proxy();
    for (name, inside, from, to) in [
        ("push", PUT, "out", "xfer/vip"),
        ("pull", GET, "xfer/vip", "in"),
    ] {
        let job = site.job_at(name, proxy.port, inside);
        let cut = |_: &mut Site, child: &mut Child, dice: &mut Dice| {
            proxy.cut_after(dice.throw(7_000_000));
            pass_beside(child, Duration::from_secs(30));
        };
        survive(&mut site, (from, to), &job, cut, rounds(10));
        proxy.cut_after(u64::MAX);
    }
}

#[test]
fn a_disk_that_is_full_at_the_receiver() {
    if !nix::unistd::Uid::effective().is_root() {
        // the quota's story plays the same for those who may not mount
        return;
    }
    let mut site = Site::new();
    let disk = SmallDisk::new(site.lab.path("xfer"), "2m");
    site.kill();
    site.start();
    let mut sent = site.fill("out", 1, &[900_000, 900_000, 3_000_000]);
    sent.extend(site.fill("out", 2, &[5_000; 200]));
    let job = site.job("push", PUT);
    for _ in 0..rounds(2) {
        let failed = site.run(&job);
        assert_eq!(failed.status.code(), Some(75), "{failed:?}");
        let (left, there) = (
            files(&site.lab.path("out")),
            files(&site.lab.path("xfer/vip")),
        );
        for (name, bytes) in &sent {
            assert!(
                left.contains_key(name) || there.get(name) == Some(bytes),
                "{name} is lost"
            );
        }
        assert!(
            there
                .iter()
                .all(|(name, bytes)| sent.get(name) == Some(bytes)),
            "half a file was seen"
        );
    }
    disk.resize("64m");
    site.good(&job);
    assert!(files(&site.lab.path("xfer/vip")) == sent);
    assert!(files(&site.lab.path("out")).is_empty());
}
