//! The unique key by which rows are found, and the conditions made of it. Pure text; runs nothing.

use db::{ColumnInfo, Dialect, Kind, TableInfo};

/// So many keys stand in one list: Oracle takes no more, and SQLite no deeper a chain of conditions.
const LIST: usize = 500;

/// The key of a row: the text of each of its columns.
pub(super) type KeyText = Vec<String>;

/// The columns of a unique key, in its order.
#[derive(Debug, Clone)]
pub(super) struct Key(pub(super) Vec<ColumnInfo>);

/// The key that a job names, or the best one there is; else the reason why rows cannot be told apart.
pub(super) fn choose(info: &TableInfo, wanted: Option<&[String]>) -> Result<Key, String> {
    let keys: Vec<&Vec<String>> = info.keys().collect();
    let columns = |key: &[String]| -> Option<Vec<ColumnInfo>> {
        key.iter().map(|name| info.column(name).cloned()).collect()
    };
    let chosen = match wanted {
        Some(wanted) => {
            let named = columns(wanted).ok_or_else(|| {
                let missing = wanted.iter().find(|name| info.column(name).is_none());
                format!("there is no column {}", missing.map_or("", String::as_str))
            })?;
            let fits = |key: &&&Vec<String>| {
                key.len() == named.len() && named.iter().all(|column| key.contains(&column.name))
            };
            let found = keys.iter().find(fits).ok_or_else(|| {
                format!(
                    "{} is no unique key: rows that share it could not be told apart{}",
                    wanted.join(","),
                    list(&keys)
                )
            })?;
            columns(found)
        }
        None => {
            let filled = |key: &&&Vec<String>| {
                columns(key).is_some_and(|key| key.iter().all(|column| !column.nullable))
            };
            let best = keys.iter().find(filled).or_else(|| keys.first());
            let best = best.ok_or_else(|| {
                "the table has no unique key: equal rows could not be told apart, and a row could not be found again".to_owned()
            })?;
            columns(best)
        }
    };
    let chosen =
        chosen.ok_or_else(|| "the dictionary does not know a column of the key".to_owned())?;
    match chosen.iter().find_map(unfit) {
        Some(why) => Err(why),
        None => Ok(Key(chosen)),
    }
}

fn list(keys: &[&Vec<String>]) -> String {
    if keys.is_empty() {
        return "; the table has none".to_owned();
    }
    let names: Vec<String> = keys
        .iter()
        .map(|key| format!("({})", key.join(",")))
        .collect();
    format!("; the table has {}", names.join(", "))
}

fn unfit(column: &ColumnInfo) -> Option<String> {
    let name = &column.name;
    match column.kind {
        Kind::Real => Some(format!(
            "the key column {name} is a floating-point number, which is not found again exactly"
        )),
        Kind::Json => Some(format!(
            "the key column {name} is JSON, which does not compare"
        )),
        // MySQL would take the text of the bits for a decimal number
        _ if column.declared.starts_with("bit(") && column.kind == Kind::Text => Some(format!(
            "the key column {name} is of bits, whose text is not found again"
        )),
        Kind::Other if column.declared.is_empty() => Some(format!(
            "the key column {name} has no declared type, so that a text cannot be told from a number"
        )),
        _ => None,
    }
}

/// The placeholder of a value that meets a column of `kind`. Text needs no cast, and takes the column's own type so.
pub(super) fn place(dialect: &dyn Dialect, kind: Kind, value: &str, number: usize) -> String {
    let mark = dialect.placeholder(number);
    let beyond = || {
        value
            .parse::<i128>()
            .is_ok_and(|n| n > i128::from(i64::MAX))
    };
    match kind {
        Kind::Text | Kind::Other => mark,
        Kind::Integer if beyond() => dialect.cast(&mark, Kind::Decimal),
        kind => dialect.cast(&mark, kind),
    }
}

impl Key {
    /// How many columns it has.
    pub(super) fn width(&self) -> usize {
        self.0.len()
    }

    /// The names of its columns.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().map(|column| column.name.clone()).collect()
    }

    /// Its columns in SQL, comma-separated.
    pub(super) fn quoted(&self, dialect: &dyn Dialect) -> String {
        let quoted: Vec<String> = self
            .0
            .iter()
            .map(|column| dialect.quote(&column.name))
            .collect();
        quoted.join(", ")
    }

    /// That no column of it is NULL, where one may be.
    pub(super) fn filled(&self, dialect: &dyn Dialect) -> String {
        let nullable = self.0.iter().filter(|column| column.nullable);
        nullable
            .map(|column| format!(" AND {} IS NOT NULL", dialect.quote(&column.name)))
            .collect()
    }

    /// That a row's key is one of these; placeholders count from `first`, in the order of the keys.
    pub(super) fn among(&self, dialect: &dyn Dialect, keys: &[KeyText], first: usize) -> String {
        let mut number = first;
        let mut mark = |column: &ColumnInfo, value: &str| {
            let mark = place(dialect, column.kind, value, number);
            number += 1;
            mark
        };
        let lists = keys.chunks(LIST).map(|keys| match self.0.as_slice() {
            [column] => {
                let marks: Vec<String> = keys.iter().map(|key| mark(column, &key[0])).collect();
                format!("{} IN ({})", dialect.quote(&column.name), marks.join(","))
            }
            columns => {
                let rows: Vec<String> = keys
                    .iter()
                    .map(|key| {
                        let equal = columns.iter().zip(key).map(|(column, value)| {
                            format!("{} = {}", dialect.quote(&column.name), mark(column, value))
                        });
                        format!("({})", equal.collect::<Vec<_>>().join(" AND "))
                    })
                    .collect();
                format!("({})", rows.join(" OR "))
            }
        });
        let lists: Vec<String> = lists.collect();
        match lists.as_slice() {
            [] => "1 = 0".to_owned(),
            [one] => one.clone(),
            many => format!("({})", many.join(" OR ")),
        }
    }

    /// That a row comes after this key in its order, with the values of its placeholders.
    pub(super) fn beyond<'k>(
        &self,
        dialect: &dyn Dialect,
        last: &'k KeyText,
        first: usize,
    ) -> (String, Vec<&'k str>) {
        let mut values: Vec<&'k str> = Vec::new();
        let mut compare = |at: usize, sign: &str| {
            let column = &self.0[at];
            let mark = place(dialect, column.kind, &last[at], first + values.len());
            values.push(&last[at]);
            format!("{} {sign} {mark}", dialect.quote(&column.name))
        };
        if self.0.len() == 1 {
            return (compare(0, ">"), values);
        }
        // the first comparison alone is what an index is entered by
        let enter = compare(0, ">=");
        let steps: Vec<String> = (0..self.0.len())
            .map(|at| {
                let mut parts: Vec<String> = (0..at).map(|before| compare(before, "=")).collect();
                parts.push(compare(at, ">"));
                format!("({})", parts.join(" AND "))
            })
            .collect();
        (format!("{enter} AND ({})", steps.join(" OR ")), values)
    }
}

/// Keys as cells to bind, in the order of [`Key::among`].
pub(super) fn cells(keys: &[KeyText]) -> Vec<db::Cell<'_>> {
    let values = keys.iter().flatten();
    values.map(|value| Some(value.as_bytes())).collect()
}

/// A key as people read it: `7`, or `7/2026-11-21`.
pub(super) fn shown(key: &KeyText) -> String {
    key.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(url: &str) -> &'static dyn Dialect {
        db::dialect_of(url).unwrap()
    }

    fn table(columns: &[(&str, Kind, bool)], primary: &[&str], unique: &[&str]) -> TableInfo {
        let columns = columns.iter().map(|(name, kind, nullable)| ColumnInfo {
            nullable: *nullable,
            declared: "x".to_owned(),
            ..ColumnInfo::new(*name, *kind)
        });
        let names = |key: &[&str]| key.iter().map(|name| (*name).to_owned()).collect();
        TableInfo {
            columns: columns.collect(),
            primary_key: names(primary),
            uniques: if unique.is_empty() {
                Vec::new()
            } else {
                vec![names(unique)]
            },
            ..TableInfo::default()
        }
    }

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn bits_are_no_key() {
        let mut bits = table(&[("flags", Kind::Text, false)], &["flags"], &[]);
        assert!(choose(&bits, None).is_ok());
        bits.columns[0].declared = "bit(8)".to_owned();
        assert!(choose(&bits, None).unwrap_err().contains("bits"));
    }

    #[test]
    fn a_key_is_found_or_refused_with_the_reason() {
        let (int, text) = (Kind::Integer, Kind::Text);
        let plain = table(&[("id", int, false), ("a", text, true)], &["id"], &["a"]);
        assert_eq!(choose(&plain, None).unwrap().names(), ["id"]);
        assert_eq!(
            choose(&plain, Some(&strings(&["A"]))).unwrap().names(),
            ["a"]
        );
        let why = choose(&plain, Some(&strings(&["id", "a"]))).unwrap_err();
        assert!(
            why.contains("no unique key") && why.contains("(id), (a)"),
            "{why}"
        );
        let why = choose(&plain, Some(&strings(&["b"]))).unwrap_err();
        assert_eq!(why, "there is no column b");
        let nullable = table(&[("a", int, true), ("b", int, false)], &["a"], &["b"]);
        assert_eq!(choose(&nullable, None).unwrap().names(), ["b"]);
        assert!(choose(&table(&[("a", int, false)], &[], &[]), None).is_err());
        assert!(choose(&table(&[("a", Kind::Real, false)], &["a"], &[]), None).is_err());
    }

    #[test]
    fn one_column_makes_a_list() {
        let key = Key(table(&[("i`d", Kind::Integer, false)], &[], &[]).columns);
        let keys = [strings(&["7"]), strings(&["18446744073709551615"])];
        assert_eq!(
            key.among(dialect("mysql:"), &keys, 1),
            "`i``d` IN (CAST(? AS SIGNED),CAST(? AS DECIMAL(65,20)))"
        );
        let (sql, values) = key.beyond(dialect("postgres:"), &keys[0], 3);
        assert_eq!(
            (sql.as_str(), values),
            (r#""i`d" > CAST($3 AS BIGINT)"#, vec!["7"])
        );
        let many: Vec<KeyText> = (0..1001).map(|n| vec![n.to_string()]).collect();
        assert_eq!(
            key.among(dialect("sqlite:"), &many, 1)
                .matches(" IN (")
                .count(),
            3
        );
    }

    #[test]
    fn several_columns_compare_one_after_the_other() {
        let key = Key(table(
            &[("a", Kind::Text, true), ("b", Kind::Text, false)],
            &[],
            &[],
        )
        .columns);
        let (pg, last) = (dialect("postgres:"), strings(&["x", "y"]));
        assert_eq!(
            key.among(pg, std::slice::from_ref(&last), 2),
            r#"(("a" = $2 AND "b" = $3))"#
        );
        let (sql, values) = key.beyond(pg, &last, 1);
        assert_eq!(
            sql,
            r#""a" >= $1 AND (("a" > $2) OR ("a" = $3 AND "b" > $4))"#
        );
        assert_eq!(values, ["x", "x", "x", "y"]);
        assert_eq!(key.filled(pg), r#" AND "a" IS NOT NULL"#);
    }
}
