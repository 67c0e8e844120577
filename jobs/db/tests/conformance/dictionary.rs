//! The dictionary, and names of all sorts.

use crate::place::{Place, rows, t};
use db::{ColumnInfo, Kind, Load, Mode, TableInfo, TableName};

pub(crate) fn tells_columns_and_keys(place: &Place) {
    let mut connection = place.connect();
    connection
        .batch(
            "CREATE TABLE t (b VARCHAR(20) NOT NULL, a INTEGER NOT NULL, c VARCHAR(30) DEFAULT 'x', d NUMERIC(10,2),
               PRIMARY KEY (a, b), UNIQUE (c, a));
             CREATE INDEX plain ON t (d)",
        )
        .unwrap();
    let info = connection.dictionary(&t()).unwrap().unwrap();
    let names: Vec<&str> = info
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(names, ["b", "a", "c", "d"]);
    assert_eq!(info.primary_key, ["a", "b"]);
    assert_eq!(info.uniques, [["c", "a"]]);
    assert!(!info.view);
    let kinds: Vec<Kind> = info.columns.iter().map(|column| column.kind).collect();
    assert_eq!(
        kinds,
        [Kind::Text, Kind::Integer, Kind::Text, Kind::Decimal]
    );
    let nullable: Vec<bool> = info.columns.iter().map(|column| column.nullable).collect();
    assert_eq!(nullable, [false, false, true, true]);
    assert_eq!(info.columns[0].length, Some(20));
    assert!(
        info.columns[2]
            .default
            .as_deref()
            .is_some_and(|default| default.contains('x'))
    );
    assert!(
        connection
            .dictionary(&TableName::new("nope"))
            .unwrap()
            .is_none()
    );
}

pub(crate) fn what_it_makes_it_reads(place: &Place) {
    let mut connection = place.connect();
    let kinds = [
        Kind::Bool,
        Kind::Integer,
        Kind::Decimal,
        Kind::Real,
        Kind::Text,
        Kind::Date,
        Kind::Time,
        Kind::Timestamp,
        Kind::Instant,
        Kind::Blob,
        Kind::Json,
    ];
    let columns: Vec<ColumnInfo> = kinds
        .iter()
        .map(|kind| ColumnInfo::new(format!("{kind:?}"), *kind))
        .collect();
    let mut info = TableInfo {
        columns,
        ..TableInfo::default()
    };
    info.columns[1].nullable = false;
    info.primary_key.push("Integer".to_owned());
    let sql = connection.dialect().create_table(&t(), &info);
    connection.execute(&sql, &[]).unwrap();
    let read = connection.dictionary(&t()).unwrap().unwrap();
    assert_eq!(
        read.columns
            .iter()
            .map(|column| column.kind)
            .collect::<Vec<_>>(),
        kinds
    );
    assert_eq!(read.primary_key, ["Integer"]);
    // what was read makes the same table again
    let copy = TableName::new("copy");
    let sql = connection.dialect().create_table(&copy, &read);
    connection.execute(&sql, &[]).unwrap();
    assert_eq!(connection.dictionary(&copy).unwrap().unwrap(), read);
}

pub(crate) fn names_of_all_sorts(place: &Place) {
    let mut connection = place.connect();
    let columns = [
        "站号".to_owned(),
        "quo\"te".to_owned(),
        "Upper lower".to_owned(),
        "select".to_owned(),
        "a.b".to_owned(),
        "tick`s]".to_owned(),
    ];
    for name in ["观测 表", "or\"der", "My.Table", "group", "it's"] {
        let table = TableName::new(name);
        let info = TableInfo {
            columns: columns
                .iter()
                .map(|column| ColumnInfo::new(column, Kind::Text))
                .collect(),
            ..TableInfo::default()
        };
        let dialect = connection.dialect();
        connection
            .execute(&dialect.create_table(&table, &info), &[])
            .unwrap();
        let mut loader = connection
            .load(&Load {
                table: &table,
                columns: &columns,
                mode: Mode::Append,
            })
            .unwrap();
        loader
            .push(&[
                Some(b"1"),
                Some(b"2"),
                Some(b"3"),
                Some(b"4"),
                Some(b"5"),
                Some(b"6"),
            ])
            .unwrap();
        assert_eq!(loader.finish().unwrap().rows, 1);
        let read = connection.dictionary(&table).unwrap().unwrap();
        assert_eq!(
            read.columns
                .iter()
                .map(|column| column.name.as_str())
                .collect::<Vec<_>>(),
            columns
        );
        let list: Vec<String> = columns.iter().map(|column| dialect.quote(column)).collect();
        let sql = format!(
            "SELECT {} FROM {}",
            list.join(", "),
            dialect.qualify(&table)
        );
        assert_eq!(
            rows(&mut *connection, &sql)[0]
                .iter()
                .flatten()
                .cloned()
                .collect::<String>(),
            "123456"
        );
        let query = connection.query(&sql, &[]).unwrap();
        assert_eq!(
            query
                .columns()
                .iter()
                .map(|column| column.name.as_str())
                .collect::<Vec<_>>(),
            columns
        );
    }
}

pub(crate) fn tables_and_views(place: &Place) {
    let mut connection = place.connect();
    connection.batch("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(9)); CREATE VIEW a AS SELECT id, v FROM t").unwrap();
    let names: Vec<String> = connection
        .tables()
        .unwrap()
        .into_iter()
        .map(|table| table.name)
        .collect();
    assert_eq!(names, ["a", "t"]);
    let view = connection
        .dictionary(&TableName::new("a"))
        .unwrap()
        .unwrap();
    assert!(view.view && view.primary_key.is_empty());
    assert_eq!(
        view.columns
            .iter()
            .map(|column| column.kind)
            .collect::<Vec<_>>(),
        [Kind::Integer, Kind::Text]
    );
}
