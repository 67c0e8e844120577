//! Several keys under an upsert: it goes by one, and the row of another is never touched.

use super::*;

fn upsert(connection: &mut dyn Connection, rows: &[[String; 3]]) -> db::Loaded {
    let key = ["id".to_owned()];
    let cells: Vec<[Option<&str>; 3]> = rows
        .iter()
        .map(|[a, b, c]| [Some(a.as_str()), Some(b.as_str()), Some(c.as_str())])
        .collect();
    let cells: Vec<&[Option<&str>]> = cells.iter().map(|row| &row[..]).collect();
    load(
        connection,
        &["id", "code", "v"],
        Mode::Upsert { key: &key },
        &cells,
    )
}

const TWO_KEYS: &str = "CREATE TABLE t (id INT PRIMARY KEY, code INT NOT NULL UNIQUE, v VARCHAR(20) NOT NULL, left_out INT DEFAULT 7)";

#[test]
fn an_upsert_by_one_key_never_touches_the_row_of_another() {
    let (_place, mut connection) = with(TWO_KEYS);
    connection
        .batch("INSERT INTO t VALUES (1, 10, 'a', 1), (2, 20, 'b', 2)")
        .unwrap();
    let row = |id: &str, code: &str, v: &str| [id.to_owned(), code.to_owned(), v.to_owned()];
    let loaded = upsert(
        &mut *connection,
        &[
            row("1", "10", "A"),
            row("3", "20", "clashes with 2"),
            row("2", "10", "clashes with 1"),
            row("4", "40", "new"),
            row("4", "41", "newer"),
        ],
    );
    assert_eq!((loaded.rows, loaded.rejects.len()), (3, 2));
    for (reject, ordinal) in loaded.rejects.iter().zip([1, 2]) {
        assert_eq!(reject.ordinal, ordinal);
        assert_eq!(
            reject.error.kind(),
            ErrorKind::Constraint(Constraint::Unique)
        );
        assert_eq!(reject.error.column(), Some("code"));
    }
    let found = flat(
        &mut *connection,
        "SELECT id, code, v, left_out FROM t ORDER BY id",
    );
    assert_eq!(
        found,
        [
            "1", "10", "A", "1", "2", "20", "b", "2", "4", "41", "newer", "7"
        ]
    );
}

#[test]
fn a_large_upsert_beside_another_key_finds_its_bad_rows() {
    let (_place, mut connection) = with(TWO_KEYS);
    connection
        .batch("INSERT INTO t SELECT seq, seq + 100000, 'old', seq FROM seq_1_to_5000")
        .unwrap();
    let rows: Vec<[String; 3]> = (1..=9000)
        .map(|id: u32| {
            // the codes of rows that are there, of others
            let code = if id % 3000 == 1500 {
                100_000 + id % 7 + 1
            } else {
                100_000 + id
            };
            let v = if id == 777 {
                "x".repeat(30)
            } else {
                "new".to_owned()
            };
            [id.to_string(), code.to_string(), v]
        })
        .collect();
    let loaded = upsert(&mut *connection, &rows);
    let mut bad: Vec<u64> = loaded
        .rejects
        .iter()
        .map(|reject| reject.ordinal + 1)
        .collect();
    bad.sort_unstable();
    assert_eq!(bad, [777, 1500, 4500, 7500]);
    assert_eq!(loaded.rows, 8996);
    let told = flat(
        &mut *connection,
        "SELECT COUNT(*), SUM(v = 'new'), SUM(left_out = id AND id <= 5000), SUM(code = id + 100000) FROM t",
    );
    assert_eq!(told, ["8999", "8996", "5000", "8999"]);
}
