//! What is not a kill: files that change or go while they are moved, a receiver without room, files that may not be read or written, a
//! clock that steps. At the end both sides hold the same, nothing was seen in part, and nothing is gone that the other side does not hold.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::kills::{is_whole, start};
use super::{element, fill, good, open_to_all, run, server, tree};
use crate::chance::rounds;
use crate::lab::{Lab, PATIENCE, false_clock, wait_for};
use crate::small_disk::SmallDisk;

/// Does harm to the files of a folder while a job runs: they grow, they go, they are replaced.
fn disturb(lab: &Lab, folder: &Path, round: u64, name: &str, content: &str) {
    let mut child = start(lab, name, content);
    let mut step = round;
    while child.try_wait().expect("asking for the child").is_none() {
        step = step
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let path = folder.join(format!("plain_{}.xml", step >> 40 & 3 | 1));
        match step >> 50 & 3 {
            // in place, as a careless writer does
            0 => drop(
                fs::File::options()
                    .append(true)
                    .open(&path)
                    .and_then(|mut file| std::io::Write::write_all(&mut file, b"more")),
            ),
            1 => drop(fs::remove_file(&path)),
            _ => {
                // another length: times are compared by the second
                let length = usize::try_from(30_000 + (step >> 20 & 1023)).expect("a small number");
                let draft = folder.join(".draft of somebody else");
                fs::write(&draft, step.to_le_bytes().repeat(length)).expect("a file");
                open_to_all(&draft);
                fs::rename(&draft, &path).expect("renaming a file");
            }
        }
        std::thread::park_timeout(Duration::from_millis(step >> 60));
    }
}

#[test]
fn files_that_change_or_go_while_they_are_moved() {
    let (lab, server) = (Lab::new(), server());
    let there = server.folder("unsteady");
    let element = element(&server.host, "");
    for round in 0..rounds(4) {
        let (out, inside, back) = (
            lab.path(format!("out{round}")),
            there.join(format!("in{round}")),
            lab.path(format!("back{round}")),
        );
        let put =
            format!("{element}<put from=\"out{round}\" to=\"/unsteady/in{round}\" stable=\"0s\"/>");
        let get = format!(
            "{element}<get from=\"/unsteady/in{round}\" to=\"back{round}\" stable=\"0s\"/>"
        );
        fill(&out, u8::try_from(round % 250).unwrap());
        disturb(&lab, &out, round, "put", &put);
        good(&lab, "put", &put);
        let here = flat(&out);
        for (name, bytes) in flat(&inside) {
            assert!(
                here.get(&name).is_none_or(|now| *now == bytes),
                "round {round}: {name} is not the same there"
            );
        }
        for name in here.keys() {
            assert!(
                inside.join(name).exists(),
                "round {round}: {name} is not there"
            );
        }
        disturb(&lab, &inside, round + 1000, "get", &get);
        good(&lab, "get", &get);
        let there = flat(&inside);
        for (name, bytes) in &there {
            assert_eq!(
                fs::read(back.join(name)).ok().as_ref(),
                Some(bytes),
                "round {round}: {name} is not the same here"
            );
        }
    }
}

#[test]
fn a_file_that_still_grows_is_left_until_it_is_whole() {
    let (lab, server) = (Lab::new(), server());
    let there = server.folder("grows");
    let content = format!(
        "{}<get from=\"/grows\" to=\"in\" stable=\"2s\"/>",
        element(&server.host, "")
    );
    let path = there.join("growing.xml");
    let mut file = fs::File::create(&path).expect("a file");
    let grow = |file: &mut fs::File| std::io::Write::write_all(file, b"more").expect("writing");
    grow(&mut file);
    wait_for("it is left for as long as it grows", PATIENCE * 3, || {
        let job = lab.job("get", &format!("<ftp name=\"get\">{content}</ftp>"));
        let mut child = lab
            .command("jobs")
            .arg("run")
            .arg(job)
            .spawn()
            .expect("starting the job");
        let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
        while child.try_wait().expect("asking for the child").is_none() {
            grow(&mut file);
            longest = longest.max(last.elapsed());
            last = Instant::now();
            std::thread::park_timeout(Duration::from_millis(20));
        }
        if longest > Duration::from_secs(1) {
            // a machine too busy to write that often proves nothing
            let _taken = fs::remove_dir_all(lab.path("in"));
            return None;
        }
        assert_eq!(tree(&lab.path("in")), BTreeMap::new());
        Some(())
    });
    good(&lab, "get", &content);
    assert_eq!(tree(&lab.path("in")), tree(&there));
}

/// The files of a folder itself.
fn flat(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = tree(folder);
    all.retain(|name, _| !name.contains('/'));
    all
}

#[test]
fn a_disk_that_is_full_there() {
    if !nix::unistd::Uid::effective().is_root() {
        // only root may mount; a receiver here that has no room is the next story
        return;
    }
    let (lab, server) = (Lab::new(), server());
    let there = server.folder("narrow");
    let disk = SmallDisk::open_to_all(there.clone(), "700k");
    let put = format!(
        "{}<put from=\"out\" to=\"/narrow\" then=\"delete\" recurse=\"true\" stable=\"0s\"/>",
        element(&server.host, "retries=\"0\"")
    );
    let mut all = BTreeMap::new();
    for round in 0..rounds(2) {
        fill(&lab.path("out"), u8::try_from(round % 250).unwrap());
        all = tree(&lab.path("out"));
        let output = run(&lab, "put", &put);
        assert_ne!(output.status.code(), Some(0), "round {round}");
        let (here, far) = (tree(&lab.path("out")), tree(&there));
        is_whole(&there, std::slice::from_ref(&all));
        for name in all.keys() {
            assert!(
                here.contains_key(name) || far.contains_key(name),
                "round {round}: {name} is gone"
            );
        }
        for name in far.keys() {
            fs::remove_file(there.join(name)).expect("taking a file away");
            fs::remove_file(lab.path("out").join(name)).unwrap_or_default();
            all.remove(name);
        }
    }
    disk.resize("64m");
    good(&lab, "put", &put);
    assert!(tree(&lab.path("out")).is_empty());
    assert_eq!(tree(&there), all);
}

#[test]
fn a_file_too_large_for_the_receiver_is_never_seen_in_part() {
    let (lab, server) = (Lab::new(), server());
    let there = server.folder("full");
    fill(&there, 9);
    let inside = format!(
        "{}<get from=\"/full\" to=\"in\" then=\"delete\" recurse=\"true\" stable=\"0s\"/>",
        element(&server.host, "")
    );
    let content = format!("<ftp name=\"full\">{inside}</ftp>");
    let before = tree(&there);
    let job = lab.job("full", &content);
    // a limit on the length of files stands in for a disk that is full
    let limited = lab.script("limited", "trap '' XFSZ; ulimit -f 400; exec \"$@\"");
    let ours = lab.command("jobs");
    let mut command = Command::new(&limited);
    command.arg(ours.get_program()).arg("run").arg(&job);
    for (name, value) in ours.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    for _ in 0..rounds(1) {
        let output = command.output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(74),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        for (file, bytes) in tree(&lab.path("in")) {
            assert_eq!(before.get(&file), Some(&bytes), "{file}");
        }
        assert!(tree(&there).contains_key("plain_4.xml"));
    }
    good(&lab, "full", &inside);
    assert_eq!(tree(&lab.path("in")), before);
    assert!(tree(&there).is_empty());
}

#[test]
fn what_may_not_be_written_there_stays_here() {
    use std::os::unix::fs::PermissionsExt as _;
    let (lab, server) = (Lab::new(), server());
    let there = server.folder("denied");
    fs::set_permissions(&there, fs::Permissions::from_mode(0o555)).unwrap();
    fill(&lab.path("out"), 4);
    let before = tree(&lab.path("out"));
    let content = format!(
        "{}<put from=\"out\" to=\"/denied\" then=\"delete\" stable=\"0s\"/>",
        element(&server.host, "")
    );
    for _ in 0..rounds(1) {
        let output = run(&lab, "denied", &content);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(77), "{said}");
        assert!(said.contains("put /denied/"), "{said}");
        assert_eq!(tree(&lab.path("out")), before);
    }
}

#[test]
fn what_may_not_be_read_there_stays_there_and_the_others_come() {
    use std::os::unix::fs::PermissionsExt as _;
    let (lab, server) = (Lab::new(), server());
    let there = server.folder("secret");
    fill(&there, 6);
    let shut = there.join("plain_3.xml");
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o000)).unwrap();
    if !nix::unistd::Uid::effective().is_root() {
        // the server is ourselves then, and what it may not read we may not compare
        fs::set_permissions(&shut, fs::Permissions::from_mode(0o200)).unwrap();
    }
    let get = format!(
        "{}<get from=\"/secret\" to=\"in\" then=\"delete\" stable=\"0s\"/>",
        element(&server.host, "")
    );
    let before = flat(&there);
    for _ in 0..rounds(1) {
        let output = run(&lab, "get", &get);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(77), "{said}");
        assert!(said.contains("plain_3.xml"), "{said}");
        assert!(shut.exists() && !lab.path("in/plain_3.xml").exists());
    }
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o644)).unwrap();
    let mut before = before;
    before.insert("plain_3.xml".to_owned(), fs::read(&shut).unwrap());
    good(&lab, "get", &get);
    assert_eq!(tree(&lab.path("in")), before);
}

#[test]
fn a_clock_that_steps_loses_and_doubles_nothing() {
    let (lab, server) = (Lab::new(), server());
    let there = server.folder("clock");
    let element = element(&server.host, "");
    let offset = lab.write("offset", "+0d\n");
    for round in 0..rounds(3) {
        let put = format!(
            "{element}<put from=\"out{round}\" to=\"/clock/in{round}\" recurse=\"true\" stable=\"0s\"/>"
        );
        let get = format!(
            "{element}<get from=\"/clock/in{round}\" to=\"back{round}\" recurse=\"true\" stable=\"0s\"/>"
        );
        let out = lab.path(format!("out{round}"));
        fill(&out, u8::try_from(round % 250).unwrap());
        for (name, content) in [("put", &put), ("get", &get)] {
            let job = lab.job(name, &format!("<ftp name=\"{name}\">{content}</ftp>"));
            let mut child = lab
                .command("jobs")
                .arg("run")
                .arg(job)
                .envs(false_clock(&offset))
                .stderr(Stdio::null())
                .spawn()
                .expect("starting the job");
            for step in ["+1d\n", "-1d\n", "+400d\n", "+0d\n"].iter().cycle() {
                if child.try_wait().expect("asking for the child").is_some() {
                    break;
                }
                lab.write("offset", step);
                std::thread::park_timeout(Duration::from_millis(15));
            }
            assert!(
                child.wait().expect("its end").success(),
                "round {round}: {name}"
            );
            // nothing new is nothing to do, whatever the clock says
            assert!(
                !good(&lab, name, content).contains("bytes, to"),
                "{name} moved twice"
            );
        }
        assert_eq!(
            tree(&there.join(format!("in{round}"))),
            tree(&out),
            "round {round}"
        );
        assert_eq!(
            tree(&lab.path(format!("back{round}"))),
            tree(&out),
            "round {round}"
        );
    }
}
