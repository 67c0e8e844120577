//! Clients that write to a server as badly as clients do: transactions that last, end in another order than they began, are rolled back, draw
//! their number long before they write, or are committed in two steps. Each is the server's own client at the end of a shell's pipe, so that sessions really rest within transactions.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::chance::Dice;
use crate::lab::{PATIENCE, wait_for};
use crate::services;

/// The table that writers fill. `client_at` would be set by the client, `at` is drawn by the server.
pub(crate) fn make_table(url: &str) {
    let sql = if is_postgres(url) {
        "CREATE TABLE late (id BIGSERIAL PRIMARY KEY, writer INTEGER, at TIMESTAMPTZ DEFAULT clock_timestamp())"
    } else {
        "CREATE TABLE late (id BIGINT AUTO_INCREMENT PRIMARY KEY, writer INTEGER, at DATETIME(6) DEFAULT NOW(6))"
    };
    services::ask(url, sql);
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres:")
}

/// Starts a writer that is busy for about `length_ms`, with delays of up to `delay_ms`. It ends by itself.
pub(crate) fn start(
    url: &str,
    number: u64,
    seed: u64,
    length_ms: u64,
    delay_ms: u64,
) -> [Child; 2] {
    let mut dice = Dice::new(seed.wrapping_add(number));
    let (mut script, mut spent) = (String::new(), 0);
    let prepares = can_prepare(url);
    while spent < length_ms {
        let delay = dice.throw(delay_ms);
        let nap = format!("sleep {}.{:03}\n", delay / 1000, delay % 1000);
        let insert = format!("INSERT INTO late (writer) VALUES ({number});");
        let steps: Vec<String> = match dice.throw(11) {
            // long ones, some of which come to nothing
            0..4 => vec![say(&format!("BEGIN; {insert}")), nap, say("COMMIT;")],
            4..6 => vec![
                say(&format!("BEGIN; {insert} {insert}")),
                nap,
                say("ROLLBACK;"),
            ],
            6 | 7 => vec![say(&draw(url)), nap, say(&write_drawn(url, number))],
            // prepared for a while, when it belongs to no session
            8 if prepares => {
                let name = format!("{number}_{spent}");
                vec![
                    say(&prepare(url, &insert, &name)),
                    nap,
                    say(&commit_prepared(url, &name)),
                ]
            }
            // a long statement, then short ones
            9 => vec![say(&slow(url, number, delay))],
            _ => {
                spent += 20;
                vec![say(&insert), say(&insert)]
            }
        };
        spent += delay;
        script.push_str(&steps.concat());
    }
    let mut shell = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starting a shell");
    let pipe = shell.stdout.take().expect("its output is piped");
    let client = services::client(url)
        .stdin(pipe)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starting a client");
    [client, shell]
}

fn say(sql: &str) -> String {
    format!("echo '{}'\n", sql.replace('\'', "'\\''"))
}

/// A writer that has drawn a number, and writes and commits its row when it is told to.
pub(crate) struct Late {
    client: Child,
    input: ChildStdin,
    write: String,
}

impl Late {
    /// Draws the number: others that draw now get higher ones. The writer holds a lock of the application from then on.
    pub(crate) fn draw(url: &str, number: u64) -> Late {
        let (lock, held) = if is_postgres(url) {
            let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7";
            ("SELECT pg_advisory_lock(7);", held)
        } else {
            let held = "SELECT IS_USED_LOCK('late') IS NOT NULL";
            ("SELECT GET_LOCK('late', 0);", held)
        };
        let mut client = services::client(url)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("starting a client");
        let mut input = client.stdin.take().expect("its input is piped");
        writeln!(input, "{}\n{lock}", draw(url)).expect("the client listens");
        wait_for("a number is drawn", PATIENCE, || {
            (services::ask(url, held).trim() == "1").then_some(())
        });
        let write = write_drawn(url, number);
        Late {
            client,
            input,
            write,
        }
    }

    /// Writes the row under the number that was drawn.
    pub(crate) fn commit(mut self) {
        writeln!(self.input, "{}", self.write).expect("the client listens");
        drop(self.input);
        let ended = self.client.wait().expect("reaping a client");
        assert!(ended.success(), "a late writer ended with {ended}");
    }
}

/// Begins a transaction and draws a number without writing the row. MariaDB forgets a transaction whose first work on a table
/// is undone, so it reads before.
fn draw(url: &str) -> String {
    if is_postgres(url) {
        "BEGIN; SELECT nextval('late_id_seq') AS drawn \\gset".to_owned()
    } else {
        "BEGIN; SELECT id FROM late LIMIT 1; SAVEPOINT s; INSERT INTO late (writer) VALUES (0); SET @drawn = LAST_INSERT_ID(); ROLLBACK TO s;".to_owned()
    }
}

fn write_drawn(url: &str, number: u64) -> String {
    let drawn = if is_postgres(url) { ":drawn" } else { "@drawn" };
    format!("INSERT INTO late (id, writer) VALUES ({drawn}, {number}); COMMIT;")
}

/// Whether the server takes transactions in two steps.
fn can_prepare(url: &str) -> bool {
    !is_postgres(url) || services::ask(url, "SHOW max_prepared_transactions").trim() != "0"
}

/// A transaction that is complete and waits to be committed.
fn prepare(url: &str, insert: &str, name: &str) -> String {
    if is_postgres(url) {
        format!("BEGIN; {insert} PREPARE TRANSACTION '{name}';")
    } else {
        format!("XA START '{name}'; {insert} XA END '{name}'; XA PREPARE '{name}';")
    }
}

fn commit_prepared(url: &str, name: &str) -> String {
    if is_postgres(url) {
        format!("COMMIT PREPARED '{name}';")
    } else {
        format!("XA COMMIT '{name}';")
    }
}

/// One statement that inserts, and then lasts before it is committed.
fn slow(url: &str, number: u64, delay_ms: u64) -> String {
    let seconds = format!("{}.{:03}", delay_ms / 1000, delay_ms % 1000);
    if is_postgres(url) {
        format!(
            "WITH new AS (INSERT INTO late (writer) VALUES ({number}) RETURNING id) SELECT id, pg_sleep({seconds}) FROM new;"
        )
    } else {
        format!("INSERT INTO late (writer) VALUES ({number}), ({number} + SLEEP({seconds}));")
    }
}
