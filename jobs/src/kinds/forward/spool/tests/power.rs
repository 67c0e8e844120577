//! The power fails at any operation, and syncs are refused.

use super::*;

#[test]
fn after_a_failed_sync_everything_is_written_anew_and_once() {
    for failures in 1..4 {
        let disk = FakeDisk::new();
        let (mut store, mut sender) = (reopen(&disk, 3_000), Sender { number: 0 });
        for round in 0..12 {
            let batch = sender.batch(&store, 5);
            store.push(batch);
            if round % 3 == 1 {
                store.write().unwrap();
                disk.fail_syncs(failures);
            }
            insist(&mut store, u32::try_from(failures).unwrap() + 1);
        }
        disk.reboot(failures);
        let store = reopen(&disk, 3_000);
        let expected: Vec<_> = (1..=60).map(|n| (n, n)).collect();
        assert_eq!(records(&store, 1), expected);
    }
}

/// How a spool lives.
#[derive(Clone, Copy)]
struct Ways {
    segment: u64,
    /// Records in a batch.
    count: u64,
    rounds: u64,
}

/// What a life of the spool left behind when the power failed.
struct Life {
    /// The sender's number up to which its records were acknowledged.
    acked: u64,
    /// The cursor that was saved last, and the last one that was to be saved.
    saved: u64,
    wanted: u64,
}

/// Takes records in, confirms some, saves cursors, removes segments, until it is done or the power fails.
fn live(
    disk: &FakeDisk,
    sender: &mut Sender,
    life: &mut Life,
    ways: Ways,
) -> Result<(), crate::error::Error> {
    let face: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut store = open(&face, &dir(), ways.segment)?;
    let durable = store.sessions().0.get(&1).map_or(0, |session| session.last);
    assert!(durable >= life.acked, "{durable} < {}", life.acked);
    // as a sender does that is told the last number of its session
    sender.number = durable;
    life.acked = durable;
    let kept = cursor::load(disk, &dir(), "main")?.cursor;
    let mut turn = kept.as_ref().map_or(0, |cursor| cursor.turn);
    let next = kept.map_or(0, |cursor| cursor.next);
    assert!(next >= life.saved && next <= life.wanted);
    life.saved = next;
    for round in 0..ways.rounds {
        let batch = sender.batch(&store, ways.count);
        store.push(batch);
        store.write()?;
        store.sync()?;
        life.acked = sender.number;
        store.prepare(u64::MAX);
        if round % 2 == 1 {
            let place = cursor::Cursor {
                spool: store.shelf().seal.id(),
                turn: turn + 1,
                next: store.shelf().durable() - 2,
                newest: store.shelf().newest(),
            };
            life.wanted = place.next;
            place.save(disk, &dir(), "main")?;
            (turn, life.saved) = (turn + 1, place.next);
            store.shelf().hold("main", place.next);
            store.shelf().reclaim(None)?;
        }
    }
    Ok(())
}

#[test]
fn power_loss_at_every_operation_loses_nothing_that_was_acknowledged() {
    let ways = Ways {
        segment: 900,
        count: 4,
        rounds: 6,
    };
    lose_power_everywhere(ways);
}

#[test]
fn power_loss_at_every_operation_loses_nothing_that_is_written_over_room() {
    let ways = Ways {
        segment: 40_000,
        count: 21,
        rounds: 16,
    };
    lose_power_everywhere(ways);
}

fn lose_power_everywhere(ways: Ways) {
    let (mut lives, mut cut) = (0, 1);
    loop {
        let mut finished = true;
        for seed in 0..8_u64 {
            let disk = FakeDisk::new();
            let mut sender = Sender { number: 0 };
            let mut life = Life {
                acked: 0,
                saved: 0,
                wanted: 0,
            };
            // the second life is cut too, at another operation
            for at in [cut, cut / 2 + seed + 1] {
                disk.power().cut_at(disk.power().spent() + at);
                finished &= live(&disk, &mut sender, &mut life, ways).is_ok();
                disk.reboot(seed.wrapping_mul(31) + cut);
                lives += 1;
            }
            check(&disk, &life);
        }
        if finished {
            break;
        }
        cut += 1;
    }
    assert!(lives > 500, "{lives}");
}

/// Everything from the cursor on that was acknowledged is there, in order, and no number of the sender's twice.
fn check(disk: &FakeDisk, life: &Life) {
    let store = reopen(disk, 900);
    let next = cursor::load(disk, &dir(), "main").unwrap().cursor;
    let next = next.map_or(1, |cursor| cursor.next);
    assert!(next >= life.saved && next <= life.wanted.max(1));
    let found = records(&store, store.shelf().oldest());
    assert!(found.windows(2).all(|two| two[0].0 < two[1].0), "{found:?}");
    let numbers: Vec<u64> = found.iter().map(|(_, number)| *number).collect();
    assert!(
        numbers.windows(2).all(|two| two[0] + 1 == two[1]),
        "{numbers:?}"
    );
    let from_cursor = found.iter().find(|(seq, _)| *seq >= next);
    if let Some((_, first)) = from_cursor {
        assert!(numbers.last() >= Some(&life.acked) && *first <= life.acked + 1);
    } else {
        assert!(numbers.last().is_none_or(|last| *last >= life.acked) || life.acked == 0);
    }
    if life.saved == 0 && life.acked > 0 {
        assert_eq!(
            numbers.first(),
            Some(&1),
            "{:?} {} {:?}",
            disk.files().keys(),
            life.acked,
            store.shelf().segments()
        );
        assert!(numbers.last() >= Some(&life.acked));
    }
}
