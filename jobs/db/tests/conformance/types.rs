//! Values go in as text and come out as the same text.

use crate::place::{Place, cells, load, rows, t, value};
use db::{Kind, Load, Mode, Sheaf, bind};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Loads values into one column each row and reads them back; `expect` is what comes out where it differs.
fn round_trip(place: &Place, kind: Kind, values: &[(&str, &str)]) {
    let mut connection = place.connect();
    connection.execute("DROP TABLE IF EXISTS t", &[]).unwrap();
    place.table(&mut *connection, &[("!n", Kind::Integer), ("v", kind)]);
    let numbers: Vec<String> = (0..values.len()).map(|n| n.to_string()).collect();
    let pushed: Vec<[Option<&str>; 2]> = values
        .iter()
        .zip(&numbers)
        .map(|((v, _), n)| [Some(n.as_str()), Some(v)])
        .collect();
    let pushed: Vec<&[Option<&str>]> = pushed.iter().map(|row| &row[..]).collect();
    let loaded = load(&mut *connection, &["n", "v"], Mode::Append, &pushed);
    assert!(loaded.rejects.is_empty(), "{kind:?}: {:?}", loaded.rejects);
    let mut query = connection.query("SELECT v FROM t ORDER BY n", &[]).unwrap();
    assert_eq!(query.columns()[0].kind, (place.told)(kind, "").0);
    for (_, expected) in values {
        let row = query.fetch().unwrap().unwrap();
        let text = String::from_utf8(row.cell(0).unwrap().to_vec()).unwrap();
        assert_eq!(text, (place.told)(kind, expected).1, "{kind:?}");
    }
    assert!(query.fetch().unwrap().is_none());
    assert!(query.fetch().unwrap().is_none());
}

/// A decimal with zeros up to `scale` decimals.
fn decimal(text: &str, scale: usize) -> String {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() >= scale {
        text.to_owned()
    } else {
        format!("{whole}.{fraction:0<scale$}")
    }
}

fn same(values: &[&'static str]) -> Vec<(&'static str, &'static str)> {
    values.iter().map(|value| (*value, *value)).collect()
}

pub(crate) fn numbers(place: &Place) {
    round_trip(
        place,
        Kind::Integer,
        &[
            ("0", "0"),
            ("-1", "-1"),
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("007", "7"),
            (" 12 ", "12"),
            ("+5", "5"),
        ],
    );
    round_trip(
        place,
        Kind::Real,
        &[
            ("0.1", "0.1"),
            ("1", "1"),
            ("-0.5", "-0.5"),
            ("1e300", "1e300"),
            ("5e-324", "5e-324"),
            ("12.50", "12.5"),
            ("1.7976931348623157e308", "1.7976931348623157e308"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("39.0200000000001", "39.0200000000001"),
            ("1E5", "100000"),
        ],
    );
    let decimals = ["0.01", "-99.99", "123456789012.345", "5"];
    let shown = decimals.map(|text| decimal(text, place.scale));
    let pairs: Vec<(&str, &str)> = decimals
        .into_iter()
        .zip(shown.iter().map(String::as_str))
        .collect();
    round_trip(place, Kind::Decimal, &pairs);
    round_trip(
        place,
        Kind::Bool,
        &[("1", "1"), ("0", "0"), ("true", "1"), ("f", "0")],
    );
}

pub(crate) fn texts(place: &Place) {
    let mut values = same(&[
        " ",
        "a",
        "007",
        "1e5",
        "NULL",
        "\\N",
        "it's",
        "\"q\"",
        "a\tb\nc\r\nd\\",
        "站点：北京",
        "😀 𠮷",
        "e\u{301}",
        "\u{feff}",
        "\u{7f}\u{1}",
        "%_;--/*",
        "\u{10ffff}",
    ]);
    if place.nul_in_text {
        values.push(("a\0b\0", "a\0b\0"));
    }
    round_trip(place, Kind::Text, &values);
}

pub(crate) fn times(place: &Place) {
    for (kind, values) in [
        (Kind::Date, &["0001-01-01", "2024-02-29", "9999-12-31"]),
        (Kind::Time, &["00:00:00", "23:59:59.999999", "13:45:00.25"]),
        (
            Kind::Timestamp,
            &[
                "0001-01-01 00:00:00",
                "2026-11-21 13:45:00.25",
                "9999-12-31 23:59:59.999999",
            ],
        ),
        (
            Kind::Instant,
            &[
                "2026-11-21 13:45:00+00:00",
                "2026-11-21 13:45:00.25+00:00",
                "1970-01-01 00:00:01+00:00",
            ],
        ),
    ] {
        round_trip(place, kind, &same(values));
    }
}

/// A time with a zone in a column without one is the same moment in UTC; SQLite keeps what it is given.
pub(crate) fn a_zone_is_not_lost(place: &Place) {
    let mut connection = place.connect();
    place.table(
        &mut *connection,
        &[("!n", Kind::Integer), ("v", Kind::Timestamp)],
    );
    let texts = [
        ("2024-01-01 10:00:00+00:00", "2024-01-01 10:00:00"),
        ("2024-01-01T01:30:00.25+08:00", "2023-12-31 17:30:00.25"),
        ("2024-01-01T10:00:00Z", "2024-01-01 10:00:00"),
        ("2024-01-01 10:00:00-0330", "2024-01-01 13:30:00"),
        ("2024-01-01 10:00:00", "2024-01-01 10:00:00"),
    ];
    let keeps = connection.dialect().name() == "sqlite";
    let key = ["n".to_owned()];
    for mode in [Mode::Append, Mode::Skip, Mode::Upsert { key: &key }] {
        connection.execute("DELETE FROM t", &[]).unwrap();
        let numbers: Vec<String> = (0..texts.len()).map(|n| n.to_string()).collect();
        let pushed = numbers.iter().zip(&texts);
        let mut pushed: Vec<[Option<&str>; 2]> = pushed
            .map(|(n, (text, _))| [Some(n.as_str()), Some(*text)])
            .collect();
        // a refused row comes back as it was pushed
        pushed.push([Some("x"), Some(texts[1].0)]);
        let pushed: Vec<&[Option<&str>]> = pushed.iter().map(|row| &row[..]).collect();
        let loaded = load(&mut *connection, &["n", "v"], mode, &pushed);
        assert_eq!(loaded.rejects.len(), 1, "{:?}", loaded.rejects);
        assert_eq!(
            loaded.rejects[0].cells[1].as_deref(),
            Some(texts[1].0.as_bytes())
        );
        let found = rows(&mut *connection, "SELECT v FROM t ORDER BY n");
        for (row, (text, utc)) in found.iter().zip(&texts) {
            assert_eq!(row[0].as_deref(), Some(if keeps { *text } else { *utc }));
        }
        assert_eq!(found.len(), texts.len());
    }
}

pub(crate) fn blobs(place: &Place) {
    let mut connection = place.connect();
    place.table(
        &mut *connection,
        &[("!n", Kind::Integer), ("v", Kind::Blob)],
    );
    let large: String = (0..5_000_000_u32)
        .map(|n| format!("{:02x}", n.wrapping_mul(2_654_435_761) >> 24))
        .collect();
    let values: [&[Option<&str>]; 4] = [
        &[Some("1"), Some("00ff")],
        &[Some("2"), Some("")],
        &[Some("3"), None],
        &[Some("4"), Some(&large)],
    ];
    assert_eq!(
        load(&mut *connection, &["n", "v"], Mode::Append, &values).rows,
        4
    );
    let found = rows(&mut *connection, "SELECT v FROM t ORDER BY n");
    assert_eq!(found[0][0].as_deref(), Some("00ff"));
    assert_eq!(found[1][0].as_deref(), Some(""));
    assert_eq!(found[2][0], None);
    assert!(found[3][0].as_deref() == Some(large.as_str()));
    let cast = connection
        .dialect()
        .cast(&connection.dialect().placeholder(1), Kind::Blob);
    let changed = connection
        .execute(
            &format!("UPDATE t SET v = {cast} WHERE n = 1"),
            &[Some(b"0A0b")],
        )
        .unwrap();
    assert_eq!(changed, 1);
    assert_eq!(
        value(&mut *connection, "SELECT v FROM t WHERE n = 1").as_deref(),
        Some("0a0b")
    );
}

pub(crate) fn null_is_not_empty(place: &Place) {
    let mut connection = place.connect();
    place.table(
        &mut *connection,
        &[("!n", Kind::Integer), ("v", Kind::Text), ("w", Kind::Text)],
    );
    load(
        &mut *connection,
        &["n", "v", "w"],
        Mode::Append,
        &[&[Some("1"), Some(""), None]],
    );
    assert_eq!(
        rows(&mut *connection, "SELECT v, w FROM t"),
        [[Some(String::new()), None]]
    );
    assert_eq!(
        value(
            &mut *connection,
            "SELECT count(*) FROM t WHERE v = '' AND w IS NULL"
        )
        .as_deref(),
        Some("1")
    );
}

pub(crate) fn expressions_learn_their_kind(place: &Place) {
    let mut connection = place.connect();
    let query = connection
        .query("SELECT 1 + 1 AS n, 'a' AS t, NULL AS z", &[])
        .unwrap();
    let kinds: Vec<Kind> = query.columns().iter().map(|column| column.kind).collect();
    assert_eq!(kinds[..2], [Kind::Integer, Kind::Text]);
    assert_eq!(query.columns()[0].name, "n");
}

pub(crate) fn params_meet_expressions(place: &Place) {
    let mut connection = place.connect();
    place.table(&mut *connection, &[("!n", Kind::Integer)]);
    load(
        &mut *connection,
        &["n"],
        Mode::Append,
        &[&[Some("5")], &[Some("40")]],
    );
    let dialect = connection.dialect();
    let place = dialect.cast(&dialect.placeholder(1), Kind::Integer);
    let sql = format!("SELECT m FROM (SELECT n + 0 AS m FROM t) q WHERE m > {place} ORDER BY m");
    let mut query = connection.query(&sql, &[Some(b"7")]).unwrap();
    let found = query
        .fetch()
        .unwrap()
        .map(|row| row.cell(0).unwrap().to_vec());
    assert_eq!(found.as_deref(), Some(&b"40"[..]));
    assert!(query.fetch().unwrap().is_none());
}

pub(crate) fn named_params(place: &Place) {
    let mut connection = place.connect();
    place.table(
        &mut *connection,
        &[("!n", Kind::Integer), ("v", Kind::Text)],
    );
    load(
        &mut *connection,
        &["n", "v"],
        Mode::Append,
        &[&[Some("1"), Some("a:b")], &[Some("2"), Some("c")]],
    );
    let named = bind::named(
        "SELECT n FROM t WHERE v = :v AND v <> ':v' AND v = :v -- :no\n",
        connection.dialect(),
    );
    assert_eq!(named.names, ["v", "v"]);
    let params: Vec<_> = named.names.iter().map(|_| Some(&b"a:b"[..])).collect();
    let mut query = connection.query(&named.sql, &params).unwrap();
    assert_eq!(query.fetch().unwrap().unwrap().cell(0), Some(&b"1"[..]));
    assert!(query.fetch().unwrap().is_none());
}

pub(crate) fn a_row_is_lent_as_often_as_asked(place: &Place) {
    let mut connection = place.connect();
    let mut query = connection
        .query("SELECT 'text', 12, NULL, 1.5", &[])
        .unwrap();
    let row = query.fetch().unwrap().unwrap();
    assert_eq!(row.len(), 4);
    for _ in 0..2 {
        assert_eq!(row.cell(3), Some(&b"1.5"[..]));
        assert_eq!(
            row.cells().collect::<Vec<_>>(),
            cells(&[Some("text"), Some("12"), None, Some("1.5")])
        );
    }
    let mut sheaf = Sheaf::default();
    sheaf.push(Some(b"before"));
    (0..=row.len()).for_each(|count| row.copy(count, &mut sheaf));
    let copied: Vec<_> = sheaf.cells().skip(1).collect();
    let whole: Vec<_> = row.cells().collect();
    let want: Vec<_> = (0..=whole.len())
        .flat_map(|count| &whole[..count])
        .copied()
        .collect();
    assert_eq!(copied, want);
}

pub(crate) fn random_texts_and_numbers(place: &Place) {
    let mut connection = place.connect();
    place.table(
        &mut *connection,
        &[("!n", Kind::Integer), ("v", Kind::Text), ("w", Kind::Real)],
    );
    let connection = std::cell::RefCell::new(connection);
    let nul = place.nul_in_text;
    let row = (
        any::<i64>(),
        any::<Option<String>>(),
        prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO,
    );
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(200)
    });
    let result = runner.run(&row, |(n, v, w)| {
        let mut connection = connection.borrow_mut();
        let v = v.map(|text| if nul { text } else { text.replace('\0', "") });
        connection.execute("DELETE FROM t", &[]).unwrap();
        let mut real = Vec::new();
        db::form::write_float(&mut real, w);
        let (n, table) = (n.to_string(), t());
        let columns = ["n".to_owned(), "v".to_owned(), "w".to_owned()];
        let mut loader = connection
            .load(&Load {
                table: &table,
                columns: &columns,
                mode: Mode::Append,
            })
            .unwrap();
        loader
            .push(&[
                Some(n.as_bytes()),
                v.as_deref().map(str::as_bytes),
                Some(&real),
            ])
            .unwrap();
        prop_assert_eq!(loader.finish().unwrap().rows, 1);
        let found = rows(&mut **connection, "SELECT n, v, w FROM t").remove(0);
        let real = String::from_utf8(real).unwrap();
        prop_assert_eq!(&found[..2], &[Some(n), v]);
        // SQL databases keep no sign of zero
        prop_assert_eq!(
            found[2].as_deref().map(|text| text.trim_start_matches("-")),
            Some(real.trim_start_matches("-"))
        );
        Ok(())
    });
    result.unwrap();
}
