//! Intervals on the command line: `500ms 30s 5m 2h 1d`.

use std::time::Duration;

/// Parses an interval above zero and up to 30 days.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not an interval such as 500ms, 30s, 5m, 2h or 1d");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit: u64 = match &text[digits..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let millis = number.checked_mul(unit).ok_or_else(wrong)?;
    match millis {
        0 => Err("it must be above zero".to_owned()),
        1..=2_592_000_000 => Ok(Duration::from_millis(millis)),
        _ => Err("it must not be above 30 days".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_a_number_and_a_unit() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("2h"), Ok(Duration::from_secs(7200)));
        for wrong in [
            "",
            "5",
            "s",
            "-1s",
            "1w",
            "0s",
            "31d",
            "99999999999999999999s",
            "18446744073709551615d",
            "1 s",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
