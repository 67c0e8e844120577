//! Files are torn, flipped and missing: what is whole is found, what is lost is told.

use super::*;

/// A spool of three segments with ten records each, and the disk it is on.
fn three_segments() -> (FakeDisk, Vec<PathBuf>) {
    let disk = FakeDisk::new();
    let (mut store, mut sender) = (reopen(&disk, 1), Sender { number: 0 });
    for _ in 0..3 {
        let batch = sender.batch(&store, 10);
        store.push(batch);
        insist(&mut store, 0);
    }
    let place = cursor::Cursor {
        spool: store.shelf().seal.id(),
        turn: 1,
        next: 1,
        newest: store.shelf().newest(),
    };
    place.save(&disk, &dir(), "main").unwrap();
    let mut paths: Vec<PathBuf> = disk.files().into_keys().collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "seg"));
    assert_eq!(paths.len(), 3);
    (disk, paths)
}

fn copy_of(files: &BTreeMap<PathBuf, Vec<u8>>) -> FakeDisk {
    let disk = FakeDisk::new();
    disk.create_dirs(Path::new(DIR)).unwrap();
    for (path, bytes) in files {
        disk.put(path, bytes);
    }
    disk
}

#[test]
fn a_tail_torn_at_every_byte_is_cut_at_the_last_good_record() {
    let (disk, paths) = three_segments();
    let files = disk.files();
    let whole = files[&paths[2]].len();
    let last = whole - 40 - body(30).len();
    for cut in last..whole {
        let mut torn = files.clone();
        torn.get_mut(&paths[2]).unwrap().truncate(cut);
        let disk = copy_of(&torn);
        let mut store = reopen(&disk, 10_000);
        let numbers: Vec<u64> = records(&store, 1).iter().map(|(_, n)| *n).collect();
        assert_eq!(numbers, (1..=29).collect::<Vec<_>>(), "cut at {cut}");
        assert_eq!(
            store.next() > 30,
            cut > last,
            "a torn number is not given out again"
        );
        let mut sender = Sender { number: 29 };
        let batch = sender.batch(&store, 1);
        store.push(batch);
        insist(&mut store, 0);
        drop(store);
        let store = reopen(&disk, 10_000);
        assert_eq!(records(&store, 1).last().map(|(_, n)| *n), Some(30));
    }
}

#[test]
fn a_bit_flipped_in_each_of_a_thousand_places_costs_one_record_at_most() {
    let (disk, paths) = three_segments();
    let files = disk.files();
    let places: Vec<(usize, usize)> = (0..3)
        .flat_map(|file| (0..files[&paths[file]].len()).map(move |at| (file, at)))
        .collect();
    let step = (places.len() / 1_000).max(1);
    let mut tried = 0;
    for (file, at) in places.into_iter().step_by(step) {
        let mut flipped = files.clone();
        flipped.get_mut(&paths[file]).unwrap()[at] ^= 1 << (at % 8);
        let disk = copy_of(&flipped);
        let store = reopen(&disk, 10_000);
        let found = records(&store, 1);
        assert!(found.len() >= 29, "{file} {at}: {}", found.len());
        assert!(found.windows(2).all(|two| two[0].0 < two[1].0));
        let seen: Vec<_> = found.iter().map(|(_, number)| *number).collect();
        assert!(seen.windows(2).all(|two| two[0] < two[1]));
        assert!(store.sessions().0[&1].last >= 29, "{file} {at}");
        if found.len() == 29 {
            let kept = disk.files().into_keys();
            assert!(
                kept.filter(|p| p.starts_with(dir().join("quarantine")))
                    .count()
                    >= 1
            );
        }
        tried += 1;
    }
    assert!(tried >= 1_000, "{tried}");
}

#[test]
fn with_both_cursors_damaged_everything_is_there_and_the_id_is_the_same() {
    let (disk, _) = three_segments();
    let id = reopen(&disk, 1).shelf().seal.id();
    for half in ["a", "b"] {
        disk.put(&dir().join(format!("main.cursor.{half}")), b"rubbish");
    }
    let store = reopen(&disk, 1);
    assert_eq!(store.shelf().seal.id(), id);
    assert_eq!(
        cursor::load(&disk, &dir(), "main").unwrap().damaged.len(),
        2
    );
    assert_eq!(records(&store, 1).len(), 30);
}

#[test]
fn a_missing_newest_segment_is_told_and_its_numbers_are_not_used_again() {
    let (disk, paths) = three_segments();
    disk.remove(&paths[2]).unwrap();
    let mut store = reopen(&disk, 1);
    assert_eq!(records(&store, 1).len(), 20);
    assert!(store.next() > 30);
    assert_eq!(store.sessions().0[&1].last, 20);
    let mut sender = Sender { number: 20 };
    let batch = sender.batch(&store, 1);
    let number = batch.first;
    store.push(batch);
    insist(&mut store, 0);
    drop(store);
    let store = reopen(&disk, 1);
    assert_eq!(records(&store, 1).last(), Some(&(number, 21)));
    assert!(store.next() > number);
}

#[test]
fn a_missing_middle_segment_is_passed() {
    let (disk, paths) = three_segments();
    disk.remove(&paths[1]).unwrap();
    let store = reopen(&disk, 1);
    assert_eq!(records(&store, 1).len(), 20);
}
