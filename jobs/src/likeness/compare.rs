//! Two tables side by side: what is lost, or refused, when rows of the one go into the other. Pure.

use db::{ColumnInfo, Dialect, Kind, TableInfo};

use super::holds::lost;
use super::read::type_of;
use super::types::Type;

/// A table and the database that it is in.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// How the database writes SQL.
    pub dialect: &'static dyn Dialect,
    /// The table's dictionary.
    pub info: &'a TableInfo,
}

/// A column of the target and what fills it.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// The source's column; `None` = something else, of which nothing is known here.
    pub from: Option<&'a str>,
    /// The target's column.
    pub to: &'a str,
}

/// Everything that keeps the target from taking the source's rows as they are, a plain sentence each; empty = nothing does.
#[must_use]
pub fn mismatches(source: &Side<'_>, target: &Side<'_>, pairs: &[Pair<'_>]) -> Vec<String> {
    let mut told = Vec::new();
    for pair in pairs {
        let Some(to) = target.info.column(pair.to) else {
            told.push(format!("the target has no column {}", pair.to));
            continue;
        };
        if to.generated {
            told.push(format!(
                "{} is computed by the target: nothing can be put into it",
                to.name
            ));
            continue;
        }
        let Some(from) = pair.from else { continue };
        let Some(from) = source.info.column(from) else {
            told.push(format!("the source has no column {from}"));
            continue;
        };
        column(source, target, from, to, &mut told);
    }
    for to in &target.info.columns {
        let filled = pairs.iter().any(|pair| {
            target
                .info
                .column(pair.to)
                .is_some_and(|column| column.name == to.name)
        });
        if !filled && !to.nullable && to.default.is_none() && !to.auto && !to.generated {
            told.push(format!(
                "{} of the target must have a value, and nothing fills it",
                to.name
            ));
        }
    }
    key(source, target, pairs, &mut told);
    told
}

fn column(
    source: &Side<'_>,
    target: &Side<'_>,
    from: &ColumnInfo,
    to: &ColumnInfo,
    told: &mut Vec<String>,
) {
    let wide = type_of(source.dialect, from);
    if let Some(why) = not_held(source, target, from, to) {
        let (name, here, there) = (&to.name, words(to), words(from));
        let of = if from.name == to.name {
            String::new()
        } else {
            format!(" ({})", from.name)
        };
        told.push(format!(
            "{name} is {here} and not all of {there}{of} fits: {why}"
        ));
    }
    if from.nullable && !to.nullable && !source.info.primary_key.contains(&from.name) {
        told.push(format!(
            "{} must not be NULL, and {} of the source may be",
            to.name, from.name
        ));
    }
    let empties = target.dialect.empty_is_null() && !source.dialect.empty_is_null();
    if empties && !to.nullable && matches!(wide, Type::Text(_)) {
        told.push(format!(
            "{} must not be NULL, and an empty text of {} is NULL there",
            to.name, from.name
        ));
    }
    if matches!(wide, Type::Text(_) | Type::Own(_)) && to.kind == Kind::Text {
        collation(source, target, from, to, told);
    }
}

/// Why a column cannot take all values of another as they are.
fn not_held(
    source: &Side<'_>,
    target: &Side<'_>,
    from: &ColumnInfo,
    to: &ColumnInfo,
) -> Option<String> {
    let (wide, narrow) = (type_of(source.dialect, from), type_of(target.dialect, to));
    let same = source.dialect.name() == target.dialect.name()
        && from.declared.eq_ignore_ascii_case(&to.declared);
    // who has a boolean for MySQL's tinyint(1) knows that there is no more in it; what there is is refused, not altered
    let flags = from.kind == Kind::Bool && narrow == Type::Bool;
    match target.dialect.name() {
        _ if same || flags => None,
        // it takes anything anywhere, but holds text that looks like a number to be one
        "sqlite" => loose(wide, narrow),
        "mysql" => lost(wide, narrow).or_else(|| short_lived(source, wide, narrow)),
        _ => lost(wide, narrow),
    }
}

/// Whether a column may take values of another otherwise than they are, without a word: rounded, cut, or as another type's. Text or
/// bytes that are too long, and whole numbers that are too great, are refused by every database.
#[must_use]
pub fn may_alter(source: &Side<'_>, target: &Side<'_>, from: &ColumnInfo, to: &ColumnInfo) -> bool {
    match (type_of(source.dialect, from), type_of(target.dialect, to)) {
        (_, Type::Text(_))
        | (Type::Bytes(_), Type::Bytes(_))
        | (Type::Whole { .. }, Type::Whole { .. }) => false,
        _ => not_held(source, target, from, to).is_some(),
    }
}

fn loose(source: Type, target: Type) -> Option<String> {
    let number = |of| {
        matches!(
            of,
            Type::Bool | Type::Whole { .. } | Type::Decimal(_) | Type::Float(_)
        )
    };
    match (source, target) {
        (Type::Decimal(Some(digits)), target) if number(target) && digits.all > 15 => {
            Some("it keeps 15 digits".to_owned())
        }
        (Type::Decimal(None), target) if number(target) => Some("it keeps 15 digits".to_owned()),
        (
            Type::Whole {
                bits: 64,
                signed: false,
            },
            target,
        ) if number(target) => Some("it takes whole numbers of 64 bits with a sign".to_owned()),
        (source, target) if number(target) && !number(source) => {
            Some("text that looks like a number becomes one".to_owned())
        }
        _ => None,
    }
}

/// MySQL's TIMESTAMP ends in 2038.
fn short_lived(source: &Side<'_>, wide: Type, narrow: Type) -> Option<String> {
    let ends = matches!((wide, narrow), (Type::Instant(_), Type::Instant(_)))
        && source.dialect.name() != "mysql";
    ends.then(|| "it takes the years 1970 to 2038".to_owned())
}

fn words(column: &ColumnInfo) -> String {
    if column.declared.is_empty() {
        return "without a type".to_owned();
    }
    column.declared.to_ascii_lowercase()
}

/// What comparing and storing its text otherwise means. Only MySQL's dictionary tells of both.
fn collation(
    source: &Side<'_>,
    target: &Side<'_>,
    from: &ColumnInfo,
    to: &ColumnInfo,
    told: &mut Vec<String>,
) {
    let Some(name) = to.collation.as_deref() else {
        return;
    };
    if from.collation.as_deref() == Some(name) && source.dialect.name() == target.dialect.name() {
        return;
    }
    let in_key = target.info.primary_key.contains(&to.name)
        || target.info.uniques.iter().any(|key| key.contains(&to.name));
    let blind = name.ends_with("_ci") || name.contains("_ci_") || name.contains("nocase");
    if in_key && blind {
        let column = &to.name;
        told.push(format!("{column} belongs to a key and is compared by {name}, without regard to case: keys that differ by case alone are one there"));
    }
    if target.dialect.name() != "mysql" {
        return;
    }
    let set = |name: &str| name.split('_').next().unwrap_or_default().to_owned();
    let (there, here) = (from.collation.as_deref().map(set), set(name));
    let whole = ["utf8mb4", "utf16", "utf16le", "utf32", "uca1400"].contains(&here.as_str());
    if !whole && (source.dialect.name() != "mysql" || there.as_deref() != Some(here.as_str())) {
        told.push(format!(
            "{} is in the character set {here}, which does not have every character",
            to.name
        ));
    }
}

/// Without a key the target cannot tell which of its rows a source's row is.
fn key(source: &Side<'_>, target: &Side<'_>, pairs: &[Pair<'_>], told: &mut Vec<String>) {
    if source.info.primary_key.is_empty() {
        return;
    }
    let named = |name: &String| -> Option<String> {
        let pair = pairs.iter().find(|pair| {
            pair.from
                .is_some_and(|from| from.eq_ignore_ascii_case(name))
        })?;
        target
            .info
            .column(pair.to)
            .map(|column| column.name.clone())
    };
    let Some(mut wanted) = source
        .info
        .primary_key
        .iter()
        .map(named)
        .collect::<Option<Vec<String>>>()
    else {
        let key = source.info.primary_key.join(", ");
        told.push(format!(
            "not all columns of the source's key ({key}) go into the target"
        ));
        return;
    };
    wanted.sort();
    let same = |key: &Vec<String>| {
        let mut key = key.clone();
        key.sort();
        key == wanted
    };
    if !same(&target.info.primary_key) && !target.info.uniques.iter().any(same) {
        told.push(format!(
            "the target has no primary or unique key over {}",
            wanted.join(", ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(name: &str) -> &'static dyn Dialect {
        db::dialect_of(&format!("{name}:x")).unwrap()
    }

    fn table(columns: &[(&str, Kind, &str)], key: &[&str]) -> TableInfo {
        let columns = columns.iter().map(|(name, kind, declared)| ColumnInfo {
            declared: (*declared).to_owned(),
            ..ColumnInfo::new(*name, *kind)
        });
        TableInfo {
            columns: columns.collect(),
            primary_key: key.iter().map(|name| (*name).to_owned()).collect(),
            ..TableInfo::default()
        }
    }

    fn told(
        from: (&str, &TableInfo),
        to: (&str, &TableInfo),
        pairs: &[(Option<&str>, &str)],
    ) -> Vec<String> {
        let pairs: Vec<Pair<'_>> = pairs
            .iter()
            .map(|(from, to)| Pair { from: *from, to })
            .collect();
        mismatches(
            &Side {
                dialect: dialect(from.0),
                info: from.1,
            },
            &Side {
                dialect: dialect(to.0),
                info: to.1,
            },
            &pairs,
        )
    }

    #[test]
    fn equal_tables_have_nothing_to_tell() {
        let source = table(
            &[
                ("id", Kind::Integer, "bigint"),
                ("mood", Kind::Text, "mood"),
            ],
            &["id"],
        );
        let pairs = [(Some("id"), "id"), (Some("mood"), "mood")];
        assert_eq!(
            told(("postgres", &source), ("postgres", &source), &pairs),
            [""; 0]
        );
    }

    #[test]
    fn each_loss_is_a_sentence() {
        let source = table(
            &[
                ("id", Kind::Integer, "bigint"),
                ("name", Kind::Text, "character varying(40)"),
                ("at", Kind::Instant, "timestamp with time zone"),
            ],
            &["id"],
        );
        let mut target = table(
            &[
                ("id", Kind::Integer, "int(11)"),
                ("label", Kind::Text, "varchar(20)"),
                ("at", Kind::Instant, "timestamp(6)"),
                ("must", Kind::Date, "date"),
                ("sum", Kind::Integer, "int(11)"),
            ],
            &[],
        );
        target.columns[1].nullable = false;
        target.columns[1].collation = Some("latin1_swedish_ci".to_owned());
        target.columns[3].nullable = false;
        target.columns[4].generated = true;
        let pairs = [
            (Some("id"), "id"),
            (Some("name"), "label"),
            (Some("at"), "at"),
            (None, "sum"),
            (Some("gone"), "id"),
            (None, "none"),
        ];
        assert_eq!(
            told(("postgres", &source), ("mysql", &target), &pairs),
            [
                "id is int(11) and not all of bigint fits: it takes whole numbers of 32 bits",
                "label is varchar(20) and not all of character varying(40) (name) fits: it takes 20 characters, and there may be 40",
                "label must not be NULL, and name of the source may be",
                "label is in the character set latin1, which does not have every character",
                "at is timestamp(6) and not all of timestamp with time zone fits: it takes the years 1970 to 2038",
                "sum is computed by the target: nothing can be put into it",
                "the source has no column gone",
                "the target has no column none",
                "must of the target must have a value, and nothing fills it",
                "the target has no primary or unique key over id",
            ]
        );
    }

    #[test]
    fn a_key_that_is_blind_for_case_is_told() {
        let source = table(&[("code", Kind::Text, "VARCHAR(9)")], &["code"]);
        let mut target = table(&[("code", Kind::Text, "varchar(9)")], &["code"]);
        target.columns[0].collation = Some("utf8mb4_general_ci".to_owned());
        let mut source = source;
        source.columns[0].length = Some(9);
        let found = told(
            ("sqlite", &source),
            ("mysql", &target),
            &[(Some("code"), "code")],
        );
        assert!(
            found.len() == 1 && found[0].contains("differ by case"),
            "{found:?}"
        );
    }

    #[test]
    fn sqlite_takes_almost_anything() {
        let source = table(
            &[
                ("id", Kind::Integer, "int"),
                ("n", Kind::Decimal, "numeric(38,10)"),
                ("t", Kind::Text, "text"),
            ],
            &["id"],
        );
        let target = table(
            &[
                ("id", Kind::Text, "TEXT"),
                ("n", Kind::Decimal, "NUMERIC"),
                ("t", Kind::Integer, "INT"),
            ],
            &["id"],
        );
        let found = told(
            ("postgres", &source),
            ("sqlite", &target),
            &[(Some("id"), "id"), (Some("n"), "n"), (Some("t"), "t")],
        );
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].contains("15 digits") && found[1].contains("looks like a number"),
            "{found:?}"
        );
    }

    #[test]
    fn an_empty_text_is_null_to_oracle() {
        let mut source = table(&[("name", Kind::Text, "varchar(9)")], &[]);
        let mut target = table(&[("name", Kind::Text, "VARCHAR2(9 CHAR)")], &[]);
        source.columns[0].nullable = false;
        let pairs = [(Some("name"), "name")];
        assert_eq!(
            told(("mysql", &source), ("oracle", &target), &pairs),
            [""; 0]
        );
        target.columns[0].nullable = false;
        let words = told(("mysql", &source), ("oracle", &target), &pairs).concat();
        assert!(words.contains("an empty text of name is NULL"), "{words}");
    }
}
