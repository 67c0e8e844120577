//! One value of a result: from the protocol's value to the written form. Days, ticks and fragments as in MS-TDS, section 2.2.5.5.1.

use crate::{Kind, form, instant};
use std::io::Write;
use tiberius::ColumnData;
use tiberius::time::{Date, DateTime2, DateTimeOffset, Time};

/// Why a value has no exact form.
pub(super) type Misfit = &'static str;

/// What becomes of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spelled {
    Null,
    Written,
}

/// Days from 0001-01-01, and from 1900-01-01, to 1970-01-01.
const FROM_YEAR_1: i64 = 719_162;
const FROM_1900: i64 = 25_567;
/// A float holds every whole number up to this; `money` counts ten-thousandths.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Appends the value's form.
pub(super) fn spell(
    kind: Kind,
    value: &ColumnData<'_>,
    out: &mut Vec<u8>,
) -> Result<Spelled, Misfit> {
    let written = match value {
        ColumnData::U8(value) => value.map(|value| form::write_integer(out, value.into())),
        ColumnData::I16(value) => value.map(|value| form::write_integer(out, value.into())),
        ColumnData::I32(value) => value.map(|value| form::write_integer(out, value.into())),
        ColumnData::I64(value) => value.map(|value| form::write_integer(out, value)),
        ColumnData::Bit(value) => value.map(|value| out.push(if value { b'1' } else { b'0' })),
        ColumnData::F32(value) => value.map(|value| {
            // the shortest digits of the narrow number, not of its wide twin
            let text = format!("{value:e}");
            form::write_float(out, text.parse().unwrap_or(f64::from(value)));
        }),
        ColumnData::F64(Some(value)) if kind == Kind::Decimal => Some(write_money(out, *value)?),
        ColumnData::F64(value) => value.map(|value| form::write_float(out, value)),
        ColumnData::Numeric(value) => {
            value.map(|value| write_decimal(out, value.value(), value.scale()))
        }
        ColumnData::String(value) => value
            .as_ref()
            .map(|text| out.extend_from_slice(text.as_bytes())),
        ColumnData::Xml(value) => value.as_ref().map(|xml| plain(out, format_args!("{xml}"))),
        ColumnData::Guid(value) => value.map(|id| plain(out, format_args!("{}", id.hyphenated()))),
        ColumnData::Binary(value) => value.as_ref().map(|bytes| form::write_hex(out, bytes)),
        ColumnData::Date(value) => value.map(|date| write_date(out, date)),
        ColumnData::Time(value) => value.map(|time| write_time(out, time)),
        ColumnData::DateTime(value) => value.map(|moment| {
            write_day(out, i64::from(moment.days()) - FROM_1900);
            // three hundredths of a second, shown as whole milliseconds
            let millis = (u64::from(moment.seconds_fragments()) * 10 + 1) / 3;
            out.push(b' ');
            write_clock(out, millis / 1000, millis % 1000, 3);
        }),
        ColumnData::SmallDateTime(value) => value.map(|moment| {
            write_day(out, i64::from(moment.days()) - FROM_1900);
            out.push(b' ');
            write_clock(out, u64::from(moment.seconds_fragments()) * 60, 0, 0);
        }),
        ColumnData::DateTime2(value) => value.map(|moment| write_moment(out, moment)),
        ColumnData::DateTimeOffset(value) => value.map(|moment| write_instant(out, moment)),
    };
    Ok(if written.is_some() {
        Spelled::Written
    } else {
        Spelled::Null
    })
}

fn plain(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a vector takes every byte");
}

fn write_money(out: &mut Vec<u8>, value: f64) -> Result<(), Misfit> {
    let scaled = (value * 1e4).round();
    if scaled.abs() >= EXACT {
        return Err(
            "an amount of money that the driver does not tell exactly; CAST it to DECIMAL(19,4)",
        );
    }
    let text = format!("{scaled:.0}");
    let digits = text.parse::<i128>().map_err(|_| "no amount of money")?;
    write_decimal(out, digits, 4);
    Ok(())
}

fn write_decimal(out: &mut Vec<u8>, value: i128, scale: u8) {
    let digits = value.unsigned_abs().to_string();
    let scale = usize::from(scale);
    if value < 0 {
        out.push(b'-');
    }
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    out.extend_from_slice(whole.as_bytes());
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
}

/// A day by its distance from 1970-01-01.
fn write_day(out: &mut Vec<u8>, day: i64) {
    let (year, month, day) = instant::date(day);
    plain(out, format_args!("{year:04}-{month:02}-{day:02}"));
}

fn write_date(out: &mut Vec<u8>, date: Date) {
    write_day(out, i64::from(date.days()) - FROM_YEAR_1);
}

fn write_time(out: &mut Vec<u8>, time: Time) {
    let scale = u32::from(time.scale()).min(9);
    let unit = 10_u64.pow(scale);
    let (seconds, fraction) = (time.increments() / unit, time.increments() % unit);
    write_clock(out, seconds, fraction, scale);
}

/// Seconds of the day, and a fraction of so many digits.
fn write_clock(out: &mut Vec<u8>, seconds: u64, fraction: u64, digits: u32) {
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    plain(out, format_args!("{hour:02}:{minute:02}:{second:02}"));
    if fraction > 0 {
        let width = usize::try_from(digits).unwrap_or(9);
        plain(out, format_args!(".{fraction:0width$}"));
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

fn write_moment(out: &mut Vec<u8>, moment: DateTime2) {
    write_date(out, moment.date());
    out.push(b' ');
    write_time(out, moment.time());
}

/// The wire has the moment in UTC and the zone it was given in.
fn write_instant(out: &mut Vec<u8>, moment: DateTimeOffset) {
    let offset = i64::from(moment.offset());
    let (date, time) = (moment.datetime2().date(), moment.datetime2().time());
    let scale = u32::from(time.scale()).min(9);
    let unit = 10_u64.pow(scale);
    let seconds = i64::try_from(time.increments() / unit).unwrap_or(0) + offset * 60;
    let day = i64::from(date.days()) - FROM_YEAR_1 + seconds.div_euclid(86_400);
    write_day(out, day);
    out.push(b' ');
    let seconds = u64::try_from(seconds.rem_euclid(86_400)).unwrap_or(0);
    write_clock(out, seconds, time.increments() % unit, scale);
    let sign = if offset < 0 { '-' } else { '+' };
    let offset = offset.unsigned_abs();
    plain(
        out,
        format_args!("{sign}{:02}:{:02}", offset / 60, offset % 60),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use tiberius::Uuid;
    use tiberius::numeric::Numeric;
    use tiberius::time::{DateTime, SmallDateTime};
    use tiberius::xml::XmlData;

    fn of(kind: Kind, value: ColumnData<'_>) -> Option<String> {
        let mut out = Vec::new();
        match spell(kind, &value, &mut out).unwrap() {
            Spelled::Null => None,
            Spelled::Written => Some(String::from_utf8(out).unwrap()),
        }
    }

    fn is(kind: Kind, value: ColumnData<'_>, text: &str) {
        assert_eq!(of(kind, value).as_deref(), Some(text));
    }

    #[test]
    fn numbers_take_their_form() {
        is(Kind::Integer, ColumnData::U8(Some(255)), "255");
        is(Kind::Integer, ColumnData::I16(Some(-32768)), "-32768");
        is(Kind::Integer, ColumnData::I32(Some(7)), "7");
        is(
            Kind::Integer,
            ColumnData::I64(Some(i64::MIN)),
            "-9223372036854775808",
        );
        is(Kind::Bool, ColumnData::Bit(Some(true)), "1");
        is(Kind::Bool, ColumnData::Bit(Some(false)), "0");
        is(Kind::Real, ColumnData::F32(Some(0.1)), "0.1");
        is(Kind::Real, ColumnData::F64(Some(1e300)), "1e300");
        let decimal =
            |value, scale| ColumnData::Numeric(Some(Numeric::new_with_scale(value, scale)));
        is(Kind::Decimal, decimal(1250, 2), "12.50");
        is(Kind::Decimal, decimal(-1, 10), "-0.0000000001");
        is(Kind::Decimal, decimal(0, 2), "0.00");
        is(Kind::Decimal, decimal(42, 0), "42");
        assert_eq!(of(Kind::Integer, ColumnData::I32(None)), None);
    }

    #[test]
    fn money_is_exact_or_refused() {
        is(Kind::Decimal, ColumnData::F64(Some(1.5)), "1.5000");
        is(
            Kind::Decimal,
            ColumnData::F64(Some(-214_748.364_8)),
            "-214748.3648",
        );
        is(
            Kind::Decimal,
            ColumnData::F64(Some(900_719_925_473.000_1)),
            "900719925473.0001",
        );
        let large = ColumnData::F64(Some(922_337_203_685_477.6));
        assert!(spell(Kind::Decimal, &large, &mut Vec::new()).is_err());
    }

    #[test]
    fn texts_and_bytes_take_their_form() {
        is(Kind::Text, ColumnData::String(Some("站".into())), "站");
        is(Kind::Text, ColumnData::String(Some("".into())), "");
        is(
            Kind::Blob,
            ColumnData::Binary(Some((&[0_u8, 255][..]).into())),
            "00ff",
        );
        let id = Uuid::parse_str("123E4567-E89B-12D3-A456-426614174000").unwrap();
        is(
            Kind::Text,
            ColumnData::Guid(Some(id)),
            "123e4567-e89b-12d3-a456-426614174000",
        );
        let xml = XmlData::new("<a>1</a>");
        is(
            Kind::Text,
            ColumnData::Xml(Some(std::borrow::Cow::Owned(xml))),
            "<a>1</a>",
        );
        assert_eq!(of(Kind::Text, ColumnData::String(None)), None);
    }

    #[test]
    fn times_take_their_form() {
        is(
            Kind::Date,
            ColumnData::Date(Some(Date::new(0))),
            "0001-01-01",
        );
        is(
            Kind::Date,
            ColumnData::Date(Some(Date::new(3_652_058))),
            "9999-12-31",
        );
        is(
            Kind::Time,
            ColumnData::Time(Some(Time::new(0, 0))),
            "00:00:00",
        );
        is(
            Kind::Time,
            ColumnData::Time(Some(Time::new(863_999_999_999, 7))),
            "23:59:59.9999999",
        );
        is(
            Kind::Time,
            ColumnData::Time(Some(Time::new(495_002_500_000, 7))),
            "13:45:00.25",
        );
        // 2026-11-21 is day 739,940 of the era
        let day = || Date::new(739_940);
        let moment = DateTime2::new(day(), Time::new(49_500, 0));
        is(
            Kind::Timestamp,
            ColumnData::DateTime2(Some(moment)),
            "2026-11-21 13:45:00",
        );
        let old = DateTime::new(46_345, 300 * 3600 * 12 + 1);
        is(
            Kind::Timestamp,
            ColumnData::DateTime(Some(old)),
            "2026-11-21 12:00:00.003",
        );
        let first = DateTime::new(-53_690, 25_919_999);
        is(
            Kind::Timestamp,
            ColumnData::DateTime(Some(first)),
            "1753-01-01 23:59:59.997",
        );
        let small = SmallDateTime::new(0, 61);
        is(
            Kind::Timestamp,
            ColumnData::SmallDateTime(Some(small)),
            "1900-01-01 01:01:00",
        );
        let zoned = |offset| {
            let moment = DateTime2::new(day(), Time::new(840_600_000_000, 7));
            ColumnData::DateTimeOffset(Some(DateTimeOffset::new(moment, offset)))
        };
        is(Kind::Instant, zoned(0), "2026-11-21 23:21:00+00:00");
        is(Kind::Instant, zoned(60), "2026-11-22 00:21:00+01:00");
        is(Kind::Instant, zoned(-210), "2026-11-21 19:51:00-03:30");
    }
}
