//! Stories of `ingest` on servers: it is killed, they break, rows are bad. Every row is there once, every file ends in `done`.
//!
//! Modest numbers by default; `FULL=1` plays 200 kills of the job on each server and 20 of the server.

mod crashes;
mod kills;
mod lost_answer;
mod modes;
mod rejects;

use std::fs;
use std::process::{Child, Stdio};

use crate::lab::Lab;
use crate::services;

/// Rows that one file brings to each story.
const ROWS: u64 = 300;

/// Delivers files and knows what has to be in the table in the end.
struct Delivery<'l> {
    lab: &'l Lab,
    next: u64,
}

impl Delivery<'_> {
    fn files(&mut self, count: u64) {
        for _ in 0..count {
            let mut text = String::from("id,name,value\n");
            for id in self.next * ROWS..(self.next + 1) * ROWS {
                text.push_str(&format!(
                    "{id},\"row <{id}> & \"\"more\"\"\",{}.5\n",
                    id * 3
                ));
            }
            self.lab.write(&format!("in/f{:06}.csv", self.next), text);
            self.next += 1;
        }
    }

    /// Every row once, every file moved.
    fn assert_arrived(&self, url: &str, table: &str) {
        let rows = self.next * ROWS;
        let sql = format!("SELECT count(*), count(DISTINCT id), sum(value) FROM {table}");
        let sum = 3 * rows * (rows - 1) / 2 + rows / 2;
        let found = services::ask(url, &sql);
        assert_eq!(
            found.trim(),
            format!("{rows}|{rows}|{sum}.0"),
            "rows, different rows, sum"
        );
        let done = fs::read_dir(self.lab.path("in/done"))
            .expect("the folder of loaded files")
            .count();
        assert_eq!(
            u64::try_from(done).expect("a count"),
            self.next,
            "files that were moved"
        );
        let left = fs::read_dir(self.lab.path("in"))
            .expect("the inbox")
            .flatten();
        let left: Vec<_> = left.filter(|entry| entry.path().is_file()).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

/// A table without any key would take every row twice.
const TABLE: &str = "CREATE TABLE t (id bigint, name varchar(100), value decimal(20,1))";

fn job(url: &str, attributes: &str, table: &str) -> String {
    format!(
        r#"<ingest name="i" {attributes}><target url="{url}"/><input dir="in"/><table match="*.csv" name="t" {table}/></ingest>"#
    )
}

fn start(lab: &Lab, job: &str) -> Child {
    let mut command = lab.command("jobs");
    command
        .args(["run", job])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("starting jobs")
}
