//! A table a year, a month or a day: the name of a history table from a date. Pure.

use chrono::{Days, Months, NaiveDate};
use serde::{Deserialize, Serialize};

/// A piece of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Word(String),
    Year,
    Month,
    Day,
}

/// A table's name with `{yyyy}`, `{mm}` and `{dd}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

/// The dates of one table: from the first to before the last, each as `2026-11-21`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    pub(super) from: String,
    pub(super) before: String,
}

impl Pattern {
    /// Reads a name.
    pub(super) fn parse(text: &str) -> Result<Pattern, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((word, behind)) = rest.split_once('{') {
            if !word.is_empty() {
                pieces.push(Piece::Word(word.to_owned()));
            }
            let (name, after) = behind
                .split_once('}')
                .ok_or_else(|| format!("`{{` without `}}` in `{text}`"))?;
            pieces.push(match name {
                "yyyy" => Piece::Year,
                "mm" => Piece::Month,
                "dd" => Piece::Day,
                other => return Err(format!("`{{{other}}}` is none of {{yyyy}} {{mm}} {{dd}}")),
            });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Word(rest.to_owned()));
        }
        let has = |piece| pieces.contains(&piece);
        if has(Piece::Day) && !has(Piece::Month) || has(Piece::Month) && !has(Piece::Year) {
            return Err(format!(
                "`{text}` would put different times into one table: {{dd}} needs {{mm}}, and {{mm}} needs {{yyyy}}"
            ));
        }
        if pieces.is_empty() {
            return Err("a table has a name".to_owned());
        }
        Ok(Pattern(pieces))
    }

    /// Whether the name depends on a date.
    pub(super) fn is_dated(&self) -> bool {
        self.0.contains(&Piece::Year)
    }

    /// The name for a date.
    pub(super) fn name(&self, date: NaiveDate) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Word(word) => word.clone(),
            Piece::Year => date.format("%Y").to_string(),
            Piece::Month => date.format("%m").to_string(),
            Piece::Day => date.format("%d").to_string(),
        };
        self.0.iter().map(piece).collect()
    }

    /// The dates that share the name of this one; `None` at the end of time.
    pub(super) fn span(&self, date: NaiveDate) -> Option<Span> {
        use chrono::Datelike;
        let has = |piece| self.0.contains(&piece);
        let (from, before) = if has(Piece::Day) {
            (date, date.checked_add_days(Days::new(1))?)
        } else if has(Piece::Month) {
            let first = date.with_day(1)?;
            (first, first.checked_add_months(Months::new(1))?)
        } else {
            let first = NaiveDate::from_ymd_opt(date.year(), 1, 1)?;
            (first, first.checked_add_months(Months::new(12))?)
        };
        let text = |date: NaiveDate| date.format("%Y-%m-%d").to_string();
        Some(Span {
            from: text(from),
            before: text(before),
        })
    }
}

/// The date that a database's text of a date or time begins with.
pub(super) fn date_of(text: &str) -> Option<NaiveDate> {
    let date = text.get(..10)?;
    NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(pattern: &str, text: &str) -> (String, Option<Span>) {
        let (pattern, date) = (Pattern::parse(pattern).unwrap(), date_of(text).unwrap());
        (pattern.name(date), pattern.span(date))
    }

    #[test]
    fn names_follow_dates() {
        let span = |from: &str, before: &str| {
            Some(Span {
                from: from.to_owned(),
                before: before.to_owned(),
            })
        };
        assert_eq!(
            name("t_{yyyy}{mm}", "2013-12-31 23:59:59.5"),
            ("t_201312".into(), span("2013-12-01", "2014-01-01"))
        );
        assert_eq!(
            name("{yyyy}_t", "2013-02-03"),
            ("2013_t".into(), span("2013-01-01", "2014-01-01"))
        );
        assert_eq!(
            name("h.t{yyyy}{mm}{dd}x", "2012-02-28T00:00:00Z"),
            ("h.t20120228x".into(), span("2012-02-28", "2012-02-29"))
        );
        assert!(!Pattern::parse("t_his").unwrap().is_dated());
    }

    #[test]
    fn names_that_mean_nothing_are_refused() {
        for bad in ["t_{mm}", "t_{yyyy}{dd}", "t_{yy}", "t_{yyyy", ""] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
        for bad in ["", "0000-00-00", "2013-13-01", "20130101120000", "äöüßäöüß"] {
            assert_eq!(date_of(bad), None, "{bad}");
        }
    }
}
