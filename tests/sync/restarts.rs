//! Both servers are killed and come back, again and again, while writers are busy and a resident `increment` copies from one to the other. `FULL=1`: 20 crashes.

use std::process::Child;
use std::time::Duration;

use super::late::{each_once, job, make_target};
use crate::chance::{Dice, count, pass};
use crate::lab::{Lab, PATIENCE, wait_for};
use crate::late_commits::committed;
use crate::services::{self, Private};
use crate::writers;

const SEED: u64 = 11;

fn crashes(source: &Private, target: &Private) {
    let mut dice = Dice::new(SEED);
    writers::make_table(&source.url);
    make_target(&target.url);
    let mut lab = Lab::new();
    lab.job("late", &job(&source.url, &target.url));
    lab.supervise();
    for number in 0..count(2, 20) {
        let busy: Vec<[Child; 2]> = (1..=4)
            .map(|writer| writers::start(&source.url, writer, SEED + number, 2_000, 900))
            .collect();
        pass(Duration::from_millis(300 + dice.throw(1_200)));
        let victim = if number % 2 == 0 { target } else { source };
        victim.kill();
        wait_for("the job notices", PATIENCE, || {
            let row = lab.status("late");
            (row["failures"].as_u64() >= Some(1)).then_some(())
        });
        victim.revive();
        for mut child in busy.into_iter().flatten() {
            // those of a server that was killed end as they like
            let _ended = child.wait().expect("reaping a writer");
        }
    }
    services::ask(&source.url, "INSERT INTO late (writer) VALUES (99)");
    each_once(&target.url, &committed(&source.url));
    lab.stop();
}

#[test]
fn increments_go_on_after_crashes_of_both_servers() {
    crashes(&Private::start("mariadb"), &Private::start("postgres"));
}
