//! SIGKILL to the job, and cuts of its connections, at many points, both ways: at the end both sides hold the same, nothing was ever seen in
//! part, nothing was deleted that the other side did not hold, and a long file went on where it had stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::proxy::Proxy;
use super::{element, fill, good, leftovers, run, server, tree};
use crate::chance::rounds;
use crate::lab::{Lab, PATIENCE, wait_for};
use crate::services::Private;

/// Starts the job.
pub(super) fn start(lab: &Lab, name: &str, content: &str) -> Child {
    let path = lab.job(name, &format!("<ftp name=\"{name}\">{content}</ftp>"));
    lab.command("jobs")
        .arg("run")
        .arg(path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starting the job")
}

/// Every file of a side is whole: one of the versions that its source ever had.
pub(super) fn is_whole(side: &Path, versions: &[std::collections::BTreeMap<String, Vec<u8>>]) {
    for (name, bytes) in tree(side) {
        let known = versions
            .iter()
            .any(|version| version.get(&name) == Some(&bytes));
        assert!(known, "{name}: {} bytes that no version has", bytes.len());
    }
}

#[test]
fn killed_at_any_point_both_sides_agree_in_the_end() {
    let (lab, server) = (Lab::new(), server());
    let there = server.folder("kills");
    let element = element(&server.host, "");
    let put = format!(
        "{element}<put from=\"out\" to=\"/kills/in\" recurse=\"true\" connections=\"2\" then=\"move:sent\" stable=\"0s\"/>"
    );
    let get = format!(
        "{element}<get from=\"/kills/in\" to=\"back\" recurse=\"true\" connections=\"2\" then=\"delete\" stable=\"0s\"/>"
    );
    let (out, inside, back) = (lab.path("out"), there.join("in"), lab.path("back"));
    let mut versions = Vec::new();
    let mut seed = 1_u64;
    for round in 0..rounds(12) {
        fill(&out, u8::try_from(round % 250).unwrap());
        versions.push(tree(&out));
        versions.drain(..versions.len().saturating_sub(3));
        for (name, content) in [("put", &put), ("get", &get)] {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let mut child = start(&lab, name, content);
            let end = Instant::now() + Duration::from_micros(seed >> 46);
            while Instant::now() < end && child.try_wait().unwrap().is_none() {
                is_whole(&inside, &versions);
                is_whole(&back, &versions);
            }
            child.kill().unwrap();
            child.wait().unwrap();
            // what is nowhere under its name any more was lost: here, there, or moved away here
            let (here, far, sent, got) = (
                tree(&out),
                tree(&inside),
                tree(&lab.path("sent")),
                tree(&back),
            );
            for file in versions.last().unwrap().keys() {
                let somewhere = [&here, &far, &sent, &got]
                    .iter()
                    .any(|side| side.contains_key(file));
                assert!(somewhere, "round {round}: {file} is gone");
            }
        }
        for (name, content) in [("put", &put), ("get", &get)] {
            let output = run(&lab, name, content);
            assert!(
                output.status.success(),
                "round {round}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        assert_eq!(&tree(&back), versions.last().unwrap(), "round {round}");
        assert!(
            tree(&out).is_empty() && tree(&inside).is_empty(),
            "round {round}"
        );
        fs::remove_dir_all(lab.path("sent")).unwrap();
    }
    assert_eq!(leftovers(&back), Vec::<PathBuf>::new());
    is_cleared(&there, || {
        fill(&out, 250);
        for (name, content) in [("put", &put), ("get", &get)] {
            good(&lab, name, content);
        }
    });
}

#[test]
fn cut_at_any_byte_the_transfer_goes_on() {
    let (lab, server) = (Lab::new(), server());
    let there = server.folder("cuts");
    let proxy = Proxy::start(&server.host);
    let element = element(&proxy.host, "retries=\"4\"");
    let put = format!(
        "{element}<put from=\"out\" to=\"/cuts\" recurse=\"true\" then=\"delete\" stable=\"0s\"/>"
    );
    let get = format!(
        "{element}<get from=\"/cuts\" to=\"back\" recurse=\"true\" then=\"delete\" stable=\"0s\"/>"
    );
    for round in 0..rounds(6) {
        fill(&lab.path("out"), u8::try_from(round % 250).unwrap());
        let before = tree(&lab.path("out"));
        for (name, content) in [("put", &put), ("get", &get)] {
            proxy.cut_after(i64::try_from(round * 211_777 % 1_300_000 + 40).unwrap());
            let output = run(&lab, name, content);
            assert!(
                output.status.success(),
                "round {round}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        assert_eq!(tree(&lab.path("back")), before, "round {round}");
        assert_eq!(leftovers(&lab.path("back")), Vec::<PathBuf>::new());
    }
    is_cleared(&there, || {
        fill(&lab.path("out"), 250);
        for (name, content) in [("put", &put), ("get", &get)] {
            good(&lab, name, content);
        }
    });
}

/// Nothing is left behind on the server, at the latest when a further run has been there: a server that was cut off in the midst of
/// something may be late with it.
fn is_cleared(there: &Path, run: impl Fn()) {
    wait_for("what a broken try left is gone", PATIENCE * 2, || {
        run();
        leftovers(there).is_empty().then_some(())
    });
}

#[test]
fn what_the_server_does_late_undoes_nothing_and_is_cleared_away() {
    let (lab, server) = (Lab::new(), server());
    let there = server.folder("late");
    let proxy = Proxy::start(&server.host);
    let put = format!(
        "{}<put from=\"out\" to=\"/late\" then=\"delete\" stable=\"0s\"/>",
        element(&proxy.host, "")
    );
    lab.write("out/a.xml", vec![b'a'; 100_000]);
    let before = tree(&lab.path("out"));
    proxy.hold_back("STOR");
    good(&lab, "put", &put);
    assert_eq!(tree(&there), before);
    assert!(proxy.release(), "nothing was held back");
    wait_for("the server hears of it", PATIENCE, || {
        (!leftovers(&there).is_empty()).then_some(())
    });
    assert_eq!(tree(&there), before);
    // even a run that has nothing to send
    is_cleared(&there, || drop(good(&lab, "put", &put)));
    assert_eq!(tree(&there), before);
}

#[test]
fn a_long_file_goes_on_where_it_stopped() {
    let (lab, server) = (Lab::new(), server());
    let there = server.folder("long");
    let proxy = Proxy::start(&server.host);
    let bytes: Vec<u8> = (0..8_000_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    lab.write("out/long.bin", &bytes);
    let element = element(&proxy.host, "retries=\"0\"");
    for (name, job) in [
        (
            "put",
            format!("{element}<put from=\"out\" to=\"/long\" stable=\"0s\"/>"),
        ),
        (
            "get",
            format!("{element}<get from=\"/long\" to=\"back\" stable=\"0s\"/>"),
        ),
    ] {
        proxy.cut_after(5_000_000);
        let output = run(&lab, name, &job);
        // a server takes a data connection that is cut for the end of the file; the size tells
        assert!(
            matches!(output.status.code(), Some(69 | 75)),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let said = good(&lab, name, &job);
        assert!(said.contains("goes on at byte"), "{name}: {said}");
    }
    assert_eq!(tree(&lab.path("back")), tree(&there));
    assert_eq!(tree(&there)["long.bin"], bytes);
}

#[test]
fn a_long_file_that_is_another_one_by_then_begins_anew() {
    let (lab, server) = (Lab::new(), server());
    let there = server.folder("mixture").join("long.bin");
    let proxy = Proxy::start(&server.host);
    let job = format!(
        "{}<get from=\"/mixture\" to=\"back\" stable=\"0s\"/>",
        element(&proxy.host, "retries=\"0\"")
    );
    // neither size nor time tell one from the other
    let hold = |byte: u8| {
        fs::write(&there, vec![byte; 8_000_000]).unwrap();
        let file = fs::File::options().append(true).open(&there).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000))
            .unwrap();
    };
    hold(1);
    proxy.cut_after(5_000_000);
    let output = run(&lab, "get", &job);
    assert!(
        matches!(output.status.code(), Some(69 | 75)),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    hold(2);
    let said = good(&lab, "get", &job);
    assert!(said.contains("begins anew"), "{said}");
    assert_eq!(tree(&lab.path("back"))["long.bin"], vec![2; 8_000_000]);
}

#[test]
fn a_stop_is_heard_within_a_second_and_loses_nothing() {
    let (lab, server) = (Lab::new(), server());
    let there = server.folder("stop");
    fs::write(there.join("long.bin"), vec![7_u8; 40 << 20]).unwrap();
    let content = format!(
        "{}<get from=\"/stop\" to=\"back\" stable=\"0s\"/>",
        element(&server.host, "rate=\"1M\"")
    );
    let mut child = start(&lab, "get", &content);
    wait_for("a part has come", PATIENCE, || {
        (!leftovers(&lab.path("back")).is_empty()).then_some(())
    });
    let asked = Instant::now();
    crate::lab::signal(child.id(), nix::sys::signal::Signal::SIGTERM);
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(143));
    assert!(
        asked.elapsed() < Duration::from_secs(20),
        "{:?}",
        asked.elapsed()
    );
    assert!(tree(&lab.path("back")).is_empty());
    good(&lab, "get", &content.replace("rate=\"1M\"", ""));
    assert_eq!(tree(&lab.path("back")), tree(&there));
}

#[test]
fn the_server_is_killed_and_comes_back() {
    let (lab, server) = (Lab::new(), Private::start("proftpd"));
    let there = Path::new(server.folder()).join("ftp/root");
    let element = element(&server.url, "retries=\"0\"");
    let put = format!(
        "{element}<put from=\"out\" to=\"/in\" recurse=\"true\" connections=\"2\" then=\"delete\" stable=\"0s\"/>"
    );
    let get = format!(
        "{element}<get from=\"/in\" to=\"back\" recurse=\"true\" connections=\"2\" then=\"delete\" stable=\"0s\"/>"
    );
    for round in 0..rounds(3) {
        fill(&lab.path("out"), u8::try_from(round % 250).unwrap());
        let before = tree(&lab.path("out"));
        for (name, content) in [("put", &put), ("get", &get)] {
            let mut child = start(&lab, name, content);
            std::thread::park_timeout(Duration::from_millis(60 + round * 37 % 400));
            server.kill();
            child.wait().unwrap();
            let (here, far, back) = (
                tree(&lab.path("out")),
                tree(&there.join("in")),
                tree(&lab.path("back")),
            );
            for (file, bytes) in &before {
                let somewhere = [&here, &far, &back]
                    .iter()
                    .any(|side| side.get(file) == Some(bytes));
                assert!(somewhere, "round {round}: {file} is gone");
            }
            server.revive();
            let output = run(&lab, name, content);
            assert!(
                output.status.success(),
                "round {round}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        assert_eq!(tree(&lab.path("back")), before, "round {round}");
    }
}
