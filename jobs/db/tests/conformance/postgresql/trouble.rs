//! Transactions that others begin or end, locks, a server process that stops, a lost session.

use super::*;

#[test]
fn a_transaction_is_known_whoever_begins_or_ends_it() {
    let (_place, mut connection) = with("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    connection.batch("BEGIN; INSERT INTO t VALUES (1)").unwrap();
    assert!(connection.in_transaction());
    connection.execute("COMMIT", &[]).unwrap();
    assert!(!connection.in_transaction());
    connection.begin().unwrap();
    assert!(connection.query("SELECT 1 / 0", &[]).is_err());
    assert!(connection.in_transaction());
    assert!(connection.commit().is_err(), "what failed is not committed");
    assert!(!connection.in_transaction());
    connection.begin_snapshot().unwrap();
    assert!(connection.query("SELECT 1 / 0", &[]).is_err());
    assert_eq!(
        count(&mut *connection),
        "1",
        "a snapshot outlives a refused query"
    );
    let (table, columns) = (t(), ["id".to_owned()]);
    let into = Load {
        table: &table,
        columns: &columns,
        mode: Mode::Append,
    };
    let error = connection.load(&into).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Permission);
    connection.commit().unwrap();
}

#[test]
fn a_table_that_others_lock_is_busy_and_the_connection_lives_on() {
    let (place, mut holder) = with("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    holder.begin().unwrap();
    holder.batch("LOCK TABLE t IN SHARE MODE").unwrap();
    let mut other = place.connect_with(|options| options.busy_timeout = Duration::from_millis(100));
    let (table, columns) = (t(), ["id".to_owned()]);
    let into = Load {
        table: &table,
        columns: &columns,
        mode: Mode::Append,
    };
    let error = other.load(&into).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Busy);
    holder.rollback().unwrap();
    assert_eq!(
        load(&mut *other, &["id"], Mode::Append, &[&[Some("1")]]).rows,
        1
    );
}

#[test]
fn a_server_process_that_stops_is_a_timeout() {
    let (place, _keep) = with("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    let mut connection =
        place.connect_with(|options| options.statement_timeout = Duration::from_millis(300));
    let process = value(&mut *connection, "SELECT pg_backend_pid()").unwrap();
    let signal = |name: &str| {
        let sent = Command::new("kill")
            .args([name, &process])
            .status()
            .unwrap();
        assert!(sent.success());
    };
    signal("-STOP");
    let begun = Instant::now();
    let error = connection.execute("SELECT 1", &[]).unwrap_err();
    signal("-CONT");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(
        connection.execute("SELECT 1", &[]).unwrap_err().kind(),
        ErrorKind::Connect
    );
}

/// Whatever ends a session ends its transaction: nothing of it stands in the way of what comes later.
#[test]
fn a_lost_session_has_no_transaction() {
    let (place, mut connection) = with("SELECT 1");
    connection.begin().unwrap();
    let id = value(&mut *connection, place.session).unwrap();
    let kill = place.kill.replace("{}", &id);
    place.connect().batch(&kill).unwrap();
    let error = loop {
        // the server takes its time
        if let Err(error) = connection.execute("SELECT 1", &[]) {
            break error;
        }
    };
    assert!(error.is_transient(), "{error}");
    assert!(connection.rollback().is_err() && !connection.in_transaction());
    let error = connection.begin().unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(!connection.in_transaction());
}
