//! SIGKILL at any moment of a load: every row is there once.

use std::time::Instant;

use super::{Delivery, TABLE, job, start};
use crate::chance::{Dice, count, kill_after};
use crate::lab::Lab;
use crate::services;

fn survives_kills(server: &str, name: &str, attributes: &str, table: &str) {
    let kills = count(12, 200);
    let lab = Lab::new();
    let url = services::database(server, name);
    services::ask(&url, TABLE);
    let job = job(&url, attributes, table);
    let mut delivery = Delivery { lab: &lab, next: 0 };
    let mut dice = Dice::thrown();
    delivery.files(8);
    let begun = Instant::now();
    lab.good("jobs", ["run", &job]);
    let length = begun.elapsed();
    for _ in 0..kills {
        delivery.files(6);
        kill_after(start(&lab, &job), dice.part_of(length));
    }
    lab.good("jobs", ["run", &job]);
    delivery.assert_arrived(&url, "t");
}

#[test]
fn postgres_gets_every_row_once_whatever_is_killed() {
    survives_kills(services::postgres(), "ingest_kills", "", r#"commit="file""#);
}

#[test]
fn mariadb_gets_every_row_once_whatever_is_killed() {
    survives_kills(services::mariadb(), "ingest_kills", "", r#"commit="file""#);
}

#[test]
fn batches_and_workers_are_killed_without_harm() {
    survives_kills(
        services::postgres(),
        "ingest_kills_batch",
        r#"workers="3""#,
        r#"commit="110""#,
    );
    survives_kills(
        services::mariadb(),
        "ingest_kills_batch",
        r#"workers="3""#,
        r#"commit="110""#,
    );
}
