//! What is not a kill: files that change or go while they are moved, a receiver here without room, files that may not be read, folders
//! that may not be written, a clock that steps. At the end both sides agree, and nothing is gone that the other does not have.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::misfortune::{GET, PUT, start};
use super::site::{Site, content, files};
use crate::chance::{Dice, pass_beside, rounds};
use crate::lab::false_clock;

/// Does harm to the files of a folder while a client works.
fn disturb(site: &Site, folder: &str, child: &mut Child, dice: &mut Dice) {
    while child.try_wait().expect("asking for the child").is_none() {
        let sort = ["big", "small"][usize::from(dice.throw(2) == 0)];
        let name = format!("{sort}{}.bin", dice.throw(4));
        let path = site.lab.path(folder).join(&name);
        match dice.throw(3) {
            // in place, as a careless writer does
            0 => drop(
                fs::OpenOptions::new()
                    .append(true)
                    .open(&path)
                    .and_then(|mut file| std::io::Write::write_all(&mut file, b"more")),
            ),
            1 => drop(fs::remove_file(&path)),
            _ => drop(site.lab.write(
                &format!("{folder}/{name}"),
                content(dice.throw(1000), 3_000_000),
            )),
        }
        pass_beside(child, Duration::from_millis(dice.throw(15)));
    }
}

#[test]
fn files_that_change_or_go_while_they_are_moved() {
    let site = Site::new();
    let mut dice = Dice::thrown();
    for (name, inside, from, to) in [
        (
            "push",
            r#"<put from="out" to="vip" then="keep" stable="0s" sync="false"/>"#,
            "out",
            "xfer/vip",
        ),
        (
            "pull",
            r#"<get from="vip" to="in" then="keep" stable="0s" sync="false"/>"#,
            "xfer/vip",
            "in",
        ),
    ] {
        let job = site.job(name, inside);
        for round in 0..rounds(6) {
            for n in 0..4 {
                let seed = round * 10 + n;
                site.lab
                    .write(&format!("{from}/big{n}.bin"), content(seed, 4_000_000));
                site.lab
                    .write(&format!("{from}/small{n}.bin"), content(seed, 4_000));
            }
            let mut child = start(&site, &job);
            disturb(&site, from, &mut child, &mut dice);
        }
        site.good(&job);
        let (here, there) = (files(&site.lab.path(from)), files(&site.lab.path(to)));
        for (file, bytes) in here {
            assert!(
                there.get(&file) == Some(&bytes),
                "{name}: {file} is not the same on both sides"
            );
        }
    }
}

#[test]
fn a_receiver_here_without_room_shows_nothing_half() {
    let site = Site::new();
    let sent = site.fill("xfer/vip", 1, &[5_000, 100_000, 900_000, 5_000_000]);
    let job = site.job("pull", GET);
    // a limit on the length of files stands in for a disk that is full
    let limited = site
        .lab
        .script("limited", "trap '' XFSZ; ulimit -f 800; exec \"$@\"");
    for _ in 0..rounds(2) {
        let ours = site.lab.command("jobs");
        let mut command = Command::new(&limited);
        command.arg(ours.get_program()).arg("run").arg(&job);
        for (name, value) in ours.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        let output = command.output().expect("running the job");
        assert_ne!(output.status.code(), Some(0), "{output:?}");
        let (here, there) = (
            files(&site.lab.path("in")),
            files(&site.lab.path("xfer/vip")),
        );
        for (name, bytes) in &sent {
            assert!(
                there.contains_key(name) || here.get(name) == Some(bytes),
                "{name} is lost"
            );
        }
        assert!(
            here.iter()
                .all(|(name, bytes)| sent.get(name) == Some(bytes)),
            "half a file was seen"
        );
    }
    site.good(&job);
    assert!(files(&site.lab.path("in")) == sent);
    assert!(files(&site.lab.path("xfer/vip")).is_empty());
}

/// Whether this process may do what modes forbid.
fn is_mighty() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// Makes something that even root may not write to, or takes that back.
fn shut(path: &Path, shut: bool) {
    if is_mighty() {
        let how = if shut { "+i" } else { "-i" };
        let done = Command::new("chattr").arg(how).arg(path).status();
        assert!(done.is_ok_and(|done| done.success()), "chattr {how}");
    } else {
        let mode = if shut { 0o555 } else { 0o755 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
    }
}

/// Whether this file system can shut folders for root, too.
fn can_shut(path: &Path) -> bool {
    let probe = path.join("probe");
    fs::create_dir_all(&probe).expect("a folder");
    let set = |how| {
        Command::new("chattr")
            .arg(how)
            .arg(&probe)
            .stderr(Stdio::null())
            .status()
    };
    !is_mighty() || set("+i").is_ok_and(|done| done.success()) && set("-i").is_ok()
}

#[test]
fn folders_that_may_not_be_written_keep_the_sources() {
    let site = Site::new();
    if !can_shut(&site.lab.path("")) {
        return;
    }
    for (name, inside, from, to) in [
        ("push", PUT, "out", "xfer/vip"),
        ("pull", GET, "xfer/vip", "in"),
    ] {
        fs::remove_dir_all(site.lab.path(from)).unwrap_or_default();
        let sent = site.fill(from, 3, &[10, 5_000, 200_000]);
        let folder = site.lab.path(to);
        fs::remove_dir_all(&folder).unwrap_or_default();
        fs::create_dir_all(&folder).expect("a folder");
        shut(&folder, true);
        let job = site.job(name, inside);
        let outcomes: Vec<_> = (0..rounds(2)).map(|_| site.run(&job)).collect();
        let left = files(&site.lab.path(from));
        let there = files(&folder);
        shut(&folder, false);
        for outcome in outcomes {
            assert_ne!(outcome.status.code(), Some(0), "{name}: {outcome:?}");
        }
        assert!(left == sent && there.is_empty(), "{name}");
        site.good(&job);
        assert!(files(&folder) == sent, "{name}");
        assert!(files(&site.lab.path(from)).is_empty(), "{name}");
    }
}

#[test]
fn a_clock_that_steps_loses_and_doubles_nothing() {
    let site = Site::new();
    let offset = site.lab.write("offset", "+0d\n");
    for round in 0..rounds(3) {
        for (name, inside, from, to) in [
            (
                "push",
                r#"<put from="out" to="vip" then="keep" stable="0s" sync="false"/>"#,
                "out",
                "xfer/vip",
            ),
            (
                "pull",
                r#"<get from="vip" to="in" then="keep" stable="0s" sync="false"/>"#,
                "xfer/vip",
                "in",
            ),
        ] {
            if from == "out" {
                site.fill(from, round + 1, &[100, 5_000, 3_000_000]);
            }
            let job = site.job(name, inside);
            let mut command = site.lab.command("jobs");
            command.arg("run").arg(&job).envs(false_clock(&offset));
            let mut child = command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("starting a client");
            for step in ["+1d\n", "-1d\n", "+400d\n", "+0d\n"].iter().cycle() {
                if child.try_wait().expect("asking for the child").is_some() {
                    break;
                }
                site.lab.write("offset", step);
                pass_beside(&mut child, Duration::from_millis(15));
            }
            assert!(
                child.wait().expect("its end").success(),
                "round {round}: {name}"
            );
            let (here, there) = (files(&site.lab.path(from)), files(&site.lab.path(to)));
            assert!(here == there, "round {round}: {name}");
            // nothing new is nothing to do: what was taken away does not come back
            fs::rename(site.lab.path(to), site.lab.path("taken")).expect("taking all away");
            site.good(&job);
            assert!(files(&site.lab.path(to)).is_empty(), "{name} moved twice");
            fs::remove_dir_all(site.lab.path(to)).unwrap_or_default();
            fs::rename(site.lab.path("taken"), site.lab.path(to)).expect("bringing it back");
        }
    }
}
