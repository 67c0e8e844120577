//! The bulk path: modes, refused rows, and that an unfinished load leaves nothing.

use crate::place::{Place, count, load, rows, t, value};
use db::{Constraint, ErrorKind, Kind, Load, Mode, Rows, Sheaf};

fn pair(place: &Place) -> Box<dyn db::Connection> {
    let mut connection = place.connect();
    place.table(
        &mut *connection,
        &[("!id", Kind::Integer), ("v", Kind::Text)],
    );
    connection
}

pub(crate) fn append_skip_upsert(place: &Place) {
    let mut connection = pair(place);
    let columns = ["id", "v"];
    let first: [&[Option<&str>]; 2] = [&[Some("1"), Some("a")], &[Some("2"), Some("b")]];
    assert_eq!(
        load(&mut *connection, &columns, Mode::Append, &first).rows,
        2
    );
    let again: [&[Option<&str>]; 2] = [&[Some("2"), Some("B")], &[Some("3"), Some("c")]];
    let loaded = load(&mut *connection, &columns, Mode::Append, &again);
    assert_eq!((loaded.rows, loaded.rejects.len()), (1, 1));
    assert_eq!(
        loaded.rejects[0].error.kind(),
        ErrorKind::Constraint(Constraint::Unique)
    );
    let loaded = load(&mut *connection, &columns, Mode::Skip, &again);
    assert_eq!(
        (loaded.rows, loaded.skipped, loaded.rejects.len()),
        (0, 2, 0)
    );
    let key = ["id".to_owned()];
    let loaded = load(
        &mut *connection,
        &columns,
        Mode::Upsert { key: &key },
        &again,
    );
    assert_eq!((loaded.rows, loaded.rejects.len()), (2, 0));
    let found = rows(&mut *connection, "SELECT id, v FROM t ORDER BY id");
    let flat: Vec<String> = found.into_iter().flatten().flatten().collect();
    assert_eq!(flat, ["1", "a", "2", "B", "3", "c"]);
    // only the columns that the rows bring are replaced
    load(
        &mut *connection,
        &["id"],
        Mode::Upsert { key: &key },
        &[&[Some("3")]],
    );
    assert_eq!(
        value(&mut *connection, "SELECT v FROM t WHERE id = 3").as_deref(),
        Some("c")
    );
}

pub(crate) fn bad_rows_go_others_stay(place: &Place) {
    let mut connection = place.connect();
    place.table(
        &mut *connection,
        &[
            ("!id", Kind::Integer),
            ("n", Kind::Real),
            ("b", Kind::Blob),
            ("f", Kind::Bool),
        ],
    );
    let bad: [&[Option<&str>]; 8] = [
        &[Some("1"), Some("1.5"), Some("ff"), Some("1")],
        &[Some("x"), Some("1.5"), Some("ff"), Some("1")],
        &[Some("2"), Some("abc"), Some("ff"), Some("1")],
        &[Some("3"), Some(""), Some("ff"), Some("1")],
        &[Some("4"), Some("1.5"), Some("fg"), Some("1")],
        &[Some("5"), Some("1.5"), Some("ff"), Some("maybe")],
        &[Some("9223372036854775808"), None, None, None],
        &[Some("6"), None, None, None],
    ];
    let loaded = load(&mut *connection, &["id", "n", "b", "f"], Mode::Append, &bad);
    assert_eq!((loaded.rows, loaded.rejects.len()), (2, 6));
    let told: Vec<(u64, &str)> = loaded
        .rejects
        .iter()
        .map(|r| (r.ordinal, r.error.column().unwrap()))
        .collect();
    assert_eq!(
        told,
        [(1, "id"), (2, "n"), (3, "n"), (4, "b"), (5, "f"), (6, "id")]
    );
    assert!(
        loaded
            .rejects
            .iter()
            .all(|reject| reject.error.kind() == ErrorKind::Type && reject.error.is_row_error())
    );
    assert_eq!(loaded.rejects[1].cells[1].as_deref(), Some(&b"abc"[..]));
    assert_eq!(count(&mut *connection), "2");
}

pub(crate) fn a_broken_rule_names_its_column(place: &Place) {
    let mut connection = place.connect();
    connection
        .batch(
            "CREATE TABLE parent (id INTEGER PRIMARY KEY);
             CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, must VARCHAR(20) NOT NULL, only_one VARCHAR(20) UNIQUE,
               n INTEGER CHECK (n > 0), p INTEGER REFERENCES parent (id))",
        )
        .unwrap();
    let pushed: [&[Option<&str>]; 6] = [
        &[Some("1"), Some("a"), Some("x"), Some("1"), None],
        &[Some("1"), Some("a"), Some("y"), Some("1"), None],
        &[Some("2"), None, Some("y"), Some("1"), None],
        &[Some("3"), Some("a"), Some("x"), Some("1"), None],
        &[Some("4"), Some("a"), Some("y"), Some("0"), None],
        &[Some("5"), Some("a"), Some("z"), Some("1"), Some("77")],
    ];
    let loaded = load(
        &mut *connection,
        &["id", "must", "only_one", "n", "p"],
        Mode::Append,
        &pushed,
    );
    let told: Vec<(u64, Constraint, Option<&str>)> = loaded
        .rejects
        .iter()
        .map(|reject| match reject.error.kind() {
            ErrorKind::Constraint(rule) => (reject.ordinal, rule, reject.error.column()),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        (1, Constraint::Unique, Some("id")),
        (2, Constraint::NotNull, Some("must")),
        (3, Constraint::Unique, Some("only_one")),
        (4, Constraint::Check, None),
        (5, Constraint::ForeignKey, None),
    ];
    assert_eq!(told, expected);
    assert_eq!(count(&mut *connection), "1");
}

fn push_some(connection: &mut dyn db::Connection, ids: std::ops::Range<u32>, finish: bool) {
    let (table, columns) = (t(), ["id".to_owned()]);
    let mut loader = connection
        .load(&Load {
            table: &table,
            columns: &columns,
            mode: Mode::Append,
        })
        .unwrap();
    for id in ids {
        loader.push(&[Some(id.to_string().as_bytes())]).unwrap();
    }
    if finish {
        loader.finish().unwrap();
    }
}

pub(crate) fn dropped_is_undone(place: &Place) {
    let mut connection = pair(place);
    push_some(&mut *connection, 0..100, false);
    assert!(!connection.in_transaction());
    assert_eq!(count(&mut *connection), "0");
    push_some(&mut *connection, 0..3, true);
    assert_eq!(count(&mut *place.connect()), "3");
}

pub(crate) fn dropped_within_a_transaction_takes_only_its_own(place: &Place) {
    let mut connection = pair(place);
    connection.begin().unwrap();
    connection
        .execute("INSERT INTO t (id) VALUES (1000)", &[])
        .unwrap();
    push_some(&mut *connection, 0..10, true);
    push_some(&mut *connection, 10..20, false);
    assert!(connection.in_transaction());
    assert_eq!(count(&mut *connection), "11");
    assert_eq!(count(&mut *place.connect()), "0");
    connection.commit().unwrap();
    assert_eq!(count(&mut *place.connect()), "11");
    connection.begin().unwrap();
    push_some(&mut *connection, 30..40, true);
    connection.rollback().unwrap();
    assert_eq!(count(&mut *place.connect()), "11");
}

pub(crate) fn outside_a_transaction_finish_commits(place: &Place) {
    let mut connection = pair(place);
    push_some(&mut *connection, 0..5, true);
    assert!(!connection.in_transaction());
    drop(connection);
    assert_eq!(count(&mut *place.connect()), "5");
}

pub(crate) fn generated_and_left_out_columns(place: &Place) {
    let mut connection = place.connect();
    connection
        .execute(
            "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER DEFAULT 7, twice INTEGER GENERATED ALWAYS AS (n * 2) STORED)",
            &[],
        )
        .unwrap();
    assert_eq!(
        load(&mut *connection, &["id"], Mode::Append, &[&[Some("1")]]).rows,
        1
    );
    assert_eq!(
        rows(&mut *connection, "SELECT n, twice FROM t")[0],
        [Some("7".to_owned()), Some("14".to_owned())]
    );
    let info = connection.dictionary(&t()).unwrap().unwrap();
    let generated: Vec<bool> = info.columns.iter().map(|column| column.generated).collect();
    assert_eq!(generated, [false, false, true]);
}

pub(crate) fn a_wrong_row_or_column_is_an_error(place: &Place) {
    let mut connection = pair(place);
    let (table, columns) = (t(), ["id".to_owned(), "nope".to_owned()]);
    let error = connection
        .load(&Load {
            table: &table,
            columns: &columns,
            mode: Mode::Append,
        })
        .err()
        .unwrap();
    assert_eq!(
        (error.kind(), error.column()),
        (ErrorKind::Missing, Some("nope"))
    );
    let mut loader = connection
        .load(&Load {
            table: &table,
            columns: &columns[..1],
            mode: Mode::Append,
        })
        .unwrap();
    assert_eq!(loader.push(&[]).unwrap_err().kind(), ErrorKind::Invalid);
    drop(loader);
    let missing = db::TableName::new("nope");
    let error = connection
        .load(&Load {
            table: &missing,
            columns: &columns,
            mode: Mode::Append,
        })
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Missing);
}

pub(crate) fn many_rows(place: &Place) {
    const IN_ORDER: &str = "SELECT id FROM t ORDER BY id";
    let mut connection = pair(place);
    push_some(&mut *connection, 0..50_000, true);
    let mut query = connection.query(IN_ORDER, &[]).unwrap();
    let mut sum = 0_u64;
    while let Some(row) = query.fetch().unwrap() {
        sum += std::str::from_utf8(row.cell(0).unwrap())
            .unwrap()
            .parse::<u64>()
            .unwrap();
    }
    assert_eq!(sum, 50_000 * 49_999 / 2);
    drop(query);
    gathered_rows_keep_their_order(&mut *connection.query(IN_ORDER, &[]).unwrap(), 50_000);
}

/// Gathers rows with the numbers from 0 on in portions of all sizes, also behind others and after one that was lent.
fn gathered_rows_keep_their_order(query: &mut dyn Rows, count: u64) {
    let (mut sheaf, mut next) = (Sheaf::default(), 0);
    for portion in [1, 7, usize::MAX, usize::MAX, 3_000, 0].into_iter().cycle() {
        if portion == 0 {
            query
                .fetch()
                .unwrap()
                .inspect(|row| row.copy(1, &mut sheaf));
        }
        let before = sheaf.len();
        let gathered = query.gather(portion, &mut sheaf).unwrap();
        assert!(gathered <= portion && sheaf.len() == before + gathered);
        for cell in sheaf.cells().take_while(|_| portion != 7) {
            assert_eq!(cell, Some(next.to_string().as_bytes()));
            next += 1;
        }
        if portion != 7 {
            sheaf.clear(0);
        }
        if portion > 0 && gathered == 0 {
            break;
        }
    }
    assert_eq!((next, query.gather(1, &mut sheaf).unwrap()), (count, 0));
}

pub(crate) fn a_key_twice_in_one_load_keeps_the_last(place: &Place) {
    let mut connection = pair(place);
    let key = ["id".to_owned()];
    let pushed: [&[Option<&str>]; 4] = [
        &[Some("1"), Some("a")],
        &[Some("2"), Some("b")],
        &[Some("1"), Some("c")],
        &[Some("1"), Some("d")],
    ];
    let loaded = load(
        &mut *connection,
        &["id", "v"],
        Mode::Upsert { key: &key },
        &pushed,
    );
    assert_eq!((loaded.rows, loaded.rejects.len()), (4, 0));
    let found = rows(&mut *connection, "SELECT id, v FROM t ORDER BY id");
    assert_eq!(
        found.into_iter().flatten().flatten().collect::<String>(),
        "1d2b"
    );
    let loaded = load(
        &mut *connection,
        &["id", "v"],
        Mode::Skip,
        &[&[Some("3"), Some("x")], &[Some("3"), Some("y")]],
    );
    assert_eq!((loaded.rows, loaded.skipped), (1, 1));
    assert_eq!(
        value(&mut *connection, "SELECT v FROM t WHERE id = 3").as_deref(),
        Some("x")
    );
}

pub(crate) fn bad_rows_among_many_are_found_one_by_one(place: &Place) {
    let mut connection = place.connect();
    connection
        .batch("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(60) NOT NULL)")
        .unwrap();
    connection
        .execute("INSERT INTO t (id, v) VALUES (500, ''), (70001, '')", &[])
        .unwrap();
    let (table, columns) = (t(), ["id".to_owned(), "v".to_owned()]);
    let text = "some text \\ with\ttabs";
    for (mode, doubled) in [(Mode::Append, 4), (Mode::Skip, 0)] {
        connection.begin().unwrap();
        let mut loader = connection
            .load(&Load {
                table: &table,
                columns: &columns,
                mode,
            })
            .unwrap();
        let mut rejects = Vec::new();
        for number in 0..80_000_u32 {
            let id = match number {
                // not a number, missing, doubled within the load
                n if n % 1000 == 7 => format!("x{n}"),
                30_000 | 30_001 => "29999".to_owned(),
                n => n.to_string(),
            };
            let v = Some(text.as_bytes()).filter(|_| number % 10_000 != 77);
            loader.push(&[Some(id.as_bytes()), v]).unwrap();
            rejects.extend(loader.rejects());
        }
        let mut loaded = loader.finish().unwrap();
        rejects.append(&mut loaded.rejects);
        let kinds = |kind: ErrorKind, column: &str| {
            let same = |reject: &&db::Reject| {
                reject.error.kind() == kind && reject.error.column() == Some(column)
            };
            rejects.iter().filter(same).count()
        };
        assert_eq!(kinds(ErrorKind::Type, "id"), 80, "{mode:?}");
        assert_eq!(
            kinds(ErrorKind::Constraint(Constraint::NotNull), "v"),
            8,
            "{mode:?}"
        );
        assert_eq!(
            kinds(ErrorKind::Constraint(Constraint::Unique), "id"),
            doubled,
            "{mode:?}"
        );
        assert_eq!(
            (loaded.rows, loaded.skipped),
            (80_000 - 92, if doubled == 0 { 4 } else { 0 }),
            "{mode:?}"
        );
        let bad = rejects
            .iter()
            .find(|reject| reject.ordinal == 1007)
            .unwrap();
        assert_eq!(
            bad.cells,
            [Some(b"x1007".to_vec()), Some(text.as_bytes().to_vec())]
        );
        let mut ordinals: Vec<u64> = rejects.iter().map(|reject| reject.ordinal).collect();
        ordinals.sort_unstable();
        ordinals.dedup();
        assert_eq!(ordinals.len(), rejects.len(), "each row is refused once");
        assert_eq!(count(&mut *connection), (80_002 - 92).to_string());
        connection.rollback().unwrap();
        assert_eq!(count(&mut *connection), "2");
    }
}
