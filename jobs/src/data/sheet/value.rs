//! The written form of a cell of a sheet.
//!
//! Excel knows numbers and texts alone; what is a date is told by the cell's format. A whole day is written as a date,
//! a part of the first day as a time, anything else as both; a duration as hours, minutes and seconds.

use std::io::Write;

use calamine::{DataRef, ExcelDateTime};
use chrono::NaiveDate;

/// Milliseconds of a day.
const DAY: f64 = 86_400_000.0;
/// The day behind the last one that Excel knows, 9999-12-31.
const DAYS: f64 = 2_958_466.0;

/// Appends the written form of a cell; `false` for an empty one. What cannot be a value is said.
pub(super) fn write(cell: &DataRef<'_>, out: &mut Vec<u8>) -> Result<bool, String> {
    match cell {
        DataRef::Empty => return Ok(false),
        DataRef::Int(number) => write!(out, "{number}").map_err(|e| e.to_string())?,
        DataRef::Float(number) => db::form::write_float(out, *number),
        DataRef::String(text) | DataRef::DurationIso(text) => {
            out.extend_from_slice(text.as_bytes())
        }
        DataRef::SharedString(text) => out.extend_from_slice(text.as_bytes()),
        DataRef::Bool(value) => out.push(if *value { b'1' } else { b'0' }),
        DataRef::DateTime(moment) => write_moment(*moment, out)?,
        DataRef::DateTimeIso(text) => out.extend_from_slice(text.replacen('T', " ", 1).as_bytes()),
        DataRef::Error(error) => return Err(format!("the cell holds the error {error}")),
    }
    Ok(true)
}

fn write_moment(moment: ExcelDateTime, out: &mut Vec<u8>) -> Result<(), String> {
    let days = moment.as_f64();
    if moment.is_duration() {
        return write_duration(days, out);
    }
    if !(0.0..DAYS).contains(&days) {
        return Err(format!("{days} is no date that Excel knows"));
    }
    let (year, month, day, hour, minute, second, milli) = moment.to_ymd_hms_milli();
    let time_alone = days < 1.0;
    let whole = (hour, minute, second, milli) == (0, 0, 0, 0) && !time_alone;
    if !time_alone {
        let date = NaiveDate::from_ymd_opt(year.into(), month.into(), day.into())
            .ok_or("1900-02-29, a day that there was not")?;
        write!(out, "{date}").map_err(|e| e.to_string())?;
        if !whole {
            out.push(b' ');
        }
    }
    if !whole {
        write_time(hour.into(), minute.into(), second.into(), milli.into(), out);
    }
    Ok(())
}

fn write_duration(days: f64, out: &mut Vec<u8>) -> Result<(), String> {
    let millis = (days.abs() * DAY).round();
    if !millis.is_finite() || millis > DAYS * DAY {
        return Err(format!("{days} is no duration that Excel knows"));
    }
    if days < 0.0 {
        out.push(b'-');
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, not negative, and bounded above"
    )]
    let millis = millis as u64;
    let (seconds, milli) = (millis / 1000, millis % 1000);
    write_time(seconds / 3600, seconds / 60 % 60, seconds % 60, milli, out);
    Ok(())
}

/// `13:45:00`, with a fraction where there is one, without zeros at its end.
fn write_time(hour: u64, minute: u64, second: u64, milli: u64, out: &mut Vec<u8>) {
    let mut text = format!("{hour:02}:{minute:02}:{second:02}");
    if milli > 0 {
        text.push_str(format!(".{milli:03}").trim_end_matches('0'));
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use calamine::{CellErrorType, ExcelDateTimeType};

    use super::*;

    fn written(cell: &DataRef<'_>) -> Result<String, String> {
        let mut out = Vec::new();
        write(cell, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn moment(days: f64, kind: ExcelDateTimeType) -> Result<String, String> {
        written(&DataRef::DateTime(ExcelDateTime::new(days, kind, false)))
    }

    #[test]
    fn cells_take_the_forms_of_databases() {
        for (cell, form) in [
            (DataRef::Float(45.0), "45"),
            (DataRef::Float(0.1 + 0.2), "0.30000000000000004"),
            (DataRef::Int(-7), "-7"),
            (DataRef::Bool(true), "1"),
            (DataRef::SharedString("北京"), "北京"),
            (
                DataRef::DateTimeIso("2026-11-21T10:00:00".into()),
                "2026-11-21 10:00:00",
            ),
        ] {
            assert_eq!(written(&cell).unwrap(), form);
        }
        assert!(
            written(&DataRef::Error(CellErrorType::Div0))
                .unwrap_err()
                .contains("#DIV/0!")
        );
    }

    #[test]
    fn dates_times_and_durations() {
        use ExcelDateTimeType::{DateTime, TimeDelta};
        for (days, kind, form) in [
            (45943.0, DateTime, "2025-10-13"),
            (45943.541, DateTime, "2025-10-13 12:59:02.4"),
            (0.5, DateTime, "12:00:00"),
            (1.0, DateTime, "1900-01-01"),
            (2_958_465.0, DateTime, "9999-12-31"),
            (1.5, TimeDelta, "36:00:00"),
            (-0.25, TimeDelta, "-06:00:00"),
        ] {
            assert_eq!(moment(days, kind).unwrap(), form, "{days}");
        }
        for (days, kind) in [
            (60.0, DateTime),
            (-1.0, DateTime),
            (3e6, DateTime),
            (f64::NAN, DateTime),
            (f64::INFINITY, TimeDelta),
        ] {
            assert!(moment(days, kind).is_err(), "{days}");
        }
    }
}
