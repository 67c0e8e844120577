//! Every odd case of the judge, on a clock made of numbers.

use super::*;

const S: u64 = 1_000_000_000;

fn slot(index: u32, deadline: u64, heartbeat: u64) -> Overdue {
    Overdue {
        index,
        generation: 1,
        pid: 100 + index,
        deadline,
        heartbeat,
        home: 0,
    }
}

fn glance(live: usize, overdue: Vec<Overdue>) -> Glance {
    Glance { live, overdue }
}

fn at(now: u64) -> Moment {
    Moment { now, offset: 0 }
}

/// A judge that has scanned every second up to `now`.
fn settled(now: u64) -> Memory {
    Memory {
        last_scan: now,
        every: S,
        ..Memory::default()
    }
}

fn condemned(verdicts: &[Verdict]) -> Vec<u32> {
    let hung = |verdict: &Verdict| {
        if let Verdict::Hung(slot, _) = verdict {
            Some(slot.index)
        } else {
            None
        }
    };
    verdicts.iter().filter_map(hung).collect()
}

#[test]
fn a_passed_deadline_is_a_verdict_with_its_age() {
    let mut memory = settled(100 * S);
    let late = slot(3, 100 * S, 5 * S);
    let verdicts = judge(&mut memory, &glance(20, vec![late]), at(101 * S), S);
    assert_eq!(verdicts, [Verdict::Hung(late, S)]);
}

#[test]
fn a_deadline_ahead_is_none() {
    let mut memory = settled(100 * S);
    assert!(
        judge(
            &mut memory,
            &glance(20, vec![slot(3, 102 * S, 5 * S)]),
            at(101 * S),
            S
        )
        .is_empty()
    );
}

#[test]
fn a_gap_gives_everyone_one_fresh_heartbeat() {
    let mut memory = settled(100 * S);
    let late = slot(1, 90 * S, 10 * S);
    let verdicts = judge(&mut memory, &glance(20, vec![late]), at(130 * S), S);
    assert_eq!(verdicts, [Verdict::Gap(30 * S)]);
    for now in 131..=140 {
        assert!(
            judge(&mut memory, &glance(20, vec![late]), at(now * S), S).is_empty(),
            "{now}"
        );
    }
    assert_eq!(
        condemned(&judge(&mut memory, &glance(20, vec![late]), at(141 * S), S)),
        [1]
    );
}

#[test]
fn a_late_scan_is_no_gap() {
    let mut memory = settled(100 * S);
    assert_eq!(
        condemned(&judge(
            &mut memory,
            &glance(20, vec![slot(1, 90 * S, S)]),
            at(103 * S),
            S
        )),
        [1]
    );
}

#[test]
fn a_suspend_is_seen_by_the_clocks_though_no_time_passed() {
    let mut memory = settled(100 * S);
    let moment = Moment {
        now: 101 * S,
        offset: 3600 * S,
    };
    let verdicts = judge(
        &mut memory,
        &glance(20, vec![slot(1, 90 * S, 5 * S)]),
        moment,
        S,
    );
    assert_eq!(verdicts, [Verdict::Suspended(3600 * S)]);
    let moment = Moment {
        now: 102 * S,
        offset: 3600 * S,
    };
    assert!(
        judge(&mut memory, &glance(20, vec![]), moment, S).is_empty(),
        "said once"
    );
}

#[test]
fn the_first_scan_of_all_condemns_nobody() {
    let mut memory = Memory::default();
    let late = slot(1, 1, 5 * S);
    assert!(judge(&mut memory, &glance(20, vec![late]), at(100 * S), S).is_empty());
    assert_eq!(
        condemned(&judge(
            &mut memory,
            &glance(20, vec![late]),
            at(106 * S),
            10 * S
        )),
        [1]
    );
}

#[test]
fn memory_from_the_future_counts_as_a_gap_and_does_not_last() {
    let mut memory = Memory {
        last_scan: 900 * S,
        amnesty: u64::MAX,
        every: S,
        ..Memory::default()
    };
    let late = slot(1, 1, 5 * S);
    assert!(condemned(&judge(&mut memory, &glance(20, vec![late]), at(100 * S), S)).is_empty());
    for now in 101..106 {
        judge(&mut memory, &glance(20, vec![]), at(now * S), S);
    }
    assert_eq!(
        condemned(&judge(&mut memory, &glance(20, vec![late]), at(106 * S), S)),
        [1]
    );
}

#[test]
fn without_an_interval_the_distance_between_scans_is_learned() {
    let mut memory = Memory::default();
    for n in 0..5 {
        assert!(judge(&mut memory, &glance(20, vec![]), at((100 + 10 * n) * S), 0).is_empty());
    }
    assert_eq!(memory.every, 10 * S);
    let late = slot(1, 141 * S, S);
    assert_eq!(
        condemned(&judge(&mut memory, &glance(20, vec![late]), at(150 * S), 0)),
        [1]
    );
    let verdicts = judge(&mut memory, &glance(20, vec![late]), at(450 * S), 0);
    assert_eq!(verdicts, [Verdict::Gap(300 * S)]);
    assert_eq!(
        memory.every,
        20 * S,
        "one gap teaches no more than the double"
    );
    judge(&mut memory, &glance(20, vec![]), at(460 * S), 0);
    assert!(memory.every < 20 * S && memory.every >= 10 * S);
}

#[test]
fn neither_the_age_of_the_table_nor_a_scan_by_hand_makes_gaps_of_the_classic_distance() {
    let mut memory = Memory {
        // a table that the watchdog itself has just made
        last_scan: 100 * S - 1,
        ..Memory::default()
    };
    let late = slot(1, 101 * S, S);
    assert!(judge(&mut memory, &glance(20, vec![]), at(100 * S), 0).is_empty());
    let verdicts = judge(&mut memory, &glance(20, vec![late]), at(110 * S), 0);
    assert_eq!(condemned(&verdicts), [1]);
    let by_hand = at(110 * S + S / 100);
    assert!(judge(&mut memory, &glance(20, vec![]), by_hand, 0).is_empty());
    let late = slot(2, 112 * S, S);
    let verdicts = judge(&mut memory, &glance(20, vec![late]), at(120 * S), 0);
    assert_eq!(condemned(&verdicts), [2]);
    // after a resident watchdog there is one gap, and no more
    memory.every = S;
    let gap = judge(&mut memory, &glance(20, vec![]), at(130 * S), 0);
    assert_eq!(gap, [Verdict::Gap(10 * S)]);
    let verdicts = judge(&mut memory, &glance(20, vec![late]), at(140 * S), 0);
    assert_eq!(condemned(&verdicts), [2]);
}

#[test]
fn few_slots_never_put_the_brake_on() {
    let mut memory = settled(100 * S);
    let late = (0..7).map(|n| slot(n, 99 * S, S)).collect();
    assert_eq!(
        condemned(&judge(&mut memory, &glance(7, late), at(101 * S), S)).len(),
        7
    );
}

#[test]
fn exactly_half_does_not_put_the_brake_on() {
    let mut memory = settled(100 * S);
    let late = (0..8).map(|n| slot(n, 99 * S, S)).collect();
    assert_eq!(
        condemned(&judge(&mut memory, &glance(16, late), at(101 * S), S)).len(),
        8
    );
}

#[test]
fn more_than_half_holds_fire_then_one_a_second_then_lets_go() {
    let mut memory = settled(100 * S);
    let mut late: Vec<Overdue> = (0..8)
        .map(|n| slot(n, 90 * S + u64::from(n), 5 * S))
        .collect();
    let verdicts = judge(&mut memory, &glance(12, late.clone()), at(101 * S), S);
    assert_eq!(
        verdicts,
        [Verdict::BrakeOn {
            overdue: 8,
            live: 12,
            hold: 5 * S
        }]
    );
    for now in 102..106 {
        assert!(judge(&mut memory, &glance(12, late.clone()), at(now * S), S).is_empty());
    }
    for now in 106..=109 {
        let verdicts = judge(&mut memory, &glance(12, late.clone()), at(now * S), S);
        assert_eq!(
            condemned(&verdicts),
            [late[0].index],
            "the most overdue first"
        );
        late.remove(0);
        assert!(
            judge(
                &mut memory,
                &glance(12, late.clone()),
                at(now * S + S / 2),
                S
            )
            .is_empty(),
            "one a second"
        );
    }
    late.remove(0);
    let verdicts = judge(&mut memory, &glance(12, late.clone()), at(110 * S), S);
    assert_eq!(verdicts[0], Verdict::BrakeOff);
    assert_eq!(condemned(&verdicts).len(), 3);
    assert_eq!(memory.brake_since, 0);
}

#[test]
fn the_brake_lets_go_when_all_is_well_again() {
    let mut memory = settled(100 * S);
    let late = (0..12).map(|n| slot(n, 99 * S, 60 * S)).collect();
    judge(&mut memory, &glance(12, late), at(101 * S), S);
    assert_eq!(
        judge(&mut memory, &glance(12, vec![]), at(102 * S), S),
        [Verdict::BrakeOff]
    );
}

#[test]
fn a_brake_from_the_future_does_not_hold_for_ever() {
    let mut memory = Memory {
        brake_since: u64::MAX,
        brake_hold: u64::MAX,
        last_kill: u64::MAX,
        ..settled(100 * S)
    };
    let late: Vec<Overdue> = (0..8).map(|n| slot(n, 99 * S, S)).collect();
    let first = judge(&mut memory, &glance(8, late.clone()), at(101 * S), S);
    let second = judge(&mut memory, &glance(8, late), at(102 * S), S);
    assert_eq!((condemned(&first).len(), condemned(&second).len()), (1, 1));
}

#[test]
fn a_gap_under_the_brake_amnesties_too() {
    let mut memory = Memory {
        brake_since: 90 * S,
        brake_hold: 91 * S,
        ..settled(100 * S)
    };
    let late: Vec<Overdue> = (0..12).map(|n| slot(n, 80 * S, 10 * S)).collect();
    let verdicts = judge(&mut memory, &glance(12, late), at(200 * S), S);
    assert_eq!(verdicts, [Verdict::Gap(100 * S), Verdict::BrakeOff]);
}

proptest::proptest! {
    /// Whatever stands in the header and the slots, the judge neither panics nor condemns the punctual.
    #[test]
    fn hostile_numbers_condemn_nobody_before_the_deadline(
        numbers in proptest::array::uniform7(proptest::num::u64::ANY),
        slots in proptest::collection::vec((proptest::num::u64::ANY, proptest::num::u64::ANY), 0..20),
        now in 1_u64..u64::MAX / 4,
        every in proptest::num::u64::ANY,
    ) {
        let [last_scan, offset, learned, amnesty, brake_since, brake_hold, last_kill] = numbers;
        let mut memory = Memory { last_scan, offset, every: learned, amnesty, brake_since, brake_hold, last_kill };
        let overdue: Vec<Overdue> = (0..).zip(&slots).map(|(n, (deadline, heartbeat))| slot(n, *deadline, *heartbeat)).collect();
        let verdicts = judge(&mut memory, &glance(overdue.len(), overdue), Moment { now, offset: 0 }, every);
        for verdict in verdicts {
            if let Verdict::Hung(slot, late) = verdict {
                proptest::prop_assert!(slot.deadline < now && late <= now);
            }
        }
    }
}
