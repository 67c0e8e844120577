//! What the history keeps of a run besides its end.

use std::fs;

use crate::lab::{Lab, PATIENCE, wait_for};

#[test]
fn a_run_that_says_that_it_hangs_leaves_evidence() {
    let mut lab = Lab::new();
    let script = lab.write(
        "says.py",
        "import os, socket, time\n\
         s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
         to = chr(0) + os.environ['NOTIFY_SOCKET'][1:]\n\
         s.sendto(b'STATUS=lost in thought', to)\n\
         s.sendto(b'WATCHDOG=trigger', to)\n\
         time.sleep(1000)\n",
    );
    lab.job(
        "thinker",
        &format!(
            r#"<exec beat="self" heartbeat="10m" backoff="10m..10m"><command>python3 {}</command></exec>"#,
            script.display()
        ),
    );
    lab.supervise();
    let run = wait_for("its end is in the history", PATIENCE, || {
        lab.history("thinker").pop()
    });
    assert_eq!(run["result"], "hung", "{run}");
    let evidence = run["evidence"].as_str().expect("evidence is named");
    let text = fs::read_to_string(evidence).expect("evidence is there");
    assert!(
        text.contains("phase        lost in thought") && text.contains("python3"),
        "{text}"
    );
    lab.stop();
}

#[test]
fn rows_that_a_run_rejected_are_counted() {
    let mut lab = Lab::new();
    let database = rusqlite::Connection::open(lab.path("data.db")).expect("a database");
    database
        .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER CHECK (v > 0))")
        .expect("a table");
    drop(database);
    lab.write("in/t.csv", "id,v\n1,5\n2,-5\n3,7\n4,-7\n");
    lab.job(
        "load",
        r#"<ingest every="10m"><target url="sqlite:data.db"/><input dir="in" done="done" bad="bad" rejects="rejects"/>
        <table match="*.csv" name="t" mode="insert" max-bad="10"/></ingest>"#,
    );
    lab.supervise();
    let run = wait_for("its end is in the history", PATIENCE, || {
        lab.history("load").pop()
    });
    assert_eq!(run["result"], "done", "{run}");
    assert_eq!(run["rejected"], 2, "{run}");
    let told = lab.good("procctl", ["history", "load"]);
    assert!(told.contains("2 rows rejected"), "{told}");
    lab.stop();
}
