//! One value of a result: from the driver's value to the written form.

use super::kind::Shape;
use crate::form;
use oracledb::{OracleIntervalDS, OracleIntervalYM, OracleNumber, OracleTimestamp, Row};
use std::io::Write;

/// What becomes of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spelled {
    Null,
    /// Its text is the form as it lies.
    Lent,
    /// It was written into the buffer.
    Written,
}

/// Writes the form of a row's value, unless it lies there already.
pub(super) fn spell(
    shape: Shape,
    row: &Row,
    index: usize,
    out: &mut Vec<u8>,
) -> Result<Spelled, oracledb::Error> {
    let there = match shape {
        Shape::Text | Shape::Spelled(_) | Shape::Unknown => {
            let text = row.get::<Option<&str>>(index)?;
            return Ok(text.map_or(Spelled::Null, |_| Spelled::Lent));
        }
        Shape::Rowid => row
            .get::<Option<String>>(index)?
            .map(|text| out.extend_from_slice(text.as_bytes())),
        Shape::Number(scale) => row
            .get::<Option<OracleNumber>>(index)?
            .map(|number| write_number(out, number, scale)),
        Shape::Single => row.get::<Option<f32>>(index)?.map(|number| {
            // the shortest digits of the narrow number, not of its wide twin
            let text = format!("{number:e}");
            form::write_float(out, text.parse().unwrap_or(f64::from(number)));
        }),
        Shape::Double => row
            .get::<Option<f64>>(index)?
            .map(|number| form::write_float(out, number)),
        Shape::Bool => row
            .get::<Option<bool>>(index)?
            .map(|value| out.push(if value { b'1' } else { b'0' })),
        Shape::Date | Shape::Timestamp => row
            .get::<Option<OracleTimestamp>>(index)?
            .map(|time| write_time(out, &time)),
        Shape::Instant => row.get::<Option<OracleTimestamp>>(index)?.map(|time| {
            write_time(out, &time);
            out.extend_from_slice(b"+00:00");
        }),
        Shape::Bytes => row
            .get::<Option<&[u8]>>(index)?
            .map(|bytes| form::write_hex(out, bytes)),
        Shape::DaysToSeconds => row
            .get::<Option<OracleIntervalDS>>(index)?
            .map(|interval| write_days(out, &interval)),
        Shape::YearsToMonths => row
            .get::<Option<OracleIntervalYM>>(index)?
            .map(|interval| write_years(out, &interval)),
    };
    Ok(there.map_or(Spelled::Null, |()| Spelled::Written))
}

/// All digits, with as many behind the point as the column has.
fn write_number(out: &mut Vec<u8>, number: OracleNumber, scale: Option<u8>) {
    let from = out.len();
    write_plain(out, format_args!("{number}"));
    let Some(scale) = scale.map(usize::from).filter(|scale| *scale > 0) else {
        return;
    };
    let point = out[from..].iter().position(|byte| *byte == b'.');
    let behind = match point {
        Some(at) => out.len() - from - at - 1,
        None => {
            out.push(b'.');
            0
        }
    };
    out.resize(out.len() + scale.saturating_sub(behind), b'0');
}

fn write_time(out: &mut Vec<u8>, time: &OracleTimestamp) {
    let sign = if time.year() < 0 { "-" } else { "" };
    write_plain(
        out,
        format_args!(
            "{sign}{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            time.year().unsigned_abs(),
            time.month(),
            time.day(),
            time.hour(),
            time.minute(),
            time.second()
        ),
    );
    write_fraction(out, time.nanoseconds());
}

/// `1 02:03:04.5`, as TO_DSINTERVAL takes it.
fn write_days(out: &mut Vec<u8>, interval: &OracleIntervalDS) {
    let parts = [interval.hours(), interval.minutes(), interval.seconds()];
    let below =
        interval.days() < 0 || interval.nanoseconds() < 0 || parts.iter().any(|part| *part < 0);
    let [hours, minutes, seconds] = parts.map(i8::unsigned_abs);
    write_plain(
        out,
        format_args!(
            "{}{} {hours:02}:{minutes:02}:{seconds:02}",
            if below { "-" } else { "" },
            interval.days().unsigned_abs()
        ),
    );
    write_fraction(out, interval.nanoseconds().unsigned_abs());
}

/// `2-03`, as TO_YMINTERVAL takes it.
fn write_years(out: &mut Vec<u8>, interval: &OracleIntervalYM) {
    let below = interval.years() < 0 || interval.months() < 0;
    write_plain(
        out,
        format_args!(
            "{}{}-{:02}",
            if below { "-" } else { "" },
            interval.years().unsigned_abs(),
            interval.months().unsigned_abs()
        ),
    );
}

fn write_plain(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a vector takes every byte");
}

fn write_fraction(out: &mut Vec<u8>, nanoseconds: u32) {
    if nanoseconds > 0 {
        write_plain(out, format_args!(".{nanoseconds:09}"));
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_keep_every_digit() {
        let of = |text: &str, scale| written(|out| write_number(out, text.parse().unwrap(), scale));
        for (text, scale, form) in [
            ("12.5", Some(2), "12.50"),
            ("12", Some(2), "12.00"),
            ("12", Some(0), "12"),
            ("-0.001", None, "-0.001"),
            ("0", Some(3), "0.000"),
            (
                "99999999999999999999999999999999999999",
                None,
                "99999999999999999999999999999999999999",
            ),
            (
                "-1234567890123456789012345678.9012345678",
                None,
                "-1234567890123456789012345678.9012345678",
            ),
            ("1000000", None, "1000000"),
        ] {
            assert_eq!(of(text, scale), form);
        }
    }

    #[test]
    fn times_and_intervals_take_their_form() {
        let time = |nanoseconds| {
            let time = OracleTimestamp::new_timestamp(2026, 11, 21, 13, 45, 0, nanoseconds);
            written(|out| write_time(out, &time))
        };
        assert_eq!(time(0), "2026-11-21 13:45:00");
        assert_eq!(time(250_000_000), "2026-11-21 13:45:00.25");
        assert_eq!(time(1), "2026-11-21 13:45:00.000000001");
        let before = OracleTimestamp::new_date(-43, 3, 15);
        assert_eq!(
            written(|out| write_time(out, &before)),
            "-0043-03-15 00:00:00"
        );
        let days = |interval| written(|out| write_days(out, &interval));
        assert_eq!(
            days(OracleIntervalDS::new(1, 2, 3, 4, 500_000_000)),
            "1 02:03:04.5"
        );
        assert_eq!(days(OracleIntervalDS::new(0, -2, -3, -4, 0)), "-0 02:03:04");
        let years = |interval| written(|out| write_years(out, &interval));
        assert_eq!(years(OracleIntervalYM::new(2, 3)), "2-03");
        assert_eq!(years(OracleIntervalYM::new(0, -3)), "-0-03");
    }
}
