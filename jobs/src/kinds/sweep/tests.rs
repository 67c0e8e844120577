//! Old files go, busy ones stay; power is cut at every operation and no content is lost.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::*;
use crate::data::Compression;
use crate::disk::FakeDisk;

fn job(rules: &str) -> Sweep {
    let file = jobfile::JobFile::from_text(
        Path::new("sweep.xml"),
        format!(r#"<sweep name="s">{rules}</sweep>"#).as_bytes(),
    );
    Sweep::new(file.unwrap().params().unwrap()).unwrap()
}

struct Home {
    dir: tempfile::TempDir,
    cx: Context,
}

impl Home {
    fn new() -> Home {
        let dir = tempfile::tempdir().unwrap();
        let cx = Context::fake(dir.path());
        Home { dir, cx }
    }

    /// Puts a file there, written so many seconds ago.
    fn put(&self, path: &str, bytes: &[u8], age: u64) -> PathBuf {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(bytes).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age))
            .unwrap();
        path
    }

    fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut waiting = vec![self.dir.path().to_owned()];
        while let Some(dir) = waiting.pop() {
            for entry in fs::read_dir(dir).unwrap().flatten() {
                if entry.file_type().unwrap().is_dir() {
                    waiting.push(entry.path());
                } else {
                    let path = entry.path();
                    found.push(
                        path.strip_prefix(self.dir.path())
                            .unwrap()
                            .to_string_lossy()
                            .into_owned(),
                    );
                }
            }
        }
        found.sort();
        found
    }
}

fn unpack(bytes: Vec<u8>, compression: Compression) -> Vec<u8> {
    let mut plain = Vec::new();
    compression
        .unpack(Box::new(io::Cursor::new(bytes)))
        .unwrap()
        .read_to_end(&mut plain)
        .unwrap();
    plain
}

#[test]
fn deletes_what_is_old_and_matches() {
    let mut home = Home::new();
    home.put("log/a.log", b"12", 100);
    home.put("log/young.log", b"12", 1);
    home.put("log/other.txt", b"12", 100);
    home.put("log/.hidden.log", b"12", 100);
    home.put("log/sub/b.log", b"123", 100);
    home.put("elsewhere/c.log", b"1", 100);
    std::os::unix::fs::symlink(
        home.dir.path().join("elsewhere"),
        home.dir.path().join("log/link"),
    )
    .unwrap();
    std::os::unix::fs::symlink(
        home.dir.path().join("elsewhere/c.log"),
        home.dir.path().join("log/link.log"),
    )
    .unwrap();
    let rule = |recurse: bool| {
        format!(
            r#"<files dir="log" match="*.log" older="50s" action="delete" recurse="{recurse}"/>"#
        )
    };
    let mut report = Report::default();
    job(&rule(true)).dry_run(&mut home.cx, &mut report).unwrap();
    assert_eq!(report.notes.len(), 2);
    let tally = job(&rule(false)).run(&mut home.cx).unwrap();
    assert_eq!((tally.files, tally.bytes), (1, 2));
    let tally = job(&rule(true)).run(&mut home.cx).unwrap();
    assert_eq!((tally.files, tally.bytes), (1, 3));
    assert_eq!(
        home.files(),
        [
            "elsewhere/c.log",
            "log/.hidden.log",
            "log/link",
            "log/link.log",
            "log/other.txt",
            "log/young.log"
        ]
    );
    assert!(home.dir.path().join("log/sub").is_dir());
}

#[test]
fn packs_with_times_and_permissions_and_only_once() {
    use std::os::unix::fs::PermissionsExt;
    for (action, compression) in [("gzip", Compression::Gzip), ("zstd", Compression::Zstd)] {
        let mut home = Home::new();
        let text = b"a line of a log\n".repeat(10_000);
        let path = home.put("log/a.log", &text, 1000);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let before = fs::metadata(&path).unwrap();
        let rule = format!(r#"<files dir="log" match="*" older="50s" action="{action}"/>"#);
        let tally = job(&rule).run(&mut home.cx).unwrap();
        assert_eq!((tally.files, tally.bytes), (1, text.len() as u64));
        let packed = home
            .dir
            .path()
            .join(format!("log/a.log{}", compression.ending()));
        let after = fs::metadata(&packed).unwrap();
        assert_eq!(after.modified().unwrap(), before.modified().unwrap());
        assert_eq!(after.permissions(), before.permissions());
        assert_eq!(unpack(fs::read(&packed).unwrap(), compression), text);
        assert_eq!(job(&rule).run(&mut home.cx).unwrap(), Tally::default());
        assert_eq!(home.files().len(), 1);
    }
}

#[test]
fn a_file_that_is_open_for_writing_stays() {
    let mut home = Home::new();
    for action in ["delete", "gzip"] {
        let path = home.put("log/a.log", b"12", 100);
        let writer = fs::File::options().append(true).open(&path).unwrap();
        let rule = format!(r#"<files dir="log" match="*.log" older="50s" action="{action}"/>"#);
        assert_eq!(job(&rule).run(&mut home.cx).unwrap().files, 0);
        drop(writer);
        assert_eq!(job(&rule).run(&mut home.cx).unwrap().files, 1);
    }
}

#[test]
fn a_packed_file_with_other_content_is_not_overwritten() {
    let mut home = Home::new();
    home.put("log/a.log", b"new", 100);
    home.put("log/a.log.gz", b"no gzip at all", 100);
    home.put("log/b.log", b"old", 100);
    let packed = crate::data::pack_for_tests(b"old", Compression::Gzip);
    home.put("log/b.log.gz", &packed, 100);
    let tally = job(r#"<files dir="log" match="*.log" older="50s" action="gzip"/>"#)
        .run(&mut home.cx)
        .unwrap();
    assert_eq!(tally.files, 1);
    assert_eq!(home.files(), ["log/a.log", "log/a.log.gz", "log/b.log.gz"]);
}

#[test]
fn one_file_that_fails_does_not_keep_the_others() {
    let mut home = Home::new();
    // A name so long that the packed one does not fit.
    home.put(&format!("log/{}.log", "a".repeat(250)), b"1", 100);
    home.put("log/b.log", b"1", 100);
    let error = job(r#"<files dir="log" match="*.log" older="50s" action="gzip"/>"#)
        .run(&mut home.cx)
        .unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(home.dir.path().join("log/b.log.gz").exists());
    assert_eq!(home.files().len(), 2);
}

#[test]
fn roots_are_refused_however_they_are_written() {
    let mut home = Home::new();
    std::os::unix::fs::symlink("/etc", home.dir.path().join("log")).unwrap();
    for dir in ["log", "../../../../../../../../.."] {
        let error = job(&format!(
            r#"<files dir="{dir}" match="*" older="1d" action="delete"/>"#
        ))
        .run(&mut home.cx)
        .unwrap_err();
        assert_eq!(error.exit_code(), 78, "{dir}: {error}");
    }
}

#[test]
fn the_sample_is_valid() {
    let file =
        jobfile::JobFile::from_text(Path::new("sweep.xml"), Sweep::SAMPLE.as_bytes()).unwrap();
    Sweep::new(file.params().unwrap()).unwrap();
}

#[test]
fn death_at_every_operation_loses_nothing() {
    let texts = [
        ("a.log", b"first".repeat(50)),
        ("b.log", b"second".repeat(50)),
    ];
    let rule = r#"<files dir="log" match="*.log" older="0s" action="zstd"/>"#;
    for cut in 1.. {
        let mut through = false;
        for seed in 0..12 {
            let (disk, home) = (FakeDisk::new(), Path::new("/home"));
            for (name, text) in &texts {
                disk.put(&home.join("log").join(name), text);
            }
            let power = disk.power();
            power.cut_at(power.spent() + cut);
            through = job(rule).run(&mut Context::fake_on(&disk, home)).is_ok();
            if seed == 0 {
                disk.revive()
            } else {
                disk.reboot(seed)
            }
            for (name, text) in &texts {
                let files = disk.files();
                let plain = files.get(&home.join("log").join(name));
                let packed = files.get(&home.join("log").join(format!("{name}.zst")));
                assert!(
                    plain.is_none_or(|bytes| bytes == text),
                    "cut {cut} seed {seed}"
                );
                assert!(
                    plain.is_some() || packed.is_some(),
                    "cut {cut} seed {seed}: {name} is gone"
                );
            }
            job(rule).run(&mut Context::fake_on(&disk, home)).unwrap();
            let files = disk.files();
            assert_eq!(files.len(), 2, "cut {cut} seed {seed}: {:?}", files.keys());
            for (name, text) in &texts {
                let packed = files[&home.join("log").join(format!("{name}.zst"))].clone();
                assert_eq!(
                    &unpack(packed, Compression::Zstd),
                    text,
                    "cut {cut} seed {seed}"
                );
            }
        }
        if through {
            assert!(cut > 10, "only {cut} operations");
            break;
        }
    }
}
