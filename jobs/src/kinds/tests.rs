//! The list of kinds, held against the folder, the samples in `etc/jobs/`, what `new` prints, and the XSD.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use jobfile::JobFile;

use super::*;
use crate::cli::list;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc/jobs")
}

#[test]
fn the_list_is_sorted_and_names_are_unique() {
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let sorted: Vec<&str> = names
        .iter()
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    assert_eq!(names, sorted);
}

#[test]
fn every_file_here_is_in_the_list() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kinds");
    let files: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .filter(|stem| stem != "mod" && stem != "tests")
        .collect();
    let names: BTreeSet<String> = KINDS.iter().map(|kind| kind.name.to_owned()).collect();
    assert_eq!(files, names);
}

/// A comment cannot hold two hyphens: texts that have them come out broken up.
#[test]
fn no_text_for_a_job_file_is_broken_up() {
    for kind in KINDS {
        let text = list::template_of(kind).unwrap();
        assert!(!text.contains("- -"), "{text}");
    }
}

#[test]
fn every_sample_is_a_file_in_etc_and_makes_a_job() {
    for kind in KINDS {
        let path = samples().join(format!("{}.xml", kind.name));
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            kind.sample,
            "{}",
            path.display()
        );
        let file = JobFile::from_text(&path, kind.sample.as_bytes()).unwrap();
        assert_eq!(file.kind, kind.name);
        (kind.make)(&file).map(drop).unwrap();
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let told = |text: &str| {
        let file = JobFile::from_text(Path::new("a.xml"), text.as_bytes()).unwrap();
        let kind = KINDS.iter().find(|kind| kind.name == file.kind).unwrap();
        (kind.make)(&file).map(drop).unwrap_err().to_string()
    };
    for (text, place) in [
        (
            "<ftp><server host='h' user='u' password='p'/>\n<put from='a' to='/a'/>\n<put from='b' to='/b' then='burn'/></ftp>",
            "a.xml:3:23: `put[2].then`: ",
        ),
        (
            "<ftp><server host='h' user='u' password='p'/>\n <get from='/a' to=''/></ftp>",
            "a.xml:2:17: `get[1].to`: ",
        ),
        (
            "<fetch>\n<get url='http://h/a' to='in'/>\n<get url='gopher://h/b' to='in'/></fetch>",
            "a.xml:3:6: `get[2].url`: ",
        ),
        (
            "<sweep>\n<files dir='log' match='*' older='1d' action='gzip'/>\n<files dir='/proc' match='*' older='1d' action='gzip'/></sweep>",
            "a.xml:3:8: `files[2].dir`: ",
        ),
    ] {
        let told = told(text);
        assert!(told.starts_with(place), "{told}");
    }
}

#[test]
fn what_new_prints_makes_a_job() {
    for kind in KINDS {
        let text = list::template_of(kind).unwrap();
        let file = JobFile::from_text(Path::new("new.xml"), text.as_bytes());
        let file = file.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        (kind.make)(&file)
            .map(drop)
            .unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    }
}

#[test]
fn the_schema_in_etc_is_the_one_that_is_printed() {
    let path = samples().join("../jobs.xsd");
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == list::schema(),
        "etc/jobs.xsd is out of date: jobs schema >etc/jobs.xsd"
    );
}

/// Runs xmllint on files; `None` where there is no xmllint.
fn lint(schema: &Path, files: &[PathBuf]) -> Option<(bool, String)> {
    let output = Command::new("xmllint")
        .arg("--noout")
        .arg("--schema")
        .arg(schema)
        .args(files)
        .output()
        .ok()?;
    Some((
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}

#[test]
fn the_schema_takes_samples_and_refuses_unknown_names() {
    let dir = tempfile::tempdir().unwrap();
    let schema = dir.path().join("jobs.xsd");
    fs::write(&schema, list::schema()).unwrap();
    let mut good: Vec<PathBuf> = KINDS
        .iter()
        .map(|kind| samples().join(format!("{}.xml", kind.name)))
        .collect();
    for kind in KINDS {
        let path = dir.path().join(format!("new-{}.xml", kind.name));
        fs::write(&path, list::template_of(kind).unwrap()).unwrap();
        good.push(path);
    }
    let text = "<exec every='${env:EVERY}' timeout='1m' beat='self'><env name='A' value='b'/><command>x</command></exec>";
    let path = dir.path().join("reference.xml");
    fs::write(&path, text).unwrap();
    good.push(path);
    let Some((fine, said)) = lint(&schema, &good) else {
        return;
    };
    assert!(fine, "{said}");
    for bad in [
        "<exec evry='5s'><command>x</command></exec>",
        "<exec every='5 sec'><command>x</command></exec>",
        "<exec overlap='never'><command>x</command></exec>",
        "<exec><comand>x</comand></exec>",
        "<exce><command>x</command></exce>",
    ] {
        let path = dir.path().join("bad.xml");
        fs::write(&path, bad).unwrap();
        let (fine, _) = lint(&schema, &[path]).unwrap();
        assert!(!fine, "{bad}");
    }
}
