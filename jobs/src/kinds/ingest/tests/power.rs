//! The power fails at every operation of a run: no row is lost, none comes twice.

use super::*;

/// The power fails at each operation of a run, then the machine comes up in one of its possible states, and the job runs again.
fn survives_power_cuts(table: &str, rejects: bool) {
    for seed in 0..3 {
        let mut cut = 0;
        loop {
            cut += 1;
            // without a key the table would take every row twice
            let bench = Bench::new("CREATE TABLE t (id INTEGER, name TEXT)");
            for file in ["a.csv", "b.csv"] {
                let bad = if rejects { "x\n" } else { "" };
                bench.put(file, &format!("id\n1\n{bad}2\n3\n4\n{bad}5\n"));
            }
            bench.disk.power().cut_at(bench.disk.power().spent() + cut);
            let ended = bench.run(table).is_ok() && !bench.disk.power().is_off();
            bench.disk.reboot(seed);
            bench.run(table).unwrap();
            bench.run(table).unwrap();
            assert_eq!(
                bench.rows("SELECT id, count(*) FROM t GROUP BY id"),
                "1|2 2|2 3|2 4|2 5|2",
                "cut {cut}, seed {seed}"
            );
            // a power cut may leave a moved file under both names; the ledger knows it, and it is moved again
            let done = bench.names("in/done");
            assert!(
                done.iter().any(|name| name == "a.csv") && done.iter().any(|name| name == "b.csv"),
                "cut {cut}, seed {seed}"
            );
            assert!(bench.names("in").is_empty(), "cut {cut}, seed {seed}");
            let kept: usize = bench
                .names("in/rejects")
                .iter()
                .map(|name| {
                    bench
                        .text(&format!("in/rejects/{name}"))
                        .matches("value=\"x\"")
                        .count()
                })
                .sum();
            assert_eq!(kept, if rejects { 4 } else { 0 }, "cut {cut}, seed {seed}");
            if ended {
                break;
            }
            assert!(cut < 500, "a run never ends");
        }
        assert!(cut > 4, "a run has more operations than {cut}");
    }
}

#[test]
fn power_cuts_lose_nothing_and_double_nothing() {
    survives_power_cuts(r#"<table match="*" name="t" max-bad="4"/>"#, true);
}

#[test]
fn power_cuts_in_batches_lose_nothing_and_double_nothing() {
    survives_power_cuts(
        r#"<table match="*" name="t" max-bad="4" commit="2"/>"#,
        true,
    );
}
