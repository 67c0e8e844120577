//! What becomes of rows that are loaded: triggers, wrong and odd values, numbered columns, tables without transactions.

use super::*;

#[test]
fn tables_without_transactions_are_refused_before_anything_is_loaded() {
    for engine in ["MyISAM", "Aria"] {
        let (_place, mut connection) = with(&format!(
            "CREATE TABLE t (id INT PRIMARY KEY) ENGINE={engine}"
        ));
        let (table, columns) = (t(), ["id".to_owned()]);
        let into = Load {
            table: &table,
            columns: &columns,
            mode: Mode::Append,
        };
        let error = connection.load(&into).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let why = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            why.contains(engine) && why.contains("no transactions"),
            "{why}"
        );
    }
}

#[test]
fn a_trigger_refuses_its_rows_alone() {
    let (_place, mut connection) = with(
        "CREATE TABLE t (id INT PRIMARY KEY, code INT, v VARCHAR(20));
         CREATE TRIGGER no_odd BEFORE INSERT ON t FOR EACH ROW
           IF NEW.code = 13 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not thirteen'; END IF",
    );
    let ids: Vec<String> = (0..2000).map(|id: u32| id.to_string()).collect();
    let cells: Vec<[Option<&str>; 2]> = ids
        .iter()
        .map(|id| {
            [
                Some(id.as_str()),
                Some(if id.ends_with("500") { "13" } else { "1" }),
            ]
        })
        .collect();
    let cells: Vec<&[Option<&str>]> = cells.iter().map(|row| &row[..]).collect();
    let loaded = load(&mut *connection, &["id", "code"], Mode::Append, &cells);
    assert_eq!((loaded.rows, loaded.rejects.len()), (1998, 2));
    let error = &loaded.rejects[0].error;
    assert_eq!(error.kind(), ErrorKind::Constraint(Constraint::Other));
    assert_eq!(
        std::error::Error::source(error).unwrap().to_string(),
        "not thirteen"
    );
}

#[test]
fn doubled_keys_and_wrong_values_among_many_are_told_exactly() {
    let (_place, mut connection) = with(
        "CREATE TABLE t (a INT NOT NULL, b VARCHAR(9) NOT NULL, n TINYINT CHECK (n < 100), d DATE,
           PRIMARY KEY (a, b), UNIQUE (n, d))",
    );
    connection
        .batch("INSERT INTO t VALUES (5, 'k5', NULL, NULL)")
        .unwrap();
    let (table, names) = (t(), ["a", "b", "n", "d"].map(str::to_owned));
    let into = Load {
        table: &table,
        columns: &names,
        mode: Mode::Append,
    };
    let mut loader = connection.load(&into).unwrap();
    let mut expected = Vec::new();
    for number in 0..60_000_u32 {
        let mut row = [
            number.to_string(),
            format!("k{number}"),
            "1".to_owned(),
            "2026-01-01".to_owned(),
        ];
        let mut d = None;
        match number {
            5 => expected.push((number, ErrorKind::Constraint(Constraint::Unique))),
            n if n % 997 == 500 => {
                // the key of an earlier row
                row[0] = (n - 3).to_string();
                row[1] = format!("k{}", n - 3);
                expected.push((n, ErrorKind::Constraint(Constraint::Unique)));
            }
            n if n % 997 == 600 => {
                row[2] = "100".to_owned();
                expected.push((n, ErrorKind::Constraint(Constraint::Check)));
            }
            n if n % 997 == 700 => {
                row[2] = "1000".to_owned();
                expected.push((n, ErrorKind::Type));
            }
            n if n % 997 == 800 => {
                row[3] = "2026-02-30".to_owned();
                d = Some(3);
                expected.push((n, ErrorKind::Type));
            }
            _ => {}
        }
        let cells: Vec<db::Cell<'_>> = (0..4)
            .map(|place| (place < 3 || d == Some(place)).then_some(row[place].as_bytes()))
            .collect();
        loader.push(&cells).unwrap();
    }
    let loaded = loader.finish().unwrap();
    let told: Vec<(u32, ErrorKind)> = loaded
        .rejects
        .iter()
        .map(|reject| (u32::try_from(reject.ordinal).unwrap(), reject.error.kind()))
        .collect();
    assert_eq!(told, expected);
    assert_eq!(loaded.rows, 60_000 - u64::try_from(expected.len()).unwrap());
}

#[test]
fn numbered_columns_keep_a_zero_and_number_what_is_null() {
    let (_place, mut connection) =
        with("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(9))");
    let pushed: [&[Option<&str>]; 3] = [
        &[Some("0"), Some("zero")],
        &[Some("7"), Some("seven")],
        &[None, Some("next")],
    ];
    let loaded = load(&mut *connection, &["id", "v"], Mode::Append, &pushed);
    assert_eq!((loaded.rows, loaded.rejects.len()), (3, 0));
    let found = flat(&mut *connection, "SELECT id, v FROM t ORDER BY id");
    assert_eq!(found, ["0", "zero", "7", "seven", "8", "next"]);
}

#[test]
fn one_statement_is_one_statement() {
    let (_place, mut connection) = with("CREATE TABLE t (id INT PRIMARY KEY)");
    let both = "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)";
    assert_eq!(
        connection.execute(both, &[]).unwrap_err().kind(),
        ErrorKind::Syntax
    );
    assert_eq!(place::count(&mut *connection), "0");
    connection.batch(both).unwrap();
    assert_eq!(place::count(&mut *connection), "2");
    assert_eq!(
        Kind::Integer,
        connection.dictionary(&t()).unwrap().unwrap().columns[0].kind
    );
}

#[test]
fn values_that_only_look_wrong_keep_their_place_among_the_rows() {
    let (_place, mut connection) =
        with("CREATE TABLE t (id INT PRIMARY KEY, v TIME NOT NULL, n TINYINT NOT NULL)");
    let (table, names, key) = (t(), ["id", "v", "n"].map(str::to_owned), ["id".to_owned()]);
    for (mode, first) in [(Mode::Upsert { key: &key }, false), (Mode::Append, true)] {
        connection.batch("DELETE FROM t").unwrap();
        let into = Load {
            table: &table,
            columns: &names,
            mode,
        };
        let mut loader = connection.load(&into).unwrap();
        let (mut bad, mut doubled) = (0, 0);
        for number in 0..60_000_u32 {
            // now and then a key three times in a row, and times below zero
            let twin = number % 30 < 3;
            let id = if twin { number - number % 3 } else { number }.to_string();
            let sign = if (number / 3 + number).is_multiple_of(4) {
                "-"
            } else {
                ""
            };
            let time = format!("{sign}{}:00:0{}", number % 400, number % 3);
            let n = if number % 3000 == 1 { "1000" } else { "1" };
            bad += u32::from(n == "1000");
            doubled += u32::from(twin && number % 3 != 0 && n == "1");
            let row = [&id, &time, n].map(|text: &str| Some(text.as_bytes()));
            loader.push(&row).unwrap();
        }
        let loaded = loader.finish().unwrap();
        let refused = bad + if first { doubled } else { 0 };
        assert_eq!(loaded.rejects.len(), usize::try_from(refused).unwrap());
        assert_eq!(loaded.rows, u64::from(60_000 - refused));
        // the first row of each key was loaded, or the last one
        let told = flat(
            &mut *connection,
            "SELECT COUNT(*), MIN(SECOND(v)), MAX(SECOND(v)) FROM t WHERE id % 30 = 0",
        );
        let second = if first { "0" } else { "2" };
        assert_eq!(told, ["2000", second, second]);
    }
}
