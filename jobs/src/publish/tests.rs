//! Power fails at every operation, many states survive, the job starts again: nothing half, nothing lost, nothing twice.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    disk::{FakeDisk, RealDisk},
    state::{Changes, State},
};

fn author(run: u64) -> Author {
    Author {
        job: "job.1".to_owned(),
        run,
    }
}

fn visible(disk: &FakeDisk) -> BTreeMap<String, String> {
    let shown = disk.files().into_iter().filter_map(|(path, bytes)| {
        let name = path.to_string_lossy().into_owned();
        let hidden = path.file_name()?.to_string_lossy().starts_with('.');
        (!hidden).then(|| (name, String::from_utf8_lossy(&bytes).into_owned()))
    });
    shown.collect()
}

#[test]
fn drafts_are_told_by_job_and_never_by_luck() {
    let author = author(7);
    let long = "x".repeat(250);
    for name in ["a.xml", ".a", "a~b", "~", "站点.csv", &long] {
        let draft = author.draft(name);
        assert!(
            draft.starts_with('.') && draft.len() <= LONGEST && author.wrote(&draft),
            "{draft}"
        );
        assert!(
            !Author {
                job: "1".to_owned(),
                run: 7
            }
            .wrote(&draft),
            "{draft}"
        );
    }
    for name in [
        "a.xml",
        ".a.part",
        ".~job.1~x.part",
        ".job.1~7.part",
        "a~job.1~7.part",
        ".a~job.1~7",
    ] {
        assert!(!author.wrote(name), "{name}");
    }
}

#[test]
fn the_real_disk_publishes_moves_and_sweeps() {
    let home = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (out, done) = (home.path().join("out"), home.path().join("done"));
    let target = out.join("a.xml");
    for text in ["one", "two"] {
        let mut draft = Draft::create(&disk, &target, &author(1)).unwrap();
        draft.write_all(text.as_bytes()).unwrap();
        assert_eq!(draft.publish().unwrap(), 3);
        assert_eq!(std::fs::read_to_string(&target).unwrap(), text);
    }
    drop(Draft::create(&disk, &target, &author(1)).unwrap());
    assert_eq!(disk.list(&out).unwrap().len(), 1);
    std::mem::forget(Draft::create(&disk, &target, &author(2)).unwrap());
    std::fs::write(out.join(".other~job~2.part"), "").unwrap();
    assert_eq!(sweep_drafts(&*disk, &out, &author(3)).unwrap(), 1);
    assert_eq!(
        sweep_drafts(&*disk, &out.join("none"), &author(3)).unwrap(),
        0
    );
    assert_eq!(disk.list(&out).unwrap().len(), 2);
    for expected in ["a.xml", "a.xml.1", "a.xml.2"] {
        std::fs::write(&target, expected).unwrap();
        assert_eq!(
            move_into(&disk, &target, &done, &author(3)).unwrap(),
            done.join(expected)
        );
        assert_eq!(
            std::fs::read_to_string(done.join(expected)).unwrap(),
            expected
        );
    }
    assert!(move_into(&disk, &target, &done, &author(3)).is_err());
}

#[test]
fn a_dead_runs_draft_of_the_same_name_gives_way() {
    let fake = FakeDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(fake.clone());
    let target = Path::new("/out/a");
    std::mem::forget(Draft::create(&disk, target, &author(1)).unwrap());
    Draft::create(&disk, target, &author(1))
        .unwrap()
        .publish()
        .unwrap();
    assert_eq!(fake.files().len(), 1);
}

#[test]
fn a_failed_sync_publishes_nothing() {
    let fake = FakeDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(fake.clone());
    let mut draft = Draft::create(&disk, Path::new("/out/a"), &author(1)).unwrap();
    draft.write_all(b"x").unwrap();
    fake.fail_syncs(1);
    assert!(draft.publish().is_err());
    assert!(fake.files().is_empty());
}

/// Runs `work` with the power failing at each of its operations, and hands every survival to `check`. `begin` makes the disk.
fn at_every_cut(
    begin: impl Fn() -> FakeDisk,
    work: impl Fn(&FakeDisk) -> Result<(), Error>,
    check: impl Fn(&FakeDisk, bool),
) {
    for cut in 1.. {
        let mut finished = false;
        for seed in 0..40 {
            let disk = begin();
            disk.power().cut_at(disk.power().spent() + cut);
            finished = work(&disk).is_ok();
            disk.reboot(seed);
            check(&disk, finished);
        }
        if finished {
            return;
        }
    }
}

#[test]
fn published_is_whole_and_durable_and_replaces_at_once() {
    let begin = || {
        let disk = FakeDisk::new();
        disk.put(Path::new("/out/a"), b"old");
        disk
    };
    let work = |fake: &FakeDisk| {
        let disk: Arc<dyn Disk> = Arc::new(fake.clone());
        let mut draft = Draft::create(&disk, Path::new("/out/a"), &author(1))?;
        for piece in ["ne", "w", " text"] {
            draft
                .write_all(piece.as_bytes())
                .map_err(Error::io("write", "/out/a"))?;
        }
        draft.publish().map(drop)
    };
    at_every_cut(begin, work, |disk, finished| {
        let seen = visible(disk);
        let text = seen["/out/a"].as_str();
        assert!(
            text == "new text" || (text == "old" && !finished),
            "{seen:?}"
        );
        sweep_drafts(disk, Path::new("/out"), &author(2)).unwrap();
        assert_eq!(disk.files().len(), 1);
    });
}

#[test]
fn a_moved_file_is_always_somewhere_and_nothing_is_overwritten() {
    let begin = || {
        let disk = FakeDisk::new();
        disk.put(Path::new("/in/a"), b"new");
        disk.put(Path::new("/done/a"), b"old");
        disk
    };
    let work = |fake: &FakeDisk| {
        let disk: Arc<dyn Disk> = Arc::new(fake.clone());
        move_into(&disk, Path::new("/in/a"), Path::new("/done"), &author(1)).map(drop)
    };
    at_every_cut(begin, work, |disk, finished| {
        let seen = visible(disk);
        assert_eq!(seen["/done/a"], "old");
        let (here, there) = (seen.get("/in/a"), seen.get("/done/a.1"));
        assert!(here.or(there).is_some_and(|text| text == "new"), "{seen:?}");
        assert!(!finished || (here.is_none() && there.is_some()), "{seen:?}");
    });
}

const ROWS: u64 = 23;
const STEP: u64 = 5;

/// What the file of a range holds: one line a row.
fn content(from: u64, to: u64) -> String {
    (from + 1..=to).map(|row| format!("{row}\n")).collect()
}

/// A small extract: plan, file, cursor, as long as there are rows.
fn extract(fake: &FakeDisk, run: u64) -> Result<(), Error> {
    let disk: Arc<dyn Disk> = Arc::new(fake.clone());
    let out = Path::new("/out");
    let mut state = State::fake(fake, "extract");
    sweep_drafts(&*disk, out, &author(run))?;
    loop {
        let cursor: u64 = state.get("cursor")?.unwrap_or(0);
        if cursor == ROWS {
            return Ok(());
        }
        // the plan of a killed run is kept to, though by now (run by run) another would be made
        let (from, to) = match state.get("plan")? {
            Some(plan) => plan,
            None => (cursor, ROWS.min(cursor + STEP + run % 3)),
        };
        state.set("plan", &(from, to))?;
        let target = out.join(format!("{from}-{to}"));
        let mut draft = Draft::create(&disk, &target, &author(run))?;
        for line in content(from, to).split_inclusive('\n') {
            draft
                .write_all(line.as_bytes())
                .map_err(Error::io("write", &target))?;
        }
        draft.publish()?;
        state.commit(Changes::new().set("cursor", &to)?.delete("plan"))?;
    }
}

/// A small ingest: loads each file once by its ledger, then moves it.
fn ingest(fake: &FakeDisk, run: u64) -> Result<(), Error> {
    let disk: Arc<dyn Disk> = Arc::new(fake.clone());
    let mut state = State::fake(fake, "ingest");
    for entry in disk.list(Path::new("/out"))? {
        let name = entry.name();
        if name.starts_with('.') {
            continue;
        }
        let mut text = String::new();
        disk.open(&entry.path)?
            .read_to_string(&mut text)
            .map_err(Error::io("read", &entry.path))?;
        if state.get::<bool>(&format!("ledger {name}"))?.is_none() {
            let table = state.get::<String>("table")?.unwrap_or_default() + &text;
            state.commit(
                Changes::new()
                    .set("table", &table)?
                    .set(&format!("ledger {name}"), &true)?,
            )?;
        }
        move_into(&disk, &entry.path, Path::new("/done"), &author(run))?;
    }
    Ok(())
}

fn whole_files_only(disk: &FakeDisk) {
    for (path, text) in visible(disk) {
        let name = Path::new(&path)
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let range = name.split('.').next().unwrap();
        let (from, to) = range.split_once('-').unwrap();
        assert_eq!(
            text,
            content(from.parse().unwrap(), to.parse().unwrap()),
            "{path}"
        );
    }
}

/// Runs both jobs with these cuts (operations after the start of each run), then once more in peace.
fn survive(cuts: &[(u64, u64)]) -> u64 {
    let disk = FakeDisk::new();
    disk.create_dirs(Path::new("/out")).unwrap();
    for (run, &(cut, seed)) in (1..).zip(cuts) {
        disk.power().cut_at(disk.power().spent() + cut);
        let ended = extract(&disk, run).and_then(|()| ingest(&disk, run));
        disk.reboot(seed);
        drop(ended);
        whole_files_only(&disk);
        let table: String = State::fake(&disk, "ingest")
            .get("table")
            .unwrap()
            .unwrap_or_default();
        let cursor: u64 = State::fake(&disk, "extract")
            .get("cursor")
            .unwrap()
            .unwrap_or(0);
        let in_files: usize = visible(&disk).values().map(String::len).sum();
        assert!(
            table.len().max(in_files) >= content(0, cursor).len(),
            "a range below the cursor is nowhere"
        );
    }
    let before = disk.power().spent();
    extract(&disk, 99).unwrap();
    ingest(&disk, 99).unwrap();
    whole_files_only(&disk);
    let table: String = State::fake(&disk, "ingest").get("table").unwrap().unwrap();
    assert_eq!(
        sorted(&table),
        sorted(&content(0, ROWS)),
        "rows lost or doubled"
    );
    disk.power().spent() - before
}

fn sorted(text: &str) -> Vec<u64> {
    let mut rows: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
    rows.sort_unstable();
    rows
}

#[test]
fn power_loss_at_every_operation_loses_and_doubles_nothing() {
    let operations = survive(&[]);
    assert!(operations > 60, "{operations}");
    for cut in 1..=operations {
        for seed in 0..25 {
            survive(&[(cut, seed)]);
        }
    }
}

proptest! {
    #[test]
    fn nor_do_many_power_losses_in_a_row(cuts in prop::collection::vec((1_u64..90, any::<u64>()), 1..8)) {
        survive(&cuts);
    }
}

/// A file that is moved into the folder it is in stays, by whatever name the folder goes.
#[test]
fn a_move_into_its_own_folder_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (real, author) = (dir.path().join("in"), author(1));
    std::fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, dir.path().join("other")).unwrap();
    let file = real.join("only.csv");
    std::fs::write(&file, "only copy").unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    for to in [real.clone(), dir.path().join("other"), real.join("../in")] {
        let error = move_into(&disk, &file, &to, &author).unwrap_err();
        assert!(
            matches!(&error, Error::Invalid(why) if why.contains("already")),
            "{error:?}"
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "only copy");
    }
}
