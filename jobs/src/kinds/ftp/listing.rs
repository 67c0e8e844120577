//! What a server says of the files in a folder: lines of MLSD, and of LIST in the forms that are met. Pure.
//!
//! MLSD is RFC 3659, with times in UTC to the second. LIST has no standard: the forms of `ls -l` (with times to the
//! minute for half a year, to the day before that), of `ls --time-style=long-iso`, and of DOS are known here. So every time has its
//! precision, and two times are compared at the coarser one.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use serde::{Deserialize, Serialize};

/// How exact a time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Precision {
    Second,
    Minute,
    Day,
}

/// When a file was last written, as far as the server tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    /// In UTC once the server's zone was taken into account.
    pub(super) at: NaiveDateTime,
    pub(super) precision: Precision,
}

impl Stamp {
    /// A time to the second.
    pub(super) fn exact(at: NaiveDateTime) -> Stamp {
        Stamp {
            at,
            precision: Precision::Second,
        }
    }

    /// Whether both may be the same instant, seen at different precisions.
    pub(super) fn agrees(&self, other: &Stamp) -> bool {
        if self.precision == other.precision {
            return self.at == other.at;
        }
        let coarse = match self.precision.max(other.precision) {
            Precision::Second => TimeDelta::seconds(1),
            Precision::Minute => TimeDelta::minutes(1),
            Precision::Day => TimeDelta::days(1),
        };
        (self.at - other.at).abs() < coarse
    }
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// A link, a device, the folder itself or the one above it.
    Other,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Bytes.
    pub(super) size: u64,
    pub(super) stamp: Option<Stamp>,
}

/// A line of MLSD or MLST: `type=file;size=3;modify=20260102030405; name`. `None` for what is no such line.
pub(super) fn parse_mlsd(line: &str) -> Option<Listed> {
    let (facts, name) = match line.strip_prefix(' ') {
        Some(name) => ("", name),
        None => line.split_once("; ").or_else(|| line.split_once(' '))?,
    };
    let mut listed = Listed {
        name: name.to_owned(),
        kind: Kind::Other,
        size: 0,
        stamp: None,
    };
    let mut typed = false;
    for fact in facts.split(';') {
        let Some((fact, value)) = fact.split_once('=') else {
            continue;
        };
        match fact.to_ascii_lowercase().as_str() {
            "type" => {
                typed = true;
                listed.kind = match value.to_ascii_lowercase().as_str() {
                    "file" => Kind::File,
                    "dir" => Kind::Folder,
                    _ => Kind::Other,
                };
            }
            "size" => listed.size = value.parse().ok()?,
            "modify" => listed.stamp = time_value(value).map(Stamp::exact),
            _ => {}
        }
    }
    (typed && !name.is_empty()).then_some(listed)
}

/// `YYYYMMDDHHMMSS`, with fractions of a second or without, as MLSD and MDTM have it.
pub(super) fn time_value(text: &str) -> Option<NaiveDateTime> {
    let digits = text
        .get(..14)
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    NaiveDateTime::parse_from_str(digits, "%Y%m%d%H%M%S").ok()
}

/// A line of LIST. `now` is the server's wall clock, as well as it is known: `ls` leaves the year out for half a year.
/// `None` for what is no entry, as `total 12`.
pub(super) fn parse_list(line: &str, now: NaiveDateTime) -> Option<Listed> {
    let first = line.as_bytes().first()?;
    let listed = if first.is_ascii_digit() {
        dos(line)
    } else {
        unix(line, now)
    };
    listed.filter(|listed| !listed.name.is_empty())
}

/// A word of a line, and where it ends.
#[derive(Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    end: usize,
}

/// The first words of a line; more than 16 stand before no name.
fn words(line: &str) -> Vec<Word<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while found.len() < 16 {
        let Some(start) = line[at..]
            .find(|c: char| !c.is_ascii_whitespace())
            .map(|n| at + n)
        else {
            break;
        };
        let end = line[start..]
            .find(|c: char| c.is_ascii_whitespace())
            .map_or(line.len(), |n| start + n);
        found.push(Word {
            text: &line[start..end],
            end,
        });
        at = end;
    }
    found
}

/// `-rw-r--r--   1 owner group   1234 Nov  5 13:46 name`; owner and group may be one, none, or of several words.
fn unix(line: &str, now: NaiveDateTime) -> Option<Listed> {
    let kind = match line.as_bytes().first()? {
        b'-' => Kind::File,
        b'd' => Kind::Folder,
        b'l' | b'b' | b'c' | b'p' | b's' => Kind::Other,
        _ => return None,
    };
    let words = words(line);
    for at in 2..words.len() {
        let Ok(size) = words[at - 1].text.parse::<u64>() else {
            continue;
        };
        let Some((stamp, last)) = unix_time(&words[at..], now) else {
            continue;
        };
        let name = line.get(last + 1..)?;
        return Some(Listed {
            name: name.to_owned(),
            kind,
            size,
            stamp: Some(stamp),
        });
    }
    None
}

/// The time that these words begin with, and where it ends.
fn unix_time(words: &[Word<'_>], now: NaiveDateTime) -> Option<(Stamp, usize)> {
    let text = |n: usize| words.get(n).map(|word| word.text);
    if let Ok(date) = NaiveDate::parse_from_str(text(0)?, "%Y-%m-%d") {
        let time = clock(text(1)?)?;
        return Some((minute(date.and_time(time)), words[1].end));
    }
    let (month, day) = match (month(text(0)?), month(text(1)?)) {
        (Some(month), _) => (month, number(text(1)?)?),
        (None, Some(month)) => (month, number(text(0)?)?),
        (None, None) => return None,
    };
    let (last, end) = (text(2)?, words[2].end);
    if let Some(time) = clock(last) {
        // without a year: the last such day that is not past tomorrow
        let limit = now + TimeDelta::days(1);
        let years = [
            now.year() + 1,
            now.year(),
            now.year() - 1,
            now.year() - 2,
            now.year() - 3,
            now.year() - 4,
        ];
        let mut days = years
            .iter()
            .filter_map(|year| NaiveDate::from_ymd_opt(*year, month, day));
        let at = days.find_map(|day| Some(day.and_time(time)).filter(|at| *at <= limit))?;
        return Some((minute(at), end));
    }
    let year = last
        .parse::<i32>()
        .ok()
        .filter(|year| (1900..=9999).contains(year))?;
    let at = NaiveDate::from_ymd_opt(year, month, day)?.and_time(NaiveTime::MIN);
    Some((
        Stamp {
            at,
            precision: Precision::Day,
        },
        end,
    ))
}

/// `11-21-26  10:20AM       <DIR>          name`, `2026-11-21  10:20  1,234 name`
fn dos(line: &str) -> Option<Listed> {
    let words = words(line);
    let date = ["%m-%d-%y", "%m-%d-%Y", "%Y-%m-%d", "%m/%d/%Y", "%m/%d/%y"]
        .iter()
        .find_map(|form| NaiveDate::parse_from_str(words.first()?.text, form).ok())?;
    let (time, mut next) = match words.get(2).map(|word| word.text.to_ascii_uppercase()) {
        Some(half) if half == "AM" || half == "PM" => (format!("{}{half}", words[1].text), 3),
        _ => (words.get(1)?.text.to_ascii_uppercase(), 2),
    };
    let time = NaiveTime::parse_from_str(&time, "%I:%M%p")
        .ok()
        .or_else(|| clock(&time))?;
    let what = words.get(next)?;
    next = what.end;
    let (kind, size) = if what.text == "<DIR>" {
        (Kind::Folder, 0)
    } else if what.text.starts_with('<') {
        (Kind::Other, 0)
    } else {
        (Kind::File, what.text.replace([',', '.'], "").parse().ok()?)
    };
    let name = line.get(next..)?.trim_start_matches(' ');
    Some(Listed {
        name: name.to_owned(),
        kind,
        size,
        stamp: Some(minute(date.and_time(time))),
    })
}

fn minute(at: NaiveDateTime) -> Stamp {
    Stamp {
        at,
        precision: Precision::Minute,
    }
}

/// `13:46`, `13:46:07`
fn clock(text: &str) -> Option<NaiveTime> {
    let (hour, rest) = text.split_once(':')?;
    let minute = rest.get(..2)?;
    NaiveTime::from_hms_opt(hour.parse().ok()?, minute.parse().ok()?, 0)
}

/// A day of the month, as some write it: `5`, `05`, `5.`, `5日`.
fn number(text: &str) -> Option<u32> {
    text.trim_end_matches(['.', ',', '日']).parse().ok()
}

/// English short or long names, and the numbered months of East Asia.
fn month(text: &str) -> Option<u32> {
    const NAMES: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    if let Some(number) = text.strip_suffix('月') {
        return number.parse().ok().filter(|month| (1..=12).contains(month));
    }
    let short = text.get(..3)?.to_ascii_lowercase();
    let at = NAMES.iter().position(|name| *name == short)?;
    u32::try_from(at + 1).ok()
}

/// Why a name from the server may not be used; `None` when it may.
pub(super) fn fault_of_name(name: &str) -> Option<&'static str> {
    if name.contains(['\r', '\n', '\0']) {
        Some("it carries a line end or a zero byte")
    } else if name.contains('/') || name == ".." || name == "." {
        Some("it would leave its folder")
    } else if name.len() > 255 {
        Some("it is longer than file systems take")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap()
    }

    fn list(line: &str) -> Listed {
        parse_list(line, at("2026-11-21 12:00:00")).unwrap_or_else(|| panic!("{line}"))
    }

    #[test]
    fn mlsd_tells_type_size_and_time() {
        let listed = parse_mlsd(
            "modify=20261105134607.123;perm=adfrw;Size=1234;type=file;unique=1U2; a; b.txt",
        )
        .unwrap();
        assert_eq!(listed.name, "a; b.txt");
        assert_eq!((listed.kind, listed.size), (Kind::File, 1234));
        assert_eq!(listed.stamp, Some(Stamp::exact(at("2026-11-05 13:46:07"))));
        assert_eq!(parse_mlsd("type=dir; sub").unwrap().kind, Kind::Folder);
        assert_eq!(
            parse_mlsd("type=cdir;modify=2026; /").unwrap().kind,
            Kind::Other
        );
        assert_eq!(
            parse_mlsd("type=OS.unix=slink:/etc; x").unwrap().kind,
            Kind::Other
        );
        for junk in [
            "",
            "total 5",
            "type=file;size=x; a",
            "size=3; a",
            "type=file;",
        ] {
            assert_eq!(parse_mlsd(junk), None, "{junk}");
        }
    }

    #[test]
    fn lists_of_many_servers_are_understood() {
        let minutes = Some(minute(at("2026-11-05 13:46:00")));
        for line in [
            "-rw-r--r--   1 user     group        1234 Nov  5 13:46 a b.txt",
            "-rw-r--r--    1 1000     1000         1234 Nov 05 13:46 a b.txt",
            "-rw-rw-rw- 1 domain users 1234 Nov  5 13:46 a b.txt",
            "-rw-r--r-- 1 user 1234 Nov 5 13:46 a b.txt",
            "-rw-r--r-- 1 user group 1234 5 Nov 13:46 a b.txt",
            "-rw-r--r-- 1 user group 1234 2026-11-05 13:46 a b.txt",
            "-rw-r--r-- 1 user group 1234 11月 5 13:46 a b.txt",
            "-rw-r--r--+ 1 user group 1234 Nov 5 13:46 a b.txt",
            "11-05-26  01:46PM                 1234 a b.txt",
            "11-05-2026  01:46 PM              1,234 a b.txt",
            "2026-11-05  13:46                 1234 a b.txt",
        ] {
            let listed = list(line);
            assert_eq!(
                (listed.name.as_str(), listed.size, listed.kind),
                ("a b.txt", 1234, Kind::File),
                "{line}"
            );
            assert_eq!(listed.stamp, minutes, "{line}");
        }
        assert_eq!(
            list("drwxr-xr-x 2 u g 4096 Jan 1 2020 sub").kind,
            Kind::Folder
        );
        assert_eq!(
            list("11-05-26  01:46PM       <DIR>          sub").kind,
            Kind::Folder
        );
        assert_eq!(
            list("lrwxrwxrwx 1 u g 4 Jan 1 2020 a -> b").kind,
            Kind::Other
        );
        for junk in [
            "total 12",
            "",
            "-",
            "-rw-r--r--",
            "Permission denied",
            "-rw-r--r-- 1 u g 4 Foo 5 13:46 x",
            "99-99-99 x",
        ] {
            assert_eq!(parse_list(junk, at("2026-11-21 12:00:00")), None, "{junk}");
        }
    }

    #[test]
    fn a_year_left_out_is_the_last_one() {
        let year = |line: &str| list(line).stamp.unwrap().at.year();
        assert_eq!(year("-rw-r--r-- 1 u g 1 Dec  5 13:46 x"), 2025);
        assert_eq!(year("-rw-r--r-- 1 u g 1 Nov 22 11:00 x"), 2026);
        assert_eq!(year("-rw-r--r-- 1 u g 1 Nov 23 13:46 x"), 2025);
        assert_eq!(year("-rw-r--r-- 1 u g 1 Feb 29 13:46 x"), 2024);
    }

    #[test]
    fn times_agree_at_the_coarser_precision() {
        let exact = Stamp::exact(at("2026-07-01 07:10:45"));
        let minute = minute(at("2026-07-01 07:10:00"));
        let day = Stamp {
            at: at("2026-07-01 00:00:00"),
            precision: Precision::Day,
        };
        assert!(exact.agrees(&minute) && minute.agrees(&day) && day.agrees(&exact));
        assert!(!Stamp::exact(at("2026-07-01 07:11:01")).agrees(&minute));
        assert!(!Stamp::exact(at("2026-07-01 07:10:44")).agrees(&exact));
        assert!(!Stamp::exact(at("2026-07-02 00:00:01")).agrees(&day));
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for bad in [
            "..",
            ".",
            "a/b",
            "/etc/passwd",
            "../x",
            "a\rb",
            "a\nDELE x",
            "a\0b",
            &"x".repeat(256),
        ] {
            assert!(fault_of_name(bad).is_some(), "{bad:?}");
        }
        for good in ["a", "..a", "a b", "站号.csv", "-rf", "a\\b"] {
            assert_eq!(fault_of_name(good), None, "{good:?}");
        }
    }

    #[test]
    fn no_line_makes_the_parsers_fall() {
        let now = at("2026-11-21 12:00:00");
        let pieces = [
            "-rw-r--r--",
            "1",
            "站",
            "Nov",
            "5",
            "13:46",
            "2026-11-05",
            ":",
            "<DIR>",
            "99",
            "月",
            " ",
            "; ",
            "type=file;",
            "\u{feff}",
        ];
        let mut seed = 7_u32;
        for _ in 0..20_000 {
            let mut line = String::new();
            for _ in 0..8 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                line.push_str(pieces[usize::try_from(seed >> 16).unwrap() % pieces.len()]);
                if seed & 1024 == 0 {
                    line.push(' ');
                }
            }
            drop((parse_list(&line, now), parse_mlsd(&line)));
        }
    }
}
