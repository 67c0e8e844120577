//! Rules of all sorts refuse rows one by one, those that are checked late too, and what COPY cannot do.

use super::*;

#[test]
fn rules_of_all_sorts_refuse_rows_one_by_one() {
    let (_place, mut connection) = with(
        "CREATE TABLE t (id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v TEXT, twice INTEGER GENERATED ALWAYS AS (id * 2) STORED)
           PARTITION BY RANGE (id);
         CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (1000);
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF new.v = 'no' THEN RAISE 'not %', new.id; END IF; RETURN new; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse()",
    );
    let key = ["id".to_owned()];
    let pushed: [&[Option<&str>]; 6] = [
        &[Some("1"), Some("a")],
        &[Some("2"), Some("no")],
        &[Some("2000"), Some("b")],
        &[Some("3"), Some("a\0b")],
        &[Some("4"), Some("d")],
        &[Some("4"), Some("e")],
    ];
    for (mode, good, bad) in [
        (Mode::Append, 2, 4),
        (Mode::Skip, 0, 3),
        (Mode::Upsert { key: &key }, 3, 3),
    ] {
        let loaded = load(&mut *connection, &["id", "v"], mode, &pushed);
        assert_eq!(
            (loaded.rows, loaded.rejects.len()),
            (good, bad),
            "{mode:?} {:?}",
            loaded.rejects
        );
        let why = |reject: &Reject| {
            let source = std::error::Error::source(&reject.error);
            source.map(ToString::to_string).unwrap_or_default()
        };
        assert_eq!(why(&loaded.rejects[0]), "not 2");
        assert_eq!(
            loaded.rejects[1].error.kind(),
            ErrorKind::Constraint(Constraint::Check)
        );
        assert_eq!(loaded.rejects[2].error.column(), Some("v"));
    }
    assert_eq!(
        flat(&mut *connection, "SELECT v FROM t ORDER BY id"),
        ["a", "e"]
    );
}

#[test]
fn a_rule_that_is_checked_late_takes_the_load_back() {
    let (_place, mut connection) = with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, p INTEGER REFERENCES t DEFERRABLE INITIALLY DEFERRED)",
    );
    let (table, columns) = (t(), ["id".to_owned(), "p".to_owned()]);
    for (parent, fits) in [("7", false), ("2", true)] {
        let into = Load {
            table: &table,
            columns: &columns,
            mode: Mode::Append,
        };
        let mut loader = connection.load(&into).unwrap();
        loader.push(&[Some(b"1"), Some(parent.as_bytes())]).unwrap();
        loader.push(&[Some(b"2"), None]).unwrap();
        let ended = loader.finish();
        assert_eq!(ended.is_ok(), fits);
        if let Err(error) = ended {
            assert_eq!(error.kind(), ErrorKind::Constraint(Constraint::ForeignKey));
        }
        assert_eq!(count(&mut *connection), if fits { "2" } else { "0" });
    }
}

#[test]
fn a_rule_that_is_checked_late_can_name_its_rows() {
    let (_place, mut connection) = with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, p INTEGER REFERENCES t DEFERRABLE INITIALLY DEFERRED)",
    );
    connection.begin().unwrap();
    assert!(connection.check_at_once().unwrap());
    // 1 and 7 wait for a parent that comes, 2 and then 8 for one that does not
    let rows = [
        [Some("1"), Some("3")],
        [Some("2"), Some("99")],
        [Some("7"), Some("1")],
        [Some("8"), Some("2")],
        [Some("3"), None],
    ];
    let pushed: Vec<&[Option<&str>]> = rows.iter().map(|row| &row[..]).collect();
    let loaded = load(&mut *connection, &["id", "p"], Mode::Append, &pushed);
    let rejected: Vec<(u64, ErrorKind)> = loaded
        .rejects
        .iter()
        .map(|reject| (reject.ordinal, reject.error.kind()))
        .collect();
    let orphan = ErrorKind::Constraint(Constraint::ForeignKey);
    assert_eq!(rejected, [(1, orphan), (3, orphan)]);
    connection.commit().unwrap();
    assert_eq!(
        flat(&mut *connection, "SELECT id FROM t ORDER BY id"),
        ["1", "3", "7"]
    );
}

/// Loads `total` rows, of which each tenth that ends in 3 is of a wrong type, doubles a key of the table or of the load.
fn load_mixed(connection: &mut dyn Connection, total: u64) -> (u64, Vec<Reject>) {
    let (table, columns) = (t(), ["id".to_owned(), "day".to_owned(), "v".to_owned()]);
    let into = Load {
        table: &table,
        columns: &columns,
        mode: Mode::Append,
    };
    let mut loader = connection.load(&into).unwrap();
    let mut rejects = Vec::new();
    for n in 0..total {
        let (mut id, mut day) = (n.to_string(), "2026-11-21");
        match n % 100 {
            3 => id = "1000000000".to_owned(),
            13 => day = "2026-02-30",
            23 => id = (n - 1).to_string(),
            33 if n > 1000 => id = (n - 901).to_string(),
            43 => id = "x".to_owned(),
            _ => {}
        }
        loader
            .push(&[
                Some(id.as_bytes()),
                Some(day.as_bytes()),
                Some(b"some text of a row"),
            ])
            .unwrap();
        rejects.extend(loader.rejects());
    }
    let mut loaded = loader.finish().unwrap();
    rejects.append(&mut loaded.rejects);
    (loaded.rows, rejects)
}

#[test]
fn wrong_types_and_doubled_keys_among_many_are_told_one_by_one() {
    let (place, mut connection) = with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, day DATE, v TEXT); INSERT INTO t VALUES (1000000000)",
    );
    let (good, rejects) = load_mixed(&mut *connection, 60_000);
    let bad: Vec<u64> = (0..60_000)
        .filter(|n| matches!(n % 100, 3 | 13 | 23 | 43) || (n % 100 == 33 && *n > 1000))
        .collect();
    let mut told: Vec<u64> = rejects.iter().map(|reject| reject.ordinal).collect();
    told.sort_unstable();
    assert!(
        told == bad,
        "{} rows were refused, {} are bad",
        told.len(),
        bad.len()
    );
    assert_eq!(good, 60_000 - u64::try_from(bad.len()).unwrap());
    assert_eq!(count(&mut *connection), (good + 1).to_string());
    for reject in &rejects {
        let (kind, column) = match reject.ordinal % 100 {
            13 => (ErrorKind::Type, "day"),
            43 => (ErrorKind::Type, "id"),
            _ => (ErrorKind::Constraint(Constraint::Unique), "id"),
        };
        assert_eq!(
            (reject.error.kind(), reject.error.column()),
            (kind, Some(column))
        );
    }
    // the same for an account that may make no temporary tables
    let name = place.url.rsplit('/').next().unwrap().replace("%20", " ");
    let account = name.replace(' ', "_");
    connection
        .batch(&format!(
            "TRUNCATE t; INSERT INTO t VALUES (1000000000); CREATE ROLE \"{account}\" LOGIN PASSWORD 'secret';
             REVOKE TEMPORARY ON DATABASE \"{name}\" FROM PUBLIC; GRANT INSERT ON t TO \"{account}\""
        ))
        .unwrap();
    let url = place.url.replace("//app:", &format!("//{account}:"));
    let mut poor = db::connect(&url, &db::Options::default()).unwrap();
    let (good, rejects) = load_mixed(&mut *poor, 3000);
    let bad = (0..3000)
        .filter(|n| matches!(n % 100, 3 | 13 | 23 | 43) || (n % 100 == 33 && *n > 1000))
        .count();
    assert_eq!(
        (rejects.len(), good),
        (bad, 3000 - u64::try_from(bad).unwrap())
    );
    drop(poor);
    connection
        .batch(&format!(
            "DROP OWNED BY \"{account}\"; DROP ROLE \"{account}\""
        ))
        .unwrap();
}

#[test]
fn rows_without_their_parents_are_told_one_by_one() {
    let (_place, mut connection) = with(
        "CREATE TABLE \"Parent\" (a INTEGER, b TEXT, PRIMARY KEY (a, b)); INSERT INTO \"Parent\" VALUES (1, 'x'), (2, 'y');
         CREATE TABLE t (id INTEGER PRIMARY KEY, pa INTEGER, pb TEXT, FOREIGN KEY (pa, pb) REFERENCES \"Parent\")",
    );
    let rows: Vec<[String; 3]> = (0..5000)
        .map(|n: u32| match n % 50 {
            7 => [n.to_string(), "1".to_owned(), "y".to_owned()],
            8 => [(n - 2).to_string(), "2".to_owned(), "y".to_owned()],
            _ => [n.to_string(), "1".to_owned(), "x".to_owned()],
        })
        .collect();
    let pushed: Vec<[Option<&str>; 3]> = rows
        .iter()
        .map(|[id, a, b]| [Some(id.as_str()), Some(a.as_str()), Some(b.as_str())])
        .collect();
    let pushed: Vec<&[Option<&str>]> = pushed.iter().map(|row| &row[..]).collect();
    let loaded = load(&mut *connection, &["id", "pa", "pb"], Mode::Append, &pushed);
    assert_eq!((loaded.rows, loaded.rejects.len()), (4800, 200));
    for reject in &loaded.rejects {
        let rule = match reject.ordinal % 50 {
            7 => Constraint::ForeignKey,
            _ => Constraint::Unique,
        };
        assert_eq!(reject.error.kind(), ErrorKind::Constraint(rule));
    }
}

/// COPY refuses both, and the driver does not outlive a COPY that is refused at its beginning.
#[test]
fn what_copy_refuses_is_inserted() {
    let (place, mut connection) = with(
        "CREATE TABLE base (id INTEGER PRIMARY KEY, v TEXT, at TIMESTAMP);
         CREATE VIEW t AS SELECT id, v, at FROM base WHERE id < 100 WITH CHECK OPTION",
    );
    let row = |id: &'static str| [Some(id), Some("x"), Some("2024-01-01 10:00:00+01:00")];
    let columns = ["id", "v", "at"];
    connection.begin().unwrap();
    let pushed = [row("1"), row("2"), row("2"), row("100"), row("x")];
    let pushed: Vec<&[Option<&str>]> = pushed.iter().map(|row| &row[..]).collect();
    let loaded = load(&mut *connection, &columns, Mode::Append, &pushed);
    connection.commit().unwrap();
    let bad: Vec<u64> = loaded.rejects.iter().map(|reject| reject.ordinal).collect();
    assert_eq!((loaded.rows, bad), (2, vec![2, 3, 4]));
    assert_eq!(
        flat(
            &mut *connection,
            "SELECT id || ' ' || at FROM t ORDER BY id"
        ),
        ["1 2024-01-01 09:00:00", "2 2024-01-01 09:00:00"]
    );
    // policies hold for any account but the owner and a superuser
    let account = format!("plain_{}", std::process::id());
    connection
        .batch(&format!(
            "DROP VIEW t; ALTER TABLE base RENAME TO t; ALTER TABLE t ENABLE ROW LEVEL SECURITY; \
             CREATE POLICY all_rows ON t USING (true) WITH CHECK (id <> 9); CREATE ROLE {account}; GRANT ALL ON t TO {account}; \
             SET SESSION AUTHORIZATION {account}"
        ))
        .unwrap();
    let pushed = [row("3"), row("3"), row("9"), row("4")];
    let pushed: Vec<&[Option<&str>]> = pushed.iter().map(|row| &row[..]).collect();
    let loaded = load(&mut *connection, &columns, Mode::Append, &pushed);
    let kinds: Vec<ErrorKind> = loaded
        .rejects
        .iter()
        .map(|reject| reject.error.kind())
        .collect();
    let refused = [Constraint::Unique, Constraint::Other].map(ErrorKind::Constraint);
    assert_eq!((loaded.rows, kinds), (2, refused.to_vec()));
    assert_eq!(count(&mut *connection), "4");
    connection
        .batch(&format!(
            "RESET SESSION AUTHORIZATION; REVOKE ALL ON t FROM {account}; DROP ROLE {account}"
        ))
        .unwrap();
    drop(place);
}
