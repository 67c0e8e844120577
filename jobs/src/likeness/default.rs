//! Defaults that mean the same in every database. Pure.

use super::types::Type;

/// The default, an expression of one database, as another writes it; `None` = it means something there alone.
///
/// Carried over are numbers, text, truth and the current time; a PostgreSQL cast of such to the column's own type is left out.
pub(super) fn carried(expression: &str, to: &str, of: Type) -> Option<String> {
    let plain = without_cast(expression.trim());
    let upper = plain.to_ascii_uppercase();
    let now = [
        "CURRENT_TIMESTAMP",
        "NOW()",
        "CLOCK_TIMESTAMP()",
        "LOCALTIMESTAMP",
        "SYSDATE",
        "SYSTIMESTAMP",
        "GETDATE()",
        "SYSDATETIME()",
    ];
    let bare = upper.split('(').next().unwrap_or_default();
    if now.contains(&upper.as_str()) || bare == "CURRENT_TIMESTAMP" {
        return current_time(to, of);
    }
    if upper == "NULL" {
        return None;
    }
    if of == Type::Bool {
        let truth = match upper.trim_matches(['\'', '(', ')']) {
            "TRUE" | "1" | "T" => true,
            "FALSE" | "0" | "F" => false,
            _ => return None,
        };
        let words = if to == "postgres" {
            ["FALSE", "TRUE"]
        } else {
            ["0", "1"]
        };
        return Some(words[usize::from(truth)].to_owned());
    }
    let number = plain.trim_matches(['(', ')']);
    if db::form::read_number(number.as_bytes()).is_some() {
        return Some(number.to_owned());
    }
    let text = plain
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))?;
    let holds = matches!(of, Type::Text(Some(_)) | Type::Own(Some(_)) | Type::Date | Type::Time(_) | Type::Timestamp(_) | Type::Uuid)
        || is_number(of)
        // text without bounds has no default on MySQL
        || matches!(of, Type::Text(None) | Type::Own(None) | Type::Json) && to != "mysql";
    // a quote within, or a backslash, is read otherwise elsewhere
    let simple = !text.replace("''", "").contains('\'') && !text.contains('\\');
    (holds && simple).then(|| format!("'{text}'"))
}

fn is_number(of: Type) -> bool {
    matches!(of, Type::Whole { .. } | Type::Decimal(_) | Type::Float(_))
}

/// `'x'::character varying` is `'x'`.
fn without_cast(expression: &str) -> &str {
    match expression.rsplit_once("::") {
        Some((plain, word))
            if !word.contains(['\'', ')', '(']) || word.ends_with(')') && !word.contains('\'') =>
        {
            plain
        }
        _ => expression,
    }
}

/// The current time as the default of a column of that type.
fn current_time(to: &str, of: Type) -> Option<String> {
    match (to, of) {
        ("mysql", Type::Timestamp(fraction) | Type::Instant(fraction)) => Some(match fraction {
            0 => "CURRENT_TIMESTAMP".to_owned(),
            digits => format!("CURRENT_TIMESTAMP({})", digits.min(6)),
        }),
        ("mysql", _) => None,
        (_, Type::Timestamp(_) | Type::Instant(_)) => Some("CURRENT_TIMESTAMP".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_the_same_everywhere_is_carried_over() {
        let whole = Type::Whole {
            bits: 32,
            signed: true,
        };
        for (expression, to, of, expected) in [
            ("0", "postgres", whole, Some("0")),
            ("'0'", "postgres", whole, Some("'0'")),
            ("(-1.5)", "mysql", Type::Decimal(None), Some("-1.5")),
            (
                "'a''b'::character varying",
                "mysql",
                Type::Text(Some(9)),
                Some("'a''b'"),
            ),
            ("'a'", "mysql", Type::Text(None), None),
            ("'a'::text", "sqlite", Type::Text(None), Some("'a'")),
            ("'a\\b'", "sqlite", Type::Text(None), None),
            ("true", "mysql", Type::Bool, Some("1")),
            ("'1'", "postgres", Type::Bool, Some("TRUE")),
            (
                "now()",
                "mysql",
                Type::Timestamp(6),
                Some("CURRENT_TIMESTAMP(6)"),
            ),
            (
                "current_timestamp()",
                "postgres",
                Type::Instant(0),
                Some("CURRENT_TIMESTAMP"),
            ),
            ("CURRENT_TIMESTAMP", "mysql", Type::Date, None),
            ("nextval('s'::regclass)", "mysql", whole, None),
            ("uuid()", "postgres", Type::Uuid, None),
            ("NULL", "mysql", whole, None),
            ("'a' || 'b'", "mysql", Type::Text(Some(9)), None),
        ] {
            assert_eq!(
                carried(expression, to, of).as_deref(),
                expected,
                "{expression} to {to}"
            );
        }
    }
}
