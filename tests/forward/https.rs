//! Delivery by TLS, to nginx with a certificate of a private authority.

use std::fs;

use super::Forward;
use super::sender::send_lines;
use crate::lab::{PATIENCE, wait_for};
use crate::services;

#[test]
fn a_private_authority_is_believed_only_where_the_job_file_names_it() {
    let nginx = services::variables("nginx");
    let (url, ca, log) = (&nginx["HTTPS_URL"], &nginx["HTTPS_CA"], &nginx["HTTPS_LOG"]);
    let deliver = |more: &str| {
        format!(r#"<deliver url="{url}/sink" order="none" workers="2" batch="100" {more}/>"#)
    };
    let mut forward = Forward::new(r#"ack="true""#, "", &deliver(""));
    forward.start();
    let lines: String = (1..=1000).map(|n| format!("record {n}\n")).collect();
    assert_eq!(send_lines(forward.address, lines.as_bytes()), "1000");
    let refused = forward.told("does not take records");
    assert!(refused.contains("certificate"), "{refused}");
    // a file of authorities that cannot be read changes nothing
    forward.write(r#"ack="true""#, "", &deliver(r#"ca="nowhere.pem""#));
    forward.told("nowhere.pem");
    forward.write(r#"ack="true""#, "", &deliver(&format!(r#"ca="{ca}""#)));
    wait_for("all is delivered", PATIENCE, || {
        forward
            .spool(&["show", "spool"])
            .contains("next 1001, backlog 0")
            .then_some(())
    });
    let records: u64 = wait_for("nginx has written it down", PATIENCE, || {
        let posts = fs::read_to_string(log).unwrap_or_default();
        let third = |line: &str| line.split(' ').nth(2)?.parse::<u64>().ok();
        let sum = posts.lines().filter_map(third).sum();
        (sum >= 1000).then_some(sum)
    });
    assert_eq!(records, 1000);
    let checked = forward.lab.run("jobs", ["check", "jobs/f.xml"]);
    assert!(checked.status.success(), "{checked:?}");
    forward.write(r#"ack="true""#, "", &deliver(r#"ca="nowhere.pem""#));
    let checked = forward.lab.run("jobs", ["check", "jobs/f.xml"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned()
        + &String::from_utf8_lossy(&checked.stderr);
    assert!(
        !checked.status.success() && said.contains("nowhere.pem"),
        "{said}"
    );
}
