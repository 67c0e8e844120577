//! Records are written over zeros that were laid out for them: these are never taken for damage, and a loss of power in the middle
//! of a write never makes a record count that is not there.

use super::*;
use crate::kinds::forward::spool::segment;

const SEGMENT: u64 = 100_000;

/// A spool with room laid out behind a few acknowledged batches.
fn roomy() -> (FakeDisk, Store, Sender) {
    let disk = FakeDisk::new();
    let (mut store, mut sender) = (reopen(&disk, SEGMENT), Sender { number: 0 });
    for _ in 0..6 {
        take(&mut store, &mut sender, 5);
    }
    (disk, store, sender)
}

/// A batch comes, is acknowledged, and room is seen to.
fn take(store: &mut Store, sender: &mut Sender, count: u64) {
    let batch = sender.batch(store, count);
    store.push(batch);
    insist(store, 1);
    store.prepare(u64::MAX);
}

fn first_segment(disk: &FakeDisk) -> Vec<u8> {
    disk.files()[&segment::path(&dir(), 1)].clone()
}

fn quarantined(disk: &FakeDisk) -> usize {
    let files = disk.files().into_keys();
    let dir = dir().join(quarantine::FOLDER);
    files.filter(|path| path.starts_with(&dir)).count()
}

fn numbers(store: &Store) -> Vec<u64> {
    records(store, 1)
        .iter()
        .map(|(_, number)| *number)
        .collect()
}

#[test]
fn room_is_laid_out_counted_and_given_back() {
    let (disk, mut store, mut sender) = roomy();
    let records = store.shelf().segments()[0].length;
    let file = first_segment(&disk);
    assert!(file.len() as u64 > records + 20_000, "{}", file.len());
    assert_eq!(store.shelf().bytes(), file.len() as u64);
    take(&mut store, &mut sender, 5);
    assert_eq!(
        first_segment(&disk).len(),
        file.len(),
        "it was written over"
    );
    store.close().unwrap();
    let length = store.shelf().segments()[0].length;
    assert_eq!(first_segment(&disk).len() as u64, length);
    assert_eq!(store.shelf().bytes(), length);
    assert_eq!(numbers(&store), (1..=35).collect::<Vec<_>>());
}

#[test]
fn no_room_is_laid_out_for_bulk_or_where_it_does_not_fit() {
    let (disk, mut store, mut sender) = roomy();
    // all of the room and more
    take(&mut store, &mut sender, 500);
    let length = store.shelf().segments()[0].length;
    assert_eq!(first_segment(&disk).len() as u64, length);
    for _ in 0..6 {
        let batch = sender.batch(&store, 5);
        store.push(batch);
        insist(&mut store, 0);
        store.prepare(4_000);
    }
    assert_eq!(store.shelf().bytes(), store.shelf().segments()[0].length);
    assert_eq!(numbers(&store), (1..=560).collect::<Vec<_>>());
}

#[test]
fn zeros_that_a_crash_leaves_are_no_damage() {
    let (disk, store, _) = roomy();
    let next = store.next();
    let face: Arc<dyn Disk> = Arc::new(disk.clone());
    let (shelf, _) = look_at(&face, &dir()).unwrap();
    assert_eq!(
        shelf.segments()[0].length,
        store.shelf().segments()[0].length
    );
    assert_eq!(shelf.bytes(), store.shelf().bytes());
    drop(store);
    // as an older segment, and as the newest one
    let mut store = reopen(&disk, SEGMENT);
    assert_eq!((store.next(), quarantined(&disk)), (next, 0));
    store.roll().unwrap();
    let laid = [&first_segment(&disk)[..], &[0; 9_000]].concat();
    disk.put(&segment::path(&dir(), 1), &laid);
    let store = reopen(&disk, SEGMENT);
    assert_eq!(records(&store, 1).len(), 30);
    assert_eq!((store.next(), quarantined(&disk)), (next, 0));
}

#[test]
fn a_batch_of_which_any_sectors_are_missing_was_never_acknowledged() {
    let (disk, mut store, mut sender) = roomy();
    let before = first_segment(&disk);
    let batch = sender.batch(&store, 30);
    store.push(batch);
    store.write().unwrap();
    let after = first_segment(&disk);
    assert_eq!(before.len(), after.len());
    let changed: Vec<usize> = (0..after.len() / 512)
        .filter(|sector| before[sector * 512..][..512] != after[sector * 512..][..512])
        .collect();
    assert!((4..12).contains(&changed.len()), "{changed:?}");
    for missing in 1..1_usize << changed.len() {
        let mut torn = after.clone();
        for (bit, sector) in changed.iter().enumerate() {
            if missing & (1 << bit) != 0 {
                let place = sector * 512..(sector + 1) * 512;
                torn[place.clone()].copy_from_slice(&before[place]);
            }
        }
        let disk = FakeDisk::new();
        disk.create_dirs(&dir()).unwrap();
        disk.put(&segment::path(&dir(), 1), &torn);
        let mut store = reopen(&disk, SEGMENT);
        let found = numbers(&store);
        let last = *found.last().unwrap();
        assert_eq!(found, (1..=last).collect::<Vec<_>>(), "{missing:b}");
        assert!((30..60).contains(&last), "{missing:b}: {last}");
        assert_eq!(store.sessions().0[&1].last, last, "{missing:b}");
        // the sender goes on behind that
        let mut sender = Sender { number: last };
        take(&mut store, &mut sender, 5);
        drop(store);
        let found = numbers(&reopen(&disk, SEGMENT));
        assert_eq!(found, (1..=last + 5).collect::<Vec<_>>());
    }
}

#[test]
fn a_sector_that_is_lost_among_acknowledged_records_costs_no_others() {
    let (disk, mut store, mut sender) = roomy();
    for _ in 0..4 {
        take(&mut store, &mut sender, 30);
    }
    let good = first_segment(&disk);
    let end = usize::try_from(store.shelf().segments()[0].length).unwrap();
    for sector in 1..end / 512 - 8 {
        let mut bad = good.clone();
        bad[sector * 512..(sector + 1) * 512].fill(0);
        let disk = FakeDisk::new();
        disk.create_dirs(&dir()).unwrap();
        disk.put(&segment::path(&dir(), 1), &bad);
        let store = reopen(&disk, SEGMENT);
        let found = numbers(&store);
        assert!(found.len() > 150 - 20, "{sector}: {}", found.len());
        assert_eq!(found.last(), Some(&150), "{sector}: the last batch stays");
        assert!(quarantined(&disk) > 0);
    }
}

#[test]
fn a_disk_that_refuses_room_costs_the_room_alone() {
    let (disk, mut store, mut sender) = (FakeDisk::new(), None, Sender { number: 0 });
    let store = store.get_or_insert_with(|| reopen(&disk, SEGMENT));
    for _ in 0..4 {
        let batch = sender.batch(store, 5);
        store.push(batch);
        insist(store, 0);
    }
    disk.fill_up(1);
    store.prepare(u64::MAX);
    assert_eq!(store.shelf().segments().len(), 1);
    assert_eq!(store.shelf().bytes(), store.shelf().segments()[0].length);
    for _ in 0..4 {
        let batch = sender.batch(store, 5);
        store.push(batch);
        insist(store, 0);
    }
    disk.fail_syncs(1);
    store.prepare(u64::MAX);
    // nothing more goes into a file of which a sync failed
    take(store, &mut sender, 5);
    assert_eq!(store.shelf().segments().len(), 2);
    assert_eq!(numbers(store), (1..=45).collect::<Vec<_>>());
    disk.reboot(1);
    let store = reopen(&disk, SEGMENT);
    assert_eq!(numbers(&store), (1..=45).collect::<Vec<_>>());
}
