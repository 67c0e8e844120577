//! `tcp` and `fileserver`: files between two folders by way of real processes and sockets, killed, cut, filled up and lied to.
//!
//! The seeds of what happens by chance are printed. `FULL=1` plays the long version: two hundred misfortunes of each sort.

mod hostile;
mod misfortune;
mod proxy;
mod site;
mod trouble;

use std::fs;
use std::process::Command;
use std::time::Duration;

use site::{Site, content, files};

#[test]
fn files_go_to_and_fro_and_each_one_once() {
    let site = Site::new();
    let put = site.job(
        "push",
        r#"<put from="out" to="vip" recurse="true" then="delete" stable="0s"/>"#,
    );
    let keep = site.job(
        "pull",
        r#"<get from="vip" to="in" recurse="true" then="keep" stable="0s"/>"#,
    );
    let sent = site.fill("out", 1, &[0, 1, 5_000, 65_536, 65_537, 3_000_000]);
    site.lab.write("out/一/观测 1.xml", "<站/>");
    site.lab.write("out/.hidden", "stays");
    site.good(&put);
    let mut expected = sent;
    expected.insert("一/观测 1.xml".to_owned(), "<站/>".into());
    assert_eq!(files(&site.lab.path("xfer/vip")), expected);
    assert_eq!(files(&site.lab.path("out")).len(), 0, "sources are left");
    assert!(site.lab.path("out/.hidden").exists());

    site.good(&keep);
    assert_eq!(files(&site.lab.path("in")), expected);
    // what came is not fetched again, though somebody took it away
    fs::remove_dir_all(site.lab.path("in")).expect("emptying the inbox");
    site.good(&keep);
    assert_eq!(files(&site.lab.path("in")).len(), 0);
    site.lab.write("xfer/vip/一/观测 1.xml", "<new/>");
    site.good(&keep);
    assert_eq!(
        files(&site.lab.path("in"))
            .into_values()
            .collect::<Vec<_>>(),
        [b"<new/>"]
    );
}

#[test]
fn sources_are_kept_or_moved_on_either_side() {
    let site = Site::new();
    let sent = site.fill("out", 2, &[10, 70_000]);
    let mv = site.job(
        "mv",
        r#"<put from="out" to="a" recurse="true" then="move:out/sent" stable="0s" sync="false"/><get from="a" to="in" recurse="true" then="move:a/taken" stable="0s" sync="false"/>"#,
    );
    site.good(&mv);
    assert_eq!(files(&site.lab.path("out/sent")), sent);
    assert_eq!(files(&site.lab.path("in")), sent);
    assert_eq!(files(&site.lab.path("xfer/a/taken")), sent);
    site.good(&mv);
    assert_eq!(
        files(&site.lab.path("out")).len(),
        sent.len(),
        "moved files were sent again"
    );

    let keep = site.job(
        "keep",
        r#"<put from="out/sent" to="b" then="keep" stable="0s" sync="false"/>"#,
    );
    site.good(&keep);
    fs::remove_dir_all(site.lab.path("xfer/b")).expect("the reader takes all");
    site.good(&keep);
    assert!(
        files(&site.lab.path("xfer/b")).is_empty(),
        "a known file was sent again"
    );
}

#[test]
fn names_that_cannot_be_sent_stay_and_are_told() {
    use std::os::unix::ffi::OsStrExt as _;
    let site = Site::new();
    let sent = site.fill("out", 4, &[10, 20]);
    let strange = [&b"out/a\xff.bin"[..], b"out/b\nc.bin"]
        .map(|name| site.lab.path(std::ffi::OsStr::from_bytes(name)));
    for path in &strange {
        fs::write(path, "x").expect("a file");
    }
    let ignored = std::ffi::OsStr::from_bytes(b"out/d\xff.txt");
    fs::write(site.lab.path(ignored), "x").expect("a file");
    let put = site.job(
        "push",
        r#"<put from="out" to="vip" match="*.bin" then="delete" stable="0s"/>"#,
    );
    let output = site.run(&put);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(65), "{said}");
    assert!(
        said.contains("\"a\u{fffd}.bin\": the name is no text"),
        "{said}"
    );
    assert!(said.contains("\"b\\nc.bin\": the name holds"), "{said}");
    assert!(!said.contains("txt"), "{said}");
    assert_eq!(files(&site.lab.path("xfer/vip")), sent);
    assert!(strange.iter().all(|path| path.exists()));
}

#[test]
fn rights_roots_and_checks() {
    let site = Site::new();
    site.fill("out", 3, &[10]);
    fs::create_dir_all(site.lab.path("xfer/vip")).expect("a folder");
    let reader = site.job_as(
        "reader",
        "reader",
        r#"<put from="out" to="vip" then="delete" stable="0s" sync="false"/>"#,
    );
    let refused = site.run(&reader);
    assert_eq!(refused.status.code(), Some(77), "{refused:?}");
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("no right to put"),
        "{refused:?}"
    );
    let burn = site.job_as(
        "burn",
        "reader",
        r#"<get from="vip" to="in" then="delete"/>"#,
    );
    assert_eq!(site.run(&burn).status.code(), Some(77));
    let missing = site.job("missing", r#"<get from="nowhere" to="in"/>"#);
    let missing = site.run(&missing);
    assert!(
        String::from_utf8_lossy(&missing.stderr).contains("no folder /nowhere"),
        "{missing:?}"
    );
    let good = site.job("good", r#"<get from="vip" to="in"/>"#);
    let checked = site.lab.run(
        "jobs",
        ["check", "-v"]
            .map(std::path::PathBuf::from)
            .into_iter()
            .chain([good]),
    );
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(
        files(&site.lab.path("out")).len(),
        1,
        "a refused file is gone"
    );
}

#[test]
fn a_cut_file_goes_on_where_it_stopped_and_known_content_is_not_sent() {
    let site = Site::new();
    let proxy = site.proxy();
    let big = content(4, 24 << 20);
    site.lab.write("out/big.bin", &big);
    let put = site.job_at(
        "push",
        proxy.port,
        r#"<put from="out" to="vip" then="keep" stable="0s" sync="false"/>"#,
    );
    proxy.cut_after(13 << 20);
    assert_eq!(site.run(&put).status.code(), Some(69));
    assert!(
        files(&site.lab.path("xfer/vip")).is_empty(),
        "half a file was seen"
    );
    let before = proxy.bytes();
    site.good(&put);
    let moved = proxy.bytes() - before;
    assert!(moved < 14 << 20, "the file began anew: {moved} bytes");
    assert!(files(&site.lab.path("xfer/vip"))["big.bin"] == big);

    let before = proxy.bytes();
    site.lab.write("out/same.bin", &big);
    site.good(&put);
    assert!(files(&site.lab.path("xfer/vip"))["same.bin"] == big);
    assert!(proxy.bytes() - before < 1 << 20, "known content was sent");

    // the same the other way round
    let get = site.job_at(
        "pull",
        proxy.port,
        r#"<get from="vip" to="in" match="big.bin" then="keep" stable="0s" sync="false"/>"#,
    );
    proxy.cut_after(13 << 20);
    assert_eq!(site.run(&get).status.code(), Some(69));
    let before = proxy.bytes();
    site.good(&get);
    assert!(proxy.bytes() - before < 14 << 20, "the file began anew");
    assert!(files(&site.lab.path("in"))["big.bin"] == big);
}

#[test]
fn many_large_files_of_one_size_do_not_wait_for_each_other() {
    let site = Site::new();
    let sent = site.fill("out", 11, &[150_000; 60]);
    let put = site.job(
        "push",
        r#"<put from="out" to="vip" then="delete" stable="0s" sync="false"/>"#,
    );
    let begun = std::time::Instant::now();
    site.good(&put);
    assert!(
        begun.elapsed() < Duration::from_secs(50),
        "one after the other"
    );
    assert!(files(&site.lab.path("xfer/vip")) == sent);
}

#[test]
fn two_clients_with_the_same_content_share_one_transfer() {
    let site = Site::new();
    let proxy = site.proxy();
    let big = content(5, 24 << 20);
    let mut children = Vec::new();
    for name in ["one", "two", "three"] {
        site.lab.write(&format!("{name}/{name}.bin"), &big);
        let job = site.job_at(
            name,
            proxy.port,
            &format!(r#"<put from="{name}" to="vip" then="delete" stable="0s" sync="false"/>"#),
        );
        children.push(
            site.lab
                .command("jobs")
                .arg("run")
                .arg(job)
                .spawn()
                .expect("starting a client"),
        );
    }
    for mut child in children {
        assert!(child.wait().expect("its end").success());
    }
    let there = files(&site.lab.path("xfer/vip"));
    assert!(there.len() == 3 && there.values().all(|content| *content == big));
    assert!(
        proxy.bytes() < 40 << 20,
        "it was sent more than once: {}",
        proxy.bytes()
    );
}

#[test]
fn over_tls_with_a_certificate_nobody_signed() {
    let site = Site::secure();
    let sent = site.fill("out", 6, &[100, 2_000_000]);
    let (put, get) = (
        r#"<put from="out" to="vip" then="delete" stable="0s" sync="false"/>"#,
        r#"<get from="vip" to="in" stable="0s" sync="false"/>"#,
    );
    let plain = site.job("plain", put);
    assert_ne!(
        site.run(&plain).status.code(),
        Some(0),
        "no TLS where TLS is asked for"
    );
    let secret = site.job("secret", &format!("<tls/>{put}{get}"));
    site.good(&secret);
    assert_eq!(files(&site.lab.path("in")), sent);
    let checked = site.job(
        "checked",
        &format!(r#"<tls ca="cert.pem" name="localhost"/>{get}"#),
    );
    site.good(&checked);
    let false_name = site.job(
        "false",
        &format!(r#"<tls ca="cert.pem" name="example.org"/>{get}"#),
    );
    assert_eq!(site.run(&false_name).status.code(), Some(69));
}

#[test]
fn a_full_quota_refuses_and_a_cache_evicts() {
    let site = Site::new();
    for n in 0..6 {
        site.lab.write(&format!("out/{n}.bin"), content(n, 100_000));
    }
    let small = site.job_as(
        "small",
        "small",
        r#"<put from="out" to="." then="keep" stable="0s" sync="false"/>"#,
    );
    let full = site.run(&small);
    assert_eq!(full.status.code(), Some(75), "{full:?}");
    assert!(
        String::from_utf8_lossy(&full.stderr).contains("quota"),
        "{full:?}"
    );
    assert_eq!(files(&site.lab.path("small")).len(), 3);
    let cache = site.job_as(
        "cache",
        "cache",
        r#"<put from="out" to="." then="keep" stable="0s" sync="false"/>"#,
    );
    site.good(&cache);
    let there = files(&site.lab.path("cache"));
    assert!(
        there.len() <= 3 && there.contains_key("5.bin"),
        "{:?}",
        there.keys()
    );
}

#[test]
fn a_client_written_from_the_page_alone() {
    let site = Site::new();
    let python = |arguments: &[&str]| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peer/client.py");
        let output = Command::new("python3")
            .arg(script)
            .arg(format!("127.0.0.1:{}", site.port))
            .args(["node1", site::KEY])
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(site.lab.path(""))
            .output()
            .expect("running python3");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let lines = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/peer/client.py"))
        .expect("the client");
    assert!(lines.lines().count() <= 150, "it has grown");
    let (small, large) = (content(7, 3_000), content(8, 200_000));
    site.lab.write("small.bin", &small);
    site.lab.write("large.bin", &large);
    fs::create_dir(site.lab.path("back")).expect("a folder");
    assert_eq!(python(&["put", "small.bin", "py"]), "durable");
    assert_eq!(python(&["put", "large.bin", "py"]), "durable");
    assert_eq!(python(&["put", "large.bin", "py"]), "held");
    python(&["get", "py", "*.bin", "back"]);
    let back = files(&site.lab.path("back"));
    assert!(back["small.bin"] == small && back["large.bin"] == large);
}

#[test]
fn a_server_that_is_not_there_and_one_that_hangs() {
    let site = Site::new();
    let port = site::free_port();
    let nobody = site.job_at("nobody", port, r#"<get from="a" to="in"/>"#);
    assert_eq!(site.run(&nobody).status.code(), Some(69));
    let wrong = site.lab.job(
        "wrong",
        &site::client(
            "wrong",
            site.port,
            "node1",
            "not the key",
            r#"<get from="a" to="in"/>"#,
        ),
    );
    let refused = site.run(&wrong);
    assert_eq!(refused.status.code(), Some(77), "{refused:?}");
    assert!(
        !String::from_utf8_lossy(&refused.stderr).contains("not the key"),
        "the key was shown"
    );
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("its address").port();
    let hanging = site.job_at("hanging", port, r#"<get from="a" to="in"/>"#);
    let begun = std::time::Instant::now();
    assert_eq!(site.run(&hanging).status.code(), Some(69));
    assert!(begun.elapsed() < Duration::from_secs(90));
}
