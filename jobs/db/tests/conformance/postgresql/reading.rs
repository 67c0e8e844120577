//! Types of all sorts, and the ways to ask for rows.

use super::*;

#[test]
fn every_type_comes_back_as_it_was() {
    let (_place, mut connection) = with(
        "CREATE EXTENSION hstore; CREATE TYPE mood AS ENUM ('sad', '好 \"x\"'); CREATE TYPE pair AS (a INTEGER, b TEXT);
         CREATE DOMAIN even AS INTEGER CHECK (value % 2 = 0)",
    );
    for (declared, texts) in [
        ("money", &["$1,234.50", "-$0.01"][..]),
        ("mood", &["sad", "好 \"x\""]),
        ("pair", &["(1,\"a \"\"b\"\", c\")", "(,)"]),
        ("even", &["-2"]),
        ("hstore", &["\"a\"=>\"1\", \"b\"=>NULL"]),
        ("date", &["0044-03-15 BC", "infinity", "0001-01-01"]),
        (
            "time with time zone",
            &["13:45:00.25+08:00", "01:02:03-05:30"],
        ),
        ("timestamp with time zone", &["0044-03-15 00:00:00+00 BC"]),
        (
            "timestamp(0) without time zone[]",
            &["{\"2026-11-21 13:45:00\",NULL}"],
        ),
        (
            "interval",
            &["-1 years -2 mons +3 days -04:05:06", "00:00:00"],
        ),
        (
            "numeric",
            &[
                "NaN",
                "-Infinity",
                "12345678901234567890123456789012345678.9",
            ],
        ),
        ("double precision", &["763305920491941.3", "1e-300", "-0"]),
        ("real", &["16777216", "1e-45"]),
        ("cidr", &["10.0.0.0/8"]),
        ("inet", &["10.0.0.1", "::1/64"]),
        ("macaddr", &["08:00:2b:01:02:03"]),
        (
            "tstzrange",
            &["[\"2026-01-01 00:00:00+00\",infinity)", "empty"],
        ),
        ("numrange[]", &["{\"[1.5,2)\"}"]),
        ("xml", &["<a>b</a>"]),
        ("oid", &["4294967295"]),
        ("name", &["站"]),
        ("\"char\"", &["x"]),
        ("boolean[]", &["{t,f,NULL}"]),
        ("tsvector", &["'a':1 'b':2"]),
        ("jsonb", &["{\"a\": [1, 2.50]}"]),
        ("bytea[]", &["{\"\\\\x00ff\"}"]),
    ] {
        connection
            .batch(&format!(
                "DROP TABLE IF EXISTS t; CREATE TABLE t (n INTEGER PRIMARY KEY, v {declared})"
            ))
            .unwrap();
        let numbers: Vec<String> = (0..texts.len()).map(|n| n.to_string()).collect();
        let pushed = texts.iter().zip(&numbers);
        let pushed: Vec<[Option<&str>; 2]> = pushed
            .map(|(text, n)| [Some(n.as_str()), Some(*text)])
            .collect();
        // also after a bad row, which leads another way
        let mut pushed: Vec<&[Option<&str>]> = pushed.iter().map(|row| &row[..]).collect();
        pushed.push(&[Some("x"), None]);
        let loaded = load(&mut *connection, &["n", "v"], Mode::Append, &pushed);
        assert_eq!(loaded.rejects.len(), 1, "{declared}: {:?}", loaded.rejects);
        assert_eq!(
            flat(&mut *connection, "SELECT v FROM t ORDER BY n"),
            texts,
            "{declared}"
        );
        // and out of a cursor
        let mut found = connection
            .query("SELECT v FROM t WHERE n = $1", &[Some(b"0")])
            .unwrap();
        let text = found.fetch().unwrap().unwrap().cell(0).map(<[u8]>::to_vec);
        assert_eq!(text.as_deref(), Some(texts[0].as_bytes()), "{declared}");
    }
}

#[test]
fn rows_of_all_ways_to_ask() {
    let (_place, mut connection) = with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t SELECT n, 'v' || n FROM generate_series(1, 1234) n",
    );
    assert_eq!(
        value(&mut *connection, "SHOW DateStyle").as_deref(),
        Some("ISO, MDY")
    );
    assert_eq!(rows(&mut *connection, "SELECT 1 AS a, 2 AS a")[0].len(), 2);
    assert_eq!(
        rows(
            &mut *connection,
            "DELETE FROM t WHERE id > 1230 RETURNING id"
        )
        .len(),
        4
    );
    for within in [false, true] {
        if within {
            connection.begin().unwrap();
        }
        let sql = "SELECT v FROM t WHERE id > $1 ORDER BY id DESC; -- all";
        let mut query = connection.query(sql, &[Some(b"10")]).unwrap();
        let mut seen = 0;
        while let Some(row) = query.fetch().unwrap() {
            assert_eq!(row.cell(0), Some(format!("v{}", 1230 - seen).as_bytes()));
            seen += 1;
        }
        drop(query);
        assert_eq!(seen, 1220, "{within}");
        assert_eq!(connection.in_transaction(), within);
    }
    let sql = "INSERT INTO t (id, v) VALUES ($1, $2) RETURNING id, v, id > 0, 1.5::float8";
    let mut query = connection.query(sql, &[Some(b"5000"), None]).unwrap();
    let row = query.fetch().unwrap().unwrap();
    let found: Vec<_> = row.cells().collect();
    assert_eq!(found, cells(&[Some("5000"), None, Some("1"), Some("1.5")]));
    drop(query);
    let sql = "UPDATE t SET v = $1 WHERE id = 1 RETURNING id::numeric";
    let error = connection.query(sql, &[Some(b"x")]).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Syntax);
}
