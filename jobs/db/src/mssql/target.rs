//! A column that rows are loaded into: its text as SQL Server reads it, what it would bend is refused here or by a condition there.
//! Pure text.

use super::dialect::Mssql;
use crate::{ColumnInfo, Dialect, Kind, form};
use std::borrow::Cow;

/// A column that rows are loaded into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) required: bool,
    pub(super) identity: bool,
    declared: String,
    /// Of text alone; `None` is the database's own.
    collation: Option<String>,
}

impl Target {
    pub(super) fn new(column: &ColumnInfo) -> Self {
        Target {
            name: column.name.clone(),
            kind: column.kind,
            required: !column.nullable && !column.auto && column.default.is_none(),
            identity: column.auto,
            declared: column.declared.clone(),
            collation: column.collation.clone(),
        }
    }

    /// The type's name without its size.
    fn word(&self) -> &str {
        let end = self.declared.find('(').unwrap_or(self.declared.len());
        &self.declared[..end]
    }

    /// The size within brackets; `None` where there is none, or no limit.
    fn size(&self) -> Option<u64> {
        let (_, rest) = self.declared.split_once('(')?;
        rest.split([',', ')']).next()?.parse().ok()
    }

    fn collate(&self) -> String {
        match &self.collation {
            Some(collation) => format!(" COLLATE {collation}"),
            None => " COLLATE DATABASE_DEFAULT".to_owned(),
        }
    }

    /// The expression that makes the column's value of `text`; NULL where it cannot.
    pub(super) fn value(&self, text: &str) -> String {
        let whole = &self.declared;
        match self.word() {
            // the collation inside decides about the code page, and stays with the result
            "char" | "varchar" | "nchar" | "nvarchar" => {
                format!("CONVERT({whole}, {text}{})", self.collate())
            }
            "text" | "ntext" | "sql_variant" => text.to_owned(),
            "binary" | "varbinary" => {
                format!("TRY_CONVERT({whole}, TRY_CONVERT(varbinary(max), {text}, 2))")
            }
            "image" => format!("TRY_CONVERT(varbinary(max), {text}, 2)"),
            "hierarchyid" | "geometry" | "geography" => {
                format!("CONVERT({whole}, TRY_CONVERT(varbinary(max), {text}, 2))")
            }
            // these know no more than three decimals in text, and days by the session's language
            "datetime" | "smalldatetime" => {
                format!("TRY_CONVERT({whole}, TRY_CONVERT(datetime2(7), {text}, 121))")
            }
            "date" | "datetime2" | "datetimeoffset" => format!("TRY_CONVERT({whole}, {text}, 121)"),
            _ => format!("TRY_CONVERT({whole}, {text})"),
        }
    }

    /// The condition under which `text` is none that the column can hold; empty where every text is.
    pub(super) fn misfit(&self, text: &str) -> String {
        let size = self.size();
        let mut conditions = Vec::new();
        match self.word() {
            "nchar" | "nvarchar" => {
                if let Some(size) = size {
                    conditions.push(format!("DATALENGTH({text}) > {}", size * 2));
                }
            }
            "char" | "varchar" | "text" => {
                let narrow = format!("CONVERT(varchar(max), {text}{})", self.collate());
                if let Some(size) = size {
                    conditions.push(format!("DATALENGTH({narrow}) > {size}"));
                }
                // not every character is in the column's code page
                conditions.push(format!(
                    "CONVERT(nvarchar(max), {narrow}) COLLATE Latin1_General_100_BIN2 <> {text} COLLATE Latin1_General_100_BIN2"
                ));
            }
            "binary" | "varbinary" => {
                let bytes = format!("TRY_CONVERT(varbinary(max), {text}, 2)");
                conditions.push(format!("{bytes} IS NULL"));
                if let Some(size) = size {
                    conditions.push(format!("DATALENGTH({bytes}) > {size}"));
                }
            }
            "ntext" | "sql_variant" => {}
            "hierarchyid" | "geometry" | "geography" | "image" => {
                conditions.push(format!("TRY_CONVERT(varbinary(max), {text}, 2) IS NULL"));
            }
            _ => conditions.push(format!("{} IS NULL", self.value(text))),
        }
        match conditions.len() {
            0 => String::new(),
            _ => format!("({text} IS NOT NULL AND ({}))", conditions.join(" OR ")),
        }
    }

    /// The text as SQL Server reads it; an error where it would take something else than what was meant.
    pub(super) fn readable<'t>(&self, text: &'t [u8]) -> Result<Cow<'t, [u8]>, &'static str> {
        let trimmed = text.trim_ascii();
        match self.kind {
            Kind::Integer => form::is_whole(trimmed)
                .then(|| trimmed.into())
                .ok_or("not a whole number"),
            Kind::Decimal => plain_decimal(trimmed).ok_or("not a number that the column can hold"),
            Kind::Real => match form::read_float(trimmed) {
                Some(number) if number.is_finite() => Ok(trimmed.into()),
                _ => Err("not a number that the column can hold"),
            },
            Kind::Bool => form::plain_bool(trimmed)
                .map(Into::into)
                .ok_or("neither 1 nor 0"),
            Kind::Blob => form::is_hex(text)
                .then(|| text.into())
                .ok_or("not pairs of hex digits"),
            Kind::Timestamp => Ok(crate::instant::to_utc(text).unwrap_or(text.into())),
            Kind::Instant => zoned(trimmed).ok_or("not a time with a zone"),
            // a longer text would be cut to one
            Kind::Text
                if self.word() == "uniqueidentifier" && !matches!(trimmed.len(), 36 | 38) =>
            {
                Err("not a unique identifier")
            }
            _ if std::str::from_utf8(text).is_err() => Err("not UTF-8"),
            _ => Ok(text.into()),
        }
    }

    /// Its quoted name.
    pub(super) fn quoted(&self) -> String {
        Mssql.quote(&self.name)
    }
}

/// A number without an exponent, which a DECIMAL does not read.
fn plain_decimal(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    form::read_number(text)?;
    let Some(mark) = text.iter().position(|byte| matches!(byte, b'e' | b'E')) else {
        return Some(text.into());
    };
    let exponent: i32 = std::str::from_utf8(&text[mark + 1..]).ok()?.parse().ok()?;
    let mantissa = std::str::from_utf8(&text[..mark]).ok()?;
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let point = i32::try_from(whole.len()).ok()? + exponent;
    // no DECIMAL has more than 38 digits
    if !(-60..=60).contains(&point) {
        return None;
    }
    let mut digits = format!("{whole}{fraction}");
    if point < 0 {
        digits.insert_str(0, &"0".repeat(usize::try_from(-point).ok()?));
    }
    let point = usize::try_from(point.max(0)).ok()?;
    while digits.len() < point {
        digits.push('0');
    }
    let (whole, fraction) = digits.split_at(point);
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(
        format!("{sign}{whole}{point}{fraction}")
            .into_bytes()
            .into(),
    )
}

/// `2026-11-21 13:45:00.25+01` as DATETIMEOFFSET reads it: hours and minutes of the zone, a space before them.
fn zoned(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let text = std::str::from_utf8(text).ok()?;
    let clock = text.find(':')?;
    let Some(at) = text[clock..]
        .find(['+', '-', 'Z', 'z'])
        .map(|at| clock + at)
    else {
        return Some(text.as_bytes().into());
    };
    let (time, zone) = (text[..at].trim_end(), &text[at..]);
    let zone = match zone.as_bytes() {
        [b'Z' | b'z'] => "+00:00".to_owned(),
        [_, _, _] => format!("{zone}:00"),
        [_, _, _, b':', _, _] => zone.to_owned(),
        [_, _, _, _, _] => format!("{}:{}", &zone[..3], &zone[3..]),
        _ => return None,
    };
    Some(format!("{time} {zone}").into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(kind: Kind, declared: &str) -> Target {
        let mut column = ColumnInfo::new("c", kind);
        column.declared = declared.to_owned();
        column.collation = Some("Latin1_General_CI_AS".to_owned());
        Target::new(&column)
    }

    #[test]
    fn each_type_is_converted_its_own_way() {
        for (kind, declared, value) in [
            (Kind::Integer, "int", "TRY_CONVERT(int, x)"),
            (Kind::Bool, "bit", "TRY_CONVERT(bit, x)"),
            (
                Kind::Decimal,
                "decimal(10,2)",
                "TRY_CONVERT(decimal(10,2), x)",
            ),
            (Kind::Decimal, "money", "TRY_CONVERT(money, x)"),
            (Kind::Real, "float(53)", "TRY_CONVERT(float(53), x)"),
            (Kind::Date, "date", "TRY_CONVERT(date, x, 121)"),
            (Kind::Time, "time(7)", "TRY_CONVERT(time(7), x)"),
            (
                Kind::Timestamp,
                "datetime2(7)",
                "TRY_CONVERT(datetime2(7), x, 121)",
            ),
            (
                Kind::Timestamp,
                "datetime",
                "TRY_CONVERT(datetime, TRY_CONVERT(datetime2(7), x, 121))",
            ),
            (
                Kind::Instant,
                "datetimeoffset(7)",
                "TRY_CONVERT(datetimeoffset(7), x, 121)",
            ),
            (
                Kind::Text,
                "nvarchar(20)",
                "CONVERT(nvarchar(20), x COLLATE Latin1_General_CI_AS)",
            ),
            (
                Kind::Text,
                "uniqueidentifier",
                "TRY_CONVERT(uniqueidentifier, x)",
            ),
            (Kind::Text, "xml", "TRY_CONVERT(xml, x)"),
            (
                Kind::Blob,
                "varbinary(9)",
                "TRY_CONVERT(varbinary(9), TRY_CONVERT(varbinary(max), x, 2))",
            ),
        ] {
            assert_eq!(target(kind, declared).value("x"), value);
        }
    }

    #[test]
    fn nothing_is_cut_or_bent() {
        assert_eq!(
            target(Kind::Text, "nvarchar(20)").misfit("x"),
            "(x IS NOT NULL AND (DATALENGTH(x) > 40))"
        );
        assert_eq!(target(Kind::Text, "nvarchar(max)").misfit("x"), "");
        let narrow = target(Kind::Text, "varchar(20)").misfit("x");
        assert!(
            narrow
                .contains("DATALENGTH(CONVERT(varchar(max), x COLLATE Latin1_General_CI_AS)) > 20")
        );
        assert!(narrow.contains("<> x COLLATE Latin1_General_100_BIN2"));
        assert_eq!(
            target(Kind::Integer, "int").misfit("x"),
            "(x IS NOT NULL AND (TRY_CONVERT(int, x) IS NULL))"
        );
        assert!(
            target(Kind::Blob, "binary(4)")
                .misfit("x")
                .contains("DATALENGTH(TRY_CONVERT(varbinary(max), x, 2)) > 4")
        );
    }

    #[test]
    fn text_is_read_as_it_was_meant_or_not_at_all() {
        let read = |kind, declared: &str, text: &str| {
            let target = target(kind, declared);
            target
                .readable(text.as_bytes())
                .ok()
                .map(|text| String::from_utf8(text.to_vec()).unwrap())
        };
        let is = |kind, declared, text, read_as: &str| {
            assert_eq!(
                read(kind, declared, text).as_deref(),
                Some(read_as),
                "{text}"
            );
        };
        is(Kind::Integer, "int", " +5 ", "+5");
        is(Kind::Bool, "bit", "True", "1");
        is(Kind::Decimal, "decimal(10,2)", "1.5e2", "150");
        is(Kind::Decimal, "decimal(10,2)", "-1E-3", "-0.001");
        is(Kind::Decimal, "decimal(10,2)", "12.50", "12.50");
        is(
            Kind::Timestamp,
            "datetime2(7)",
            "2026-11-21 13:45:00+01:00",
            "2026-11-21 12:45:00",
        );
        is(
            Kind::Instant,
            "datetimeoffset(7)",
            "2026-11-21 13:45:00.25+01",
            "2026-11-21 13:45:00.25 +01:00",
        );
        is(
            Kind::Instant,
            "datetimeoffset(7)",
            "2026-11-21T13:45:00Z",
            "2026-11-21T13:45:00 +00:00",
        );
        is(
            Kind::Instant,
            "datetimeoffset(7)",
            "2026-11-21 13:45:00-0330",
            "2026-11-21 13:45:00 -03:30",
        );
        for (kind, declared, text) in [
            (Kind::Integer, "int", "1.5"),
            (Kind::Integer, "int", ""),
            (Kind::Bool, "bit", "2"),
            (Kind::Decimal, "decimal(10,2)", "1e999"),
            (Kind::Real, "real", "NaN"),
            (Kind::Blob, "varbinary(9)", "0g"),
            (Kind::Instant, "datetimeoffset(7)", "yesterday"),
            (
                Kind::Text,
                "uniqueidentifier",
                "123e4567-e89b-12d3-a456-4266141740000",
            ),
        ] {
            assert_eq!(read(kind, declared, text), None, "{text}");
        }
    }
}
