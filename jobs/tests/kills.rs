//! SIGKILL at a hundred random moments: `convert` loses and doubles no row, `sweep` no byte.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Kills in a story.
const KILLS: u64 = 100;

struct Home {
    dir: tempfile::TempDir,
    table: String,
    dice: u64,
}

impl Home {
    fn new(seed: u64) -> Home {
        let dir = tempfile::tempdir().unwrap();
        let table = format!("kills{}", dir.path().file_name().unwrap().to_string_lossy());
        Home {
            dir,
            table,
            dice: seed,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn jobs(&self, file: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jobs"));
        command
            .args(["run", file])
            .current_dir(self.dir.path())
            .env("PROCCTL_HOME", self.dir.path());
        command
            .env("PROCCTL_TABLE", &self.table)
            .env_remove("PROCCTL_RUN")
            .env_remove("PROCCTL_SLOT");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// A number below `limit`; the same ones for the same seed.
    fn roll(&mut self, limit: u64) -> u64 {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % limit
    }

    /// Runs the job and kills it at a random moment of a run of about `usual`; `true` when it was through before.
    fn run_and_kill(&mut self, file: &str, usual: Duration) -> bool {
        let mut child = self.jobs(file).spawn().unwrap();
        let micros = u64::try_from(usual.as_micros()).unwrap();
        let moment = Instant::now() + Duration::from_micros(self.roll(micros + micros / 4));
        while Instant::now() < moment {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success());
                return true;
            }
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        false
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().ends_with(&self.table) {
                drop(fs::remove_file(entry.path()));
            }
        }
    }
}

/// Names in a folder, hidden ones and folders left out.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let names = files.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with('.')).collect()
}

/// Takes what is published away, as the next in line does, and counts how often each row came.
fn take(home: &Home, seen: &mut BTreeMap<u64, u64>) {
    for name in names(&home.path("out")) {
        let path = home.path("out").join(name);
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().skip(1) {
            *seen
                .entry(line.split(',').next().unwrap().parse().unwrap())
                .or_default() += 1;
        }
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn convert_loses_and_doubles_no_row() {
    let mut home = Home::new(1);
    fs::create_dir(home.path("raw")).unwrap();
    fs::write(
        home.path("c.xml"),
        r#"<convert name="c"><input dir="raw" match="*.csv" stable="0s" max-bad="1"/><format type="csv"/>
           <column name="id" type="integer"/><column name="v"/><output dir="out" file="W" format="csv"/></convert>"#,
    )
    .unwrap();
    let (mut rows, mut files, mut killed) = (0_u64, 0_u64, 0);
    let mut seen = BTreeMap::new();
    let mut usual = Duration::from_millis(30);
    while killed < KILLS {
        // always something to do: three files with a row too bad to take in every second one
        while names(&home.path("raw")).len() < 3 {
            let lines: String = (0..400)
                .map(|i| format!("{},value {i}\n", rows + i))
                .collect();
            let bad = if files.is_multiple_of(2) {
                "none,x\n"
            } else {
                ""
            };
            fs::write(home.path("raw/.new"), format!("id,v\n{lines}{bad}")).unwrap();
            fs::rename(
                home.path("raw/.new"),
                home.path(&format!("raw/{files:04}.csv")),
            )
            .unwrap();
            (rows, files) = (rows + 400, files + 1);
        }
        let begun = Instant::now();
        if home.run_and_kill("c.xml", usual) {
            usual = begun.elapsed();
        } else {
            killed += 1;
        }
        if home.roll(3) > 0 {
            take(&home, &mut seen);
        }
    }
    assert!(home.jobs("c.xml").status().unwrap().success());
    take(&home, &mut seen);
    assert_eq!(seen.len() as u64, rows, "rows lost");
    assert!(seen.values().all(|&times| times == 1), "rows doubled");
    assert_eq!(names(&home.path("raw/done")).len() as u64, files);
    assert_eq!(names(&home.path("raw/bad")).len() as u64, files.div_ceil(2));
    assert_eq!(
        fs::read_dir(home.path("out")).unwrap().count(),
        0,
        "a draft was left"
    );
}

#[test]
fn sweep_loses_no_byte() {
    let mut home = Home::new(2);
    fs::create_dir(home.path("old")).unwrap();
    fs::write(
        home.path("s.xml"),
        r#"<sweep name="s"><files dir="old" match="*.log" older="0s" action="gzip"/></sweep>"#,
    )
    .unwrap();
    let text = |n: u64| format!("line of file {n}\n").repeat(20_000);
    let (mut files, mut killed) = (0, 0);
    let mut usual = Duration::from_millis(200);
    while killed < KILLS {
        while names(&home.path("old"))
            .iter()
            .filter(|name| name.ends_with(".log"))
            .count()
            < 3
        {
            fs::write(home.path(&format!("old/{files:04}.log")), text(files)).unwrap();
            files += 1;
        }
        let begun = Instant::now();
        if home.run_and_kill("s.xml", usual) {
            usual = begun.elapsed();
        } else {
            killed += 1;
        }
    }
    assert!(home.jobs("s.xml").status().unwrap().success());
    let left: Vec<_> = fs::read_dir(home.path("old"))
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left.len() as u64, files, "{left:?}");
    for n in 0..files {
        let file = fs::File::open(home.path(&format!("old/{n:04}.log.gz"))).unwrap();
        let mut plain = String::new();
        let unpacked = jobs::data::Compression::Gzip
            .unpack(Box::new(file))
            .unwrap();
        std::io::BufReader::new(unpacked)
            .read_to_string(&mut plain)
            .unwrap();
        assert!(plain == text(n), "file {n}");
    }
}
