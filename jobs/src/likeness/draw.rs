//! Draws a table like another, for the same database engine or a different one. Pure.
//!
//! On the same engine types and defaults are carried over word for word, on another they become the narrowest that hold all the
//! values (`spelling.rs`). Columns that the original computes become plain ones, since their values are copied; who numbers rows is the
//! original alone. Foreign keys, checks, triggers and further indexes are left to whoever owns the new table.

use db::{ColumnInfo, Dialect, Kind, TableInfo};

use super::compare::Side;
use super::default::carried;
use super::read::type_of;
use super::spelling::{Spelling, spelling_of};
use super::types::Type;

/// Text in a key has at most so many characters where nothing is known of the database.
const KEY: u64 = 255;

/// What a number, a date or a UUID takes of a key, in characters: none has more than 40 bytes.
const SHORT: u64 = 10;

/// A column of the new table.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Its name there.
    pub name: &'a str,
    /// The column that its values come from.
    pub like: &'a ColumnInfo,
    /// Whether that is a column of the original table; else it is the result of an expression, known by its kind alone.
    pub own: bool,
}

impl<'a> Wanted<'a> {
    /// A column of the original under this name.
    #[must_use]
    pub fn column(name: &'a str, like: &'a ColumnInfo) -> Self {
        Wanted {
            name,
            like,
            own: true,
        }
    }
}

/// A table that is to be made.
#[derive(Debug, Clone, Default)]
pub struct Drawing {
    /// Its columns and keys, for [`Dialect::create_table`].
    pub info: TableInfo,
    /// What it does not take over, a sentence each.
    pub remarks: Vec<String>,
}

/// Draws a table of these columns, like the original, in the words of another database.
#[must_use]
pub fn draw(original: &Side<'_>, to: &dyn Dialect, wanted: &[Wanted<'_>]) -> Drawing {
    let mut drawing = Drawing::default();
    let renamed = |key: &[String]| -> Option<Vec<String>> {
        let find = |name: &String| wanted.iter().find(|one| one.own && one.like.name == *name);
        key.iter()
            .map(|name| find(name).map(|one| one.name.to_owned()))
            .collect()
    };
    let mut uniques: Vec<Vec<String>> = Vec::new();
    match renamed(&original.info.primary_key) {
        Some(key) => drawing.info.primary_key = key,
        None => drawing
            .remarks
            .push("it has no primary key: not all columns of the original's are copied".to_owned()),
    }
    for key in original.info.uniques.iter().filter_map(|key| renamed(key)) {
        if key != drawing.info.primary_key && !uniques.contains(&key) {
            uniques.push(key);
        }
    }
    let same = original.dialect.name() == to.name();
    let spelling = spelling_of(to.name());
    if !same {
        uniques.retain(|key| fits(original, to, spelling, wanted, key, &mut drawing.remarks));
    }
    // how much of its key a text or bytes may take; `None` = there is no limit
    let share = |key: &Vec<String>| {
        let long = key
            .iter()
            .filter(|name| is_text(original, wanted, name) || is_bytes(original, wanted, name))
            .count();
        let Some(spelling) = spelling else {
            return Some(KEY);
        };
        let [long, short] =
            [long.max(1), key.len() - long].map(|many| u64::try_from(many).unwrap_or(1));
        Some(spelling.key?.saturating_sub(SHORT * short) / long)
    };
    for one in wanted {
        let keys = std::iter::once(&drawing.info.primary_key).chain(&uniques);
        let most = keys
            .filter(|key| key.iter().any(|name| name == one.name))
            .filter_map(share)
            .min();
        let column = if same {
            twin_column(one, to)
        } else {
            let of = type_of(original.dialect, one.like);
            foreign_column(one, of, to, spelling, most, &mut drawing.remarks)
        };
        drawing.info.columns.push(column);
    }
    for column in &mut drawing.info.columns {
        let in_key = drawing.info.primary_key.contains(&column.name);
        // the original's texts may be empty
        let emptied = !same && to.empty_is_null() && is_text(original, wanted, &column.name);
        column.nullable = (column.nullable || emptied) && !in_key;
        settle_timestamp(column, to);
    }
    drawing.info.uniques = uniques;
    if !same && let Some(spelling) = spelling {
        loosen(&mut drawing.info, original, spelling, wanted);
    }
    drawing
}

/// A column of the same engine: the same words.
fn twin_column(one: &Wanted<'_>, to: &dyn Dialect) -> ColumnInfo {
    let mut declared = one.like.declared.clone();
    if let Some(collation) = one
        .like
        .collation
        .as_ref()
        .filter(|_| one.like.kind == Kind::Text)
    {
        declared = match to.name() {
            "mysql" => format!("{declared} COLLATE {collation}"),
            _ => format!("{declared} COLLATE {}", to.quote(collation)),
        };
    }
    let default = one
        .like
        .default
        .clone()
        .filter(|_| !one.like.auto && !one.like.generated);
    ColumnInfo {
        name: one.name.to_owned(),
        declared,
        default,
        generated: false,
        auto: false,
        ..one.like.clone()
    }
}

/// A column of another engine. `most`: it belongs to a key that has room for so many of its characters or bytes.
fn foreign_column(
    one: &Wanted<'_>,
    of: Type,
    to: &dyn Dialect,
    spelling: Option<&Spelling>,
    most: Option<u64>,
    remarks: &mut Vec<String>,
) -> ColumnInfo {
    let mut of = of;
    if let (Some(most), Type::Text(length) | Type::Own(length) | Type::Bytes(length)) = (most, of)
        && length.is_none_or(|length| length > most)
    {
        let (bounded, unit) = match of {
            Type::Bytes(_) => (Type::Bytes(Some(most)), "bytes"),
            _ => (Type::Text(Some(most)), "characters"),
        };
        of = bounded;
        remarks.push(format!(
            "{} belongs to a key and has at most {most} {unit}",
            one.name
        ));
    }
    if of == Type::Decimal(None) && to.name() == "mysql" {
        remarks.push(format!(
            "{} has 20 digits behind the point: further ones are rounded away",
            one.name
        ));
    }
    let declared = match spelling {
        Some(spelling) => spelling.spell(of),
        None if most.is_some() && matches!(of, Type::Text(_)) => {
            to.exact_text(of.width().unwrap_or(KEY))
        }
        None => to.type_name(one.like.kind, one.like.length),
    };
    let said = one
        .like
        .default
        .as_ref()
        .filter(|_| !one.like.auto && !one.like.generated);
    let default = said.and_then(|default| carried(default, to.name(), of));
    if let (Some(said), None) = (said, &default) {
        remarks.push(format!(
            "{} has no default: {said} means nothing there",
            one.name
        ));
    }
    ColumnInfo {
        declared,
        default,
        nullable: one.like.nullable,
        ..ColumnInfo::new(one.name, one.like.kind)
    }
}

/// Whether a unique key can be made of these columns as they are: one over text without bounds cannot everywhere.
fn fits(
    original: &Side<'_>,
    to: &dyn Dialect,
    spelling: Option<&Spelling>,
    wanted: &[Wanted<'_>],
    key: &[String],
    remarks: &mut Vec<String>,
) -> bool {
    let most = spelling.map_or(Some(KEY), |spelling| spelling.key);
    let Some(most) = most else { return true };
    let columns = wanted
        .iter()
        .filter(|one| key.iter().any(|name| name == one.name));
    let widths = columns.map(|one| match type_of(original.dialect, one.like) {
        Type::Text(length) | Type::Own(length) => length,
        Type::Json | Type::Bytes(_) => None,
        _ => Some(0),
    });
    let whole: Option<u64> = widths.sum();
    let fits = whole.is_some_and(|characters| characters <= most);
    if !fits {
        let columns = key.join(", ");
        let name = to.name();
        remarks.push(format!(
            "({columns}) is not unique there: no key of {name} takes text as long as that"
        ));
    }
    fits
}

fn is_text(original: &Side<'_>, wanted: &[Wanted<'_>], name: &str) -> bool {
    let one = wanted.iter().find(|one| one.name == name);
    one.is_some_and(|one| {
        matches!(
            type_of(original.dialect, one.like),
            Type::Text(_) | Type::Own(_)
        )
    })
}

fn is_bytes(original: &Side<'_>, wanted: &[Wanted<'_>], name: &str) -> bool {
    let one = wanted.iter().find(|one| one.own && one.name == name);
    one.is_some_and(|one| matches!(type_of(original.dialect, one.like), Type::Bytes(_)))
}

/// MySQL gives the first TIMESTAMP of a table a default and a life of its own unless NULL is allowed in so many words.
fn settle_timestamp(column: &mut ColumnInfo, to: &dyn Dialect) {
    let is_timestamp = column
        .declared
        .to_ascii_lowercase()
        .starts_with("timestamp");
    if to.name() == "mysql" && is_timestamp && column.nullable {
        column.declared.push_str(" NULL");
    }
}

/// Takes the bounds from texts that would not all fit into one row.
fn loosen(info: &mut TableInfo, original: &Side<'_>, spelling: &Spelling, wanted: &[Wanted<'_>]) {
    let Some(mut left) = spelling.row else { return };
    let keys: Vec<&String> = info
        .primary_key
        .iter()
        .chain(info.uniques.iter().flatten())
        .collect();
    for (column, one) in info.columns.iter_mut().zip(wanted) {
        let (Type::Text(length) | Type::Own(length)) = type_of(original.dialect, one.like) else {
            continue;
        };
        if keys.contains(&&column.name) || !spelling.bounds(length) {
            continue;
        }
        let length = length.unwrap_or(0);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => {
                column.declared = spelling.spell(Type::Text(None));
                column.default = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(name: &str) -> &'static dyn Dialect {
        db::dialect_of(&format!("{name}:x")).unwrap()
    }

    fn column(name: &str, kind: Kind, declared: &str) -> ColumnInfo {
        ColumnInfo {
            declared: declared.to_owned(),
            ..ColumnInfo::new(name, kind)
        }
    }

    fn all(info: &TableInfo) -> Vec<Wanted<'_>> {
        info.columns
            .iter()
            .map(|column| Wanted::column(&column.name, column))
            .collect()
    }

    fn flights() -> TableInfo {
        let mut info = TableInfo {
            columns: vec![
                ColumnInfo {
                    auto: true,
                    default: Some("nextval('f'::regclass)".to_owned()),
                    nullable: false,
                    ..column("id", Kind::Integer, "bigint")
                },
                ColumnInfo {
                    nullable: false,
                    default: Some("'x'::text".to_owned()),
                    ..column("code", Kind::Text, "text")
                },
                column("at", Kind::Instant, "timestamp with time zone"),
                ColumnInfo {
                    generated: true,
                    default: Some("id * 2".to_owned()),
                    ..column("twice", Kind::Integer, "bigint")
                },
                column("tags", Kind::Text, "text[]"),
            ],
            primary_key: vec!["code".to_owned(), "id".to_owned()],
            uniques: vec![vec!["at".to_owned()], vec!["tags".to_owned()]],
            view: false,
        };
        info.columns[2].default = Some("now()".to_owned());
        info
    }

    #[test]
    fn another_engine_gets_types_that_hold_everything() {
        let info = flights();
        let side = Side {
            dialect: dialect("postgres"),
            info: &info,
        };
        let drawing = draw(&side, dialect("mysql"), &all(&info));
        let declared: Vec<&str> = drawing
            .info
            .columns
            .iter()
            .map(|column| column.declared.as_str())
            .collect();
        assert_eq!(
            declared,
            [
                "BIGINT",
                "VARCHAR(758) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
                "TIMESTAMP(6) NULL",
                "BIGINT",
                "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            ]
        );
        let defaults: Vec<Option<&str>> = drawing
            .info
            .columns
            .iter()
            .map(|column| column.default.as_deref())
            .collect();
        assert_eq!(
            defaults,
            [None, Some("'x'"), Some("CURRENT_TIMESTAMP(6)"), None, None]
        );
        assert_eq!(drawing.info.primary_key, ["code", "id"]);
        assert_eq!(drawing.info.uniques, [["at"]]);
        assert_eq!(drawing.remarks.len(), 2, "{:?}", drawing.remarks);
        assert!(drawing.remarks[1].contains("758"), "{:?}", drawing.remarks);
    }

    #[test]
    fn bytes_in_a_key_are_bounded_where_keys_are() {
        let mut info = TableInfo {
            columns: vec![
                column("hash", Kind::Blob, "bytea"),
                column("body", Kind::Blob, "bytea"),
            ],
            primary_key: vec!["hash".to_owned()],
            ..TableInfo::default()
        };
        let made = |info: &TableInfo, to: &str| -> Vec<String> {
            let side = Side {
                dialect: dialect("postgres"),
                info,
            };
            let drawing = draw(&side, dialect(to), &all(info));
            let columns = drawing.info.columns.into_iter();
            columns.map(|column| column.declared).collect()
        };
        assert_eq!(made(&info, "mysql"), ["VARBINARY(768)", "LONGBLOB"]);
        assert_eq!(made(&info, "sqlite"), ["BLOB", "BLOB"]);
        info.primary_key.push("body".to_owned());
        assert_eq!(made(&info, "mysql"), ["VARBINARY(384)", "VARBINARY(384)"]);
        info.columns.push(column("n", Kind::Integer, "bigint"));
        info.primary_key.push("n".to_owned());
        assert_eq!(
            made(&info, "mysql"),
            ["VARBINARY(379)", "VARBINARY(379)", "BIGINT"]
        );
    }

    #[test]
    fn the_same_engine_gets_the_same_words() {
        let mut info = flights();
        info.columns[1].collation = Some("C".to_owned());
        let side = Side {
            dialect: dialect("postgres"),
            info: &info,
        };
        let drawing = draw(&side, dialect("postgres"), &all(&info));
        assert_eq!(drawing.info.columns[1].declared, "text COLLATE \"C\"");
        assert_eq!(
            drawing.info.columns[1].default.as_deref(),
            Some("'x'::text")
        );
        assert_eq!(
            (
                &drawing.info.columns[0].default,
                drawing.info.columns[3].generated
            ),
            (&None, false)
        );
        assert_eq!(drawing.info.uniques.len(), 2);
        assert!(drawing.remarks.is_empty());
    }

    #[test]
    fn columns_take_new_names_into_the_keys() {
        let info = flights();
        let side = Side {
            dialect: dialect("postgres"),
            info: &info,
        };
        let wanted = [
            Wanted::column("nr", &info.columns[0]),
            Wanted::column("kennung", &info.columns[1]),
        ];
        let drawing = draw(&side, dialect("sqlite"), &wanted);
        assert_eq!(drawing.info.primary_key, ["kennung", "nr"]);
        assert!(drawing.info.uniques.is_empty());
        let drawing = draw(&side, dialect("sqlite"), &wanted[..1]);
        assert!(drawing.info.primary_key.is_empty() && !drawing.remarks.is_empty());
    }

    #[test]
    fn a_row_of_long_texts_fits_a_row_of_mysql() {
        let mut info = TableInfo::default();
        for n in 0..10 {
            info.columns.push(ColumnInfo {
                length: Some(4_000),
                ..column(&format!("c{n}"), Kind::Text, "character varying(4000)")
            });
        }
        let side = Side {
            dialect: dialect("postgres"),
            info: &info,
        };
        let drawing = draw(&side, dialect("mysql"), &all(&info));
        let short = drawing
            .info
            .columns
            .iter()
            .filter(|column| column.declared.starts_with("VARCHAR"))
            .count();
        assert_eq!(short, 3);
    }

    #[test]
    fn texts_of_oracle_may_be_empty() {
        let mut info = flights();
        for column in &mut info.columns {
            column.nullable = false;
        }
        let side = Side {
            dialect: dialect("postgres"),
            info: &info,
        };
        let drawing = draw(&side, dialect("oracle"), &all(&info));
        for column in &drawing.info.columns {
            let text = column.kind == Kind::Text;
            let in_key = drawing.info.primary_key.contains(&column.name);
            assert_eq!(column.nullable, text && !in_key, "{column:?}");
        }
    }
}
