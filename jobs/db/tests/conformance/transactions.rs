//! Transactions, snapshots, counts.

use crate::place::{Place, count, load, value};
use db::{ErrorKind, Kind, Mode};

fn one(place: &Place) -> Box<dyn db::Connection> {
    let mut connection = place.connect();
    place.table(
        &mut *connection,
        &[("!id", Kind::Integer), ("v", Kind::Text)],
    );
    load(
        &mut *connection,
        &["id", "v"],
        Mode::Append,
        &[&[Some("1"), Some("a")]],
    );
    connection
}

pub(crate) fn rollback_undoes(place: &Place) {
    let mut connection = one(place);
    connection.rollback().unwrap();
    connection.begin().unwrap();
    assert!(connection.in_transaction());
    connection.execute("DELETE FROM t", &[]).unwrap();
    connection.rollback().unwrap();
    assert!(!connection.in_transaction());
    assert_eq!(count(&mut *connection), "1");
    // a connection that goes away in a transaction leaves nothing of it
    connection.begin().unwrap();
    connection.execute("DELETE FROM t", &[]).unwrap();
    drop(connection);
    assert_eq!(count(&mut *place.connect()), "1");
}

pub(crate) fn commit_keeps(place: &Place) {
    let mut connection = one(place);
    connection.begin().unwrap();
    connection.execute("DELETE FROM t", &[]).unwrap();
    connection.commit().unwrap();
    assert_eq!(count(&mut *place.connect()), "0");
    assert!(connection.commit().is_err());
}

pub(crate) fn a_snapshot_stays_the_same(place: &Place) {
    let mut writer = one(place);
    let mut reader = place.connect();
    reader.begin_snapshot().unwrap();
    writer
        .execute("INSERT INTO t (id) VALUES (2)", &[])
        .unwrap();
    assert_eq!(count(&mut *reader), "1");
    writer
        .execute("INSERT INTO t (id) VALUES (3)", &[])
        .unwrap();
    assert_eq!(
        value(&mut *reader, "SELECT max(id) FROM t").as_deref(),
        Some("1")
    );
    reader.commit().unwrap();
    assert_eq!(count(&mut *reader), "3");
}

pub(crate) fn readers_see_no_unfinished_work(place: &Place) {
    let mut writer = one(place);
    let mut reader = place.connect();
    writer.begin().unwrap();
    writer
        .execute("INSERT INTO t (id) VALUES (2)", &[])
        .unwrap();
    assert_eq!(
        (count(&mut *writer), count(&mut *reader)),
        ("2".to_owned(), "1".to_owned())
    );
    let mut slow = reader.query("SELECT id FROM t ORDER BY id", &[]).unwrap();
    slow.fetch().unwrap();
    // nor does a reader keep the writer from committing
    writer.commit().unwrap();
    while slow.fetch().unwrap().is_some() {}
    drop(slow);
    assert_eq!(count(&mut *reader), "2");
}

pub(crate) fn counts_of_changes(place: &Place) {
    let mut connection = one(place);
    assert_eq!(
        connection
            .execute("INSERT INTO t (id) VALUES (2), (3)", &[])
            .unwrap(),
        2
    );
    assert_eq!(
        connection
            .execute("UPDATE t SET v = 'x' WHERE id > 1", &[])
            .unwrap(),
        2
    );
    assert_eq!(
        connection
            .execute("CREATE TABLE u (n INTEGER)", &[])
            .unwrap(),
        0
    );
    assert_eq!(
        connection
            .execute("DELETE FROM t WHERE id > 100", &[])
            .unwrap(),
        0
    );
    assert_eq!(connection.execute("DELETE FROM t", &[]).unwrap(), 3);
}

pub(crate) fn batches(place: &Place) {
    let mut connection = one(place);
    connection
        .batch("INSERT INTO t (id, v) VALUES (2, 'a;b'); -- ;\nUPDATE t SET v = 'z' WHERE id = 1;")
        .unwrap();
    assert_eq!(
        value(&mut *connection, "SELECT v FROM t WHERE id = 1").as_deref(),
        Some("z")
    );
    assert!(
        connection
            .batch("INSERT INTO t (id) VALUES (9); nonsense")
            .is_err()
    );
}

pub(crate) fn a_refused_statement_leaves_the_transaction_as_it_was(place: &Place) {
    let mut connection = one(place);
    connection.begin().unwrap();
    connection
        .execute("INSERT INTO t (id) VALUES (2)", &[])
        .unwrap();
    assert!(
        connection
            .execute("INSERT INTO t (id) VALUES (3), (1)", &[])
            .is_err()
    );
    connection
        .execute("INSERT INTO t (id) VALUES (4)", &[])
        .unwrap();
    connection.commit().unwrap();
    assert_eq!(count(&mut *place.connect()), "3");
}

pub(crate) fn a_query_left_early_costs_nothing_else(place: &Place) {
    let mut connection = one(place);
    let ids: Vec<String> = (2..5000).map(|id: u32| id.to_string()).collect();
    let pushed: Vec<[Option<&str>; 1]> = ids.iter().map(|id| [Some(id.as_str())]).collect();
    let pushed: Vec<&[Option<&str>]> = pushed.iter().map(|row| &row[..]).collect();
    load(&mut *connection, &["id"], Mode::Append, &pushed);
    connection.begin().unwrap();
    connection
        .execute("UPDATE t SET v = 'kept' WHERE id = 1", &[])
        .unwrap();
    for _ in 0..5 {
        let mut rows = connection
            .query("SELECT a.id, b.id FROM t a, t b", &[])
            .unwrap();
        assert!(rows.fetch().unwrap().is_some());
    }
    assert!(connection.in_transaction());
    connection.commit().unwrap();
    assert_eq!(
        value(&mut *connection, "SELECT v FROM t WHERE id = 1").as_deref(),
        Some("kept")
    );
}

/// Outside a transaction and within one, which goes on after what was refused.
pub(crate) fn what_is_described_is_not_run(place: &Place) {
    let mut connection = one(place);
    for within in [false, true] {
        if within {
            connection.begin().unwrap();
        }
        let first = connection.dialect().placeholder(1);
        let writes = format!("DELETE FROM t WHERE v = {first}");
        assert_eq!(connection.describe(&writes, 1).unwrap(), []);
        assert!(connection.describe(&writes, 2).is_err());
        let makes = "CREATE TEMPORARY TABLE made AS SELECT id FROM t";
        assert_eq!(connection.describe(makes, 0).unwrap(), []);
        let columns = connection.describe("SELECT id, v AS w FROM t", 0).unwrap();
        let names: Vec<&str> = columns.iter().map(|column| &*column.name).collect();
        assert_eq!(names, ["id", "w"]);
        let missing = if connection.dialect().name() == "sqlite" {
            ErrorKind::Syntax
        } else {
            ErrorKind::Missing
        };
        for (wrong, kind) in [
            ("DELET FROM t", ErrorKind::Syntax),
            ("DELETE FROM made", missing),
            ("UPDATE t SET w = 1", missing),
        ] {
            assert_eq!(
                connection.describe(wrong, 0).unwrap_err().kind(),
                kind,
                "{wrong}"
            );
        }
        assert_eq!(connection.in_transaction(), within);
        assert_eq!(count(&mut *connection), "1");
    }
    connection.execute("DELETE FROM t", &[]).unwrap();
    connection.commit().unwrap();
    assert_eq!(count(&mut *connection), "0");
}
