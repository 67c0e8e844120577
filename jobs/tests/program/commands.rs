//! What each command takes, prints and answers with.

use super::*;

#[test]
fn a_misuse_is_64() {
    let home = Home::new();
    assert_eq!(code(&home.run::<&str>(&[])), 64);
    assert_eq!(code(&home.run(&["fly"])), 64);
    assert_eq!(code(&home.run(&["run", "a.xml", "--set", "nonsense"])), 64);
    let output = home.run(&["describe", "exce"]);
    assert_eq!(code(&output), 64);
    assert!(err(&output).contains("exec"), "{}", err(&output));
    assert_eq!(code(&home.run(&["--help"])), 0);
}

#[test]
fn a_bad_job_file_is_78_with_its_place() {
    let home = Home::new();
    home.write(
        "bad.xml",
        "<exec evry='5s'>\n  <command>true</command>\n</exec>",
    );
    let output = home.run(&["run", "bad.xml"]);
    assert_eq!(code(&output), 78);
    let said = err(&output);
    assert!(
        said.contains("bad.xml:1:7: ") && said.contains("every"),
        "{said}"
    );
    let output = home.run(&["run", "<exce><command>true</command></exce>"]);
    assert_eq!(code(&output), 78);
    assert!(
        err(&output).contains("did you mean <exec>?"),
        "{}",
        err(&output)
    );
    assert_eq!(code(&home.run(&["run", "none.xml"])), 78);
}

#[test]
fn secrets_are_not_shown() {
    let home = Home::new();
    home.write("key", "open-sesame\n");
    home.write(
        "secret.xml",
        "<exec><env name='KEY' value='${file:key}'/><command>sh -c 'echo $KEY; exit 1'</command></exec>",
    );
    let output = home.run(&["run", "secret.xml"]);
    assert_eq!((code(&output), out(&output).as_str()), (1, "open-sesame\n"));
    assert!(!err(&output).contains("sesame"), "{}", err(&output));
}

#[test]
fn check_tells_all_problems_of_all_files() {
    let home = Home::new();
    home.write("a.xml", "<exec><command>true</command></exec>");
    home.write("b.xml", "<exec>\n<command>'</command></exec>");
    home.write("c.xml", "<exec beat='loud'/>");
    home.write(
        "d.xml",
        "<exec name='a'><command>/no/such/program</command></exec>",
    );
    let output = home.run(&["check", "--offline", "a.xml"]);
    assert_eq!(
        (code(&output), out(&output).as_str()),
        (0, "1 file, no problems\n")
    );
    let output = home.run(&["check", "--offline", "a.xml", "b.xml", "c.xml", "d.xml"]);
    assert_eq!(code(&output), 78);
    let lines: Vec<String> = out(&output).lines().map(str::to_owned).collect();
    for (start, part) in [
        ("b.xml:2:", "quote"),
        ("c.xml:1:", "loud"),
        ("c.xml:1:", "command"),
        ("d.xml:1:7:", "a.xml"),
    ] {
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with(start) && line.contains(part)),
            "{start} {part}: {lines:#?}"
        );
    }
    let output = home.run(&["check", "d.xml"]);
    assert_eq!(code(&output), 78);
    assert!(
        out(&output).contains("there is no program /no/such/program"),
        "{}",
        out(&output)
    );
}

#[test]
fn state_is_shown_set_and_reset() {
    let home = Home::new();
    let first = home.run(&["state", "copy", "show"]);
    assert_eq!(code(&first), 0);
    assert!(out(&first).starts_with("no state yet"), "{}", out(&first));
    let file = home.path("state/copy.db");
    State::open(&file, &RealDisk)
        .unwrap()
        .set("last", &41)
        .unwrap();
    assert_eq!(out(&home.run(&["state", "copy", "show"])), "last = 41\n");
    let output = home.run(&["state", "copy", "set", "last", "40"]);
    assert_eq!(out(&output), "last = 40 (was 41)\n", "{}", err(&output));
    assert_eq!(
        out(&home.run(&["state", "copy", "set", "note", "by hand"])),
        "note = \"by hand\" (was not there)\n"
    );
    assert_eq!(code(&home.run(&["state", "copy", "reset"])), 0);
    assert_eq!(out(&home.run(&["state", "copy", "show"])), "");
}

#[test]
fn what_is_made_for_others_is_made() {
    let home = Home::new();
    for words in [
        &["schema"][..],
        &["new", "exec"],
        &["describe", "exec"],
        &["man"],
        &["completions", "bash"],
    ] {
        let output = home.run(words);
        assert_eq!(code(&output), 0, "{words:?}");
        assert!(out(&output).len() > 500, "{words:?}");
    }
    assert!(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../etc/jobs.xsd")
            .exists()
    );
}

#[test]
fn a_dry_run_changes_nothing() {
    let home = Home::new();
    home.write("touch.xml", "<exec><command>touch here</command></exec>");
    let output = home.run(&["run", "--dry-run", "touch.xml"]);
    assert_eq!(code(&output), 0);
    assert!(out(&output).contains("the command is "), "{}", out(&output));
    assert!(!home.path("here").exists() && !home.path("state").exists());
}
