//! Records come back in order, readers follow, and no batch is larger than the room there is.

use super::*;

#[test]
fn records_come_back_in_order_over_many_segments_and_starts() {
    let disk = FakeDisk::new();
    let mut sender = Sender { number: 0 };
    for count in [1, 30, 7, 100] {
        let mut store = reopen(&disk, 2_000);
        for _ in 0..5 {
            let batch = sender.batch(&store, count);
            store.push(batch);
            insist(&mut store, 0);
        }
    }
    let store = reopen(&disk, 2_000);
    let expected: Vec<_> = (1..=sender.number).map(|n| (n, n)).collect();
    assert_eq!(records(&store, 1), expected);
    assert_eq!(records(&store, 400)[0], (400, 400));
    assert_eq!(store.sessions().0[&1].last, sender.number);
    assert!(store.shelf().segments().len() > 10);
}

#[test]
fn a_reader_follows_the_writer_and_sees_nothing_that_is_not_durable() {
    let disk = FakeDisk::new();
    let (mut store, mut sender) = (reopen(&disk, 1_500), Sender { number: 0 });
    let mut reader = Reader::new(Arc::clone(store.shelf()), 1);
    let mut seen = 0;
    for count in [3, 1, 40, 2, 2, 60, 1] {
        let batch = sender.batch(&store, count);
        store.push(batch);
        store.write().unwrap();
        assert_eq!(reader.next().unwrap(), Next::Nothing);
        store.sync().unwrap();
        while let Next::Record(head, _) = reader.next().unwrap() {
            seen += 1;
            assert_eq!(head.seq, seen);
        }
        assert_eq!(seen, sender.number);
    }
}

#[test]
fn a_batch_that_finds_no_room_is_halved_and_its_sessions_stay_right() {
    let disk = FakeDisk::new();
    let (mut store, mut sender) = (reopen(&disk, 100_000), Sender { number: 0 });
    let batch = sender.batch(&store, 1);
    store.push(batch);
    insist(&mut store, 0);
    store.roll().unwrap();
    let batch = sender.batch(&store, 63);
    store.push(batch);
    for _ in 0..3 {
        disk.fill_up(1);
        assert!(is_full(&store.write().unwrap_err()));
    }
    insist(&mut store, 0);
    assert_eq!(store.sessions().0[&1].last, 64);
    let expected: Vec<_> = (1..=64).map(|n| (n, n)).collect();
    assert_eq!(records(&store, 1), expected);
    drop(store);
    assert_eq!(records(&reopen(&disk, 100_000), 1), expected);
}
