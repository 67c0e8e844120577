//! Slots through all changes of hands, in tables empty, full and hostile.

use std::fs;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::layout::{self, Cold, Hot, Owner, State, header};
use crate::process::{monotonic_ns, own_identity};
use crate::testing::{PrivateTable, claim, cold, set_cold, set_hot};
use crate::{Error, Outcome, Pulse, SlotState};

#[test]
fn a_slot_from_reservation_to_release() {
    let private = PrivateTable::new();
    let (pid, start) = own_identity();
    let slot = private
        .table
        .claim(&claim("load.core-1", None, 60_000))
        .unwrap();
    let row = slot.row().unwrap();
    assert_eq!(
        (row.state, row.pid, row.start_time, row.claimer),
        (SlotState::Reserved, pid, 0, pid)
    );
    assert!(
        slot.activate(pid, start) && slot.activate(pid, start),
        "parent and child both may"
    );
    assert!(!slot.activate(pid, start + 1));
    assert!(slot.beat());
    slot.progress(7, 8);
    slot.phase("reading");
    slot.step("create index", Duration::from_secs(600));
    slot.beat();
    let row = slot.row().unwrap();
    assert_eq!(
        (row.state, row.start_time, row.rows, row.bytes),
        (SlotState::Active, start, 7, 8)
    );
    assert_eq!(
        (row.phase.as_str(), row.step.as_deref(), row.name.as_str()),
        ("reading", Some("create index"), "load.core-1")
    );
    assert!(
        row.deadline_in.unwrap() > 590_000_000_000,
        "a beat does not shorten a step"
    );
    slot.step_done();
    assert!(slot.row().unwrap().deadline_in.unwrap() <= 60_000_000_000);
    slot.end(Outcome::Failed { exit: 74 });
    assert_eq!(
        slot.row().unwrap().outcome,
        Some(Outcome::Failed { exit: 74 })
    );
    let (index, generation) = slot.handle();
    assert!(private.table.slot(index, generation).is_some());
    assert!(slot.release() && !slot.release());
    assert!(
        private.table.slot(index, generation).is_none() && slot.row().is_none() && !slot.beat()
    );
    assert!(private.table.slot(layout::SLOTS, 0).is_none());
}

#[test]
fn a_new_claim_knows_nothing_of_the_old_one() {
    let private = PrivateTable::new();
    let pid = Some(std::process::id());
    let old = private.table.claim(&claim("old", pid, 1)).unwrap();
    old.step("long", Duration::from_secs(60));
    old.progress(1, 1);
    old.end(Outcome::Done);
    assert!(old.condemn(monotonic_ns()));
    old.release();
    let new = private.table.claim(&claim("new", pid, 60_000)).unwrap();
    assert_eq!(new.handle().0, old.handle().0);
    let row = new.row().unwrap();
    assert_eq!(
        (row.outcome, row.hung, row.step, row.rows, row.beats),
        (None, None, None, 0, 0)
    );
    assert!(
        !old.beat() && !old.release() && !old.activate(1, 1),
        "the old handle is dead"
    );
    old.progress(99, 99);
    old.end(Outcome::Stopped);
    assert_eq!(
        (new.row().unwrap().rows, new.row().unwrap().outcome),
        (0, None)
    );
}

#[test]
fn names_and_processes_are_checked() {
    let private = PrivateTable::new();
    for name in ["", "a b", "a/b", "ü", &"x".repeat(64)] {
        assert!(
            matches!(
                private.table.claim(&claim(name, None, 1)),
                Err(Error::Name { .. })
            ),
            "{name}"
        );
    }
    for pid in [0, 1, u32::MAX] {
        assert!(
            matches!(
                private.table.claim(&claim("a", Some(pid), 1)),
                Err(Error::NoProcess { .. })
            ),
            "{pid}"
        );
    }
}

#[test]
fn steps_are_capped_and_absurd_durations_bounded() {
    let private = PrivateTable::new();
    let mut wanted = claim("a", Some(std::process::id()), 1000);
    wanted.max_step = Duration::from_secs(5);
    let slot = private.table.claim(&wanted).unwrap();
    slot.step("for ever", Duration::MAX);
    assert!(slot.row().unwrap().deadline_in.unwrap() <= 5_000_000_000);
    slot.step_done();
    slot.set_heartbeat(Some(Duration::MAX));
    assert!(slot.row().unwrap().heartbeat.unwrap() <= Duration::from_nanos(layout::LONGEST));
    slot.set_heartbeat(None);
    assert_eq!(
        (
            slot.row().unwrap().heartbeat,
            slot.row().unwrap().deadline_in
        ),
        (None, None)
    );
    slot.beat();
    assert_eq!(
        private.table.look(u64::MAX - 1, None).glance.live,
        0,
        "unwatched"
    );
}

#[test]
fn untouched_slots_cost_no_memory() {
    use std::os::unix::fs::MetadataExt;
    let private = PrivateTable::new();
    let _slot = private.table.claim(&claim("a", None, 1)).unwrap();
    private.table.rows();
    private.table.look(monotonic_ns(), None);
    let pages = fs::metadata(private.table.path()).unwrap().blocks() * 512 / 4096;
    assert!(pages <= 3, "{pages} pages for one slot");
}

#[test]
fn a_full_table_refuses_the_newcomer_and_keeps_the_others() {
    let private = PrivateTable::new();
    let pid = Some(std::process::id());
    let first = private.table.claim(&claim("a", pid, 60_000)).unwrap();
    let (own, start) = own_identity();
    // The others are as if claimed: sixteen thousand true claims take their time.
    private.table.words()[header::HIGH_WATER].store(u64::from(layout::SLOTS), Ordering::Release);
    for index in 1..layout::SLOTS {
        let owner = Owner {
            state: State::Active,
            generation: 1,
            pid: own,
        };
        set_cold(&private.table, index, Cold::StartTime, start);
        set_hot(&private.table, index, Hot::Heartbeat, 60_000_000_000);
        set_hot(
            &private.table,
            index,
            Hot::Deadline,
            monotonic_ns() + 60_000_000_000,
        );
        set_hot(&private.table, index, Hot::Owner, owner.pack());
    }
    let others = (1..layout::SLOTS).map(|index| private.table.slot(index, 1).unwrap());
    let slots: Vec<_> = std::iter::once(first).chain(others).collect();
    let error = private
        .table
        .claim(&claim("newcomer", pid, 1))
        .err()
        .unwrap();
    assert!(
        matches!(error, Error::Full { .. }) && error.to_string().contains("is full"),
        "{error}"
    );
    assert!(slots.iter().all(crate::Slot::beat));
    // A dead one makes room again.
    set_cold(&private.table, 77, Cold::StartTime, 1);
    assert_eq!(
        private
            .table
            .claim(&claim("newcomer", pid, 1))
            .unwrap()
            .handle()
            .0,
        77
    );
    assert_eq!(
        private.table.look(monotonic_ns(), None).glance.live,
        layout::SLOTS as usize
    );
}

#[test]
fn claims_from_many_threads_never_meet() {
    let private = PrivateTable::new();
    let claimed: Vec<(u32, u32)> = std::thread::scope(|scope| {
        let claimer = || {
            let mut mine = Vec::new();
            for round in 0..200 {
                let slot = private.table.claim(&claim("a", None, 1)).unwrap();
                if round % 2 == 0 {
                    mine.push(slot.handle())
                } else {
                    assert!(slot.release())
                }
            }
            mine
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(claimer)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let indexes: std::collections::HashSet<u32> = claimed.iter().map(|(index, _)| *index).collect();
    assert_eq!(indexes.len(), 400);
}

#[test]
fn a_lowered_mark_is_put_right_by_the_next_beat() {
    let private = PrivateTable::new();
    let pid = Some(std::process::id());
    let slots: Vec<_> = (0..5)
        .map(|_| private.table.claim(&claim("a", pid, 60_000)).unwrap())
        .collect();
    private.table.words()[header::HIGH_WATER].store(0, Ordering::Release);
    assert!(slots[4].beat());
    assert_eq!(private.table.rows().len(), 5);
    private.table.words()[header::HIGH_WATER].store(u64::MAX, Ordering::Release);
    assert_eq!(
        private.table.rows().len(),
        5,
        "a mark beyond the table is bounded"
    );
}

#[test]
fn dead_claimers_are_freed_and_living_ones_are_not() {
    let private = PrivateTable::new();
    let table = &private.table;
    let reserved = table.claim(&claim("a", None, 1)).unwrap().handle().0;
    table.settle(reserved, monotonic_ns());
    assert_eq!(table.rows().len(), 1, "its claimer lives");
    set_cold(table, reserved, Cold::ClaimerStart, 1);
    table.settle(reserved, monotonic_ns());
    assert!(table.rows().is_empty());
    // A claimer that died half-way; its pid is that of nobody.
    let half = Owner {
        state: State::Claiming,
        generation: 9,
        pid: 4_194_304,
    };
    set_hot(table, reserved, Hot::Owner, half.pack());
    table.settle(reserved, monotonic_ns());
    let slot = table.claim(&claim("b", None, 1)).unwrap();
    assert_eq!(slot.handle(), (reserved, 10));
}

#[test]
fn the_result_of_a_run_is_kept_for_ten_minutes() {
    let private = PrivateTable::new();
    let table = &private.table;
    let mut child = Command::new("true").spawn().unwrap();
    let mut wanted = claim("a", Some(child.id()), 1);
    wanted.run = 42;
    let slot = table.claim(&wanted).unwrap();
    slot.end(Outcome::Done);
    child.wait().unwrap();
    let now = monotonic_ns();
    table.settle(slot.handle().0, now);
    table.settle(slot.handle().0, now + 599_000_000_000);
    assert_eq!(slot.row().unwrap().outcome, Some(Outcome::Done));
    assert!(
        table.look(u64::MAX - 1, None).glance.overdue.is_empty(),
        "the dead are not late"
    );
    assert!(cold(table, slot.handle().0, Cold::Ended) != 0);
    table.settle(slot.handle().0, now + 601_000_000_000);
    assert!(slot.row().is_none());
}

#[test]
fn odd_slots_are_seen_and_put_right() {
    let private = PrivateTable::new();
    let table = &private.table;
    let slot = table
        .claim(&claim("a", Some(std::process::id()), 60_000))
        .unwrap();
    let index = slot.handle().0;
    set_hot(table, index, Hot::Deadline, u64::MAX / 2);
    assert_eq!(table.look(monotonic_ns(), None).odd, [index]);
    table.repair(index);
    assert!(table.look(monotonic_ns(), None).odd.is_empty());
    assert!(slot.row().unwrap().deadline_in.unwrap() <= 60_000_000_000);
    set_hot(table, index, Hot::Owner, 0x7700_0000_0000_0001);
    assert_eq!(table.look(monotonic_ns(), None).odd, [index]);
    table.repair(index);
    assert!(table.look(monotonic_ns(), None).odd.is_empty() && !slot.beat());
}

#[test]
fn a_robbed_pulse_gets_another_slot() {
    let private = PrivateTable::new();
    let pulse = Pulse::in_table(
        &private.table,
        "job",
        Some(Duration::from_secs(60)),
        Duration::ZERO,
    )
    .unwrap();
    let old = pulse.slot().handle();
    set_hot(&private.table, old.0, Hot::Owner, 0xff00_0000_0000_0000);
    pulse.beat();
    assert_ne!(pulse.slot().handle(), old);
    assert!(pulse.slot().beat());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    /// Any words in any slots: everyone who reads or tends the table gets through.
    #[test]
    fn any_table_is_survived(words in proptest::collection::vec((0_usize..layout::WORDS, proptest::num::u64::ANY), 1..200)) {
        let private = PrivateTable::new();
        let slots: Vec<_> = (0..50).map(|_| private.table.claim(&claim("a", Some(std::process::id()), 60_000)).unwrap()).collect();
        let [_, cold] = layout::ranges(50);
        for (position, value) in words {
            // Most hits near the slots in use, some anywhere; the owner keeps its own pid, or strangers would be judged.
            let place = if value % 3 == 0 { position } else { layout::header_range().end + position % cold.end.min(20_000) };
            private.table.words()[place].store(value, Ordering::Relaxed);
        }
        let sight = private.table.look(monotonic_ns(), None);
        for index in sight.odd {
            private.table.repair(index);
        }
        private.table.rows();
        private.table.memory();
        slots.iter().for_each(|slot| { slot.beat(); slot.step("x", Duration::from_secs(1)); slot.row(); });
        for index in 0..60 {
            private.table.settle(index, monotonic_ns());
        }
        proptest::prop_assert!(private.reopened().is_ok());
    }
}
