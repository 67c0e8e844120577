//! Short forms of spans, instants and amounts for people.

use std::time::Duration;

use chrono::{DateTime, Local, Utc};

/// A span with its two largest units: `850ms`, `12s`, `3m05s`, `2h07m`, `4d13h`.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0 => format!("{}ms", span.subsec_millis()),
        1..10 => format!("{seconds}.{}s", span.subsec_millis() / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// As [`span`], for what changes while one looks: no milliseconds, which would only flicker.
pub fn age(age: Duration) -> String {
    match age.as_secs() {
        0 => format!("0.{}s", age.subsec_millis() / 100),
        _ => span(age),
    }
}

/// The span that has passed since `then`, or stays until it.
pub fn distance(then: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    let apart = (now - then).abs();
    apart.to_std().unwrap_or_default()
}

/// An instant in local time, with seconds: `2026-11-21 13:54:02`.
pub fn instant(instant: DateTime<Utc>) -> String {
    let local = instant.with_timezone(&Local);
    local.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// A number with a blank between thousands: `26 115`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the largest unit that leaves a number of at least one: `512`, `3.4K`, `120M`.
pub fn bytes(bytes: u64) -> String {
    let units = [
        (1 << 40, 'T'),
        (1 << 30, 'G'),
        (1 << 20, 'M'),
        (1_u64 << 10, 'K'),
    ];
    for (size, unit) in units {
        if bytes >= size {
            let (whole, tenth) = (bytes / size, bytes % size * 10 / size);
            return match whole {
                0..10 => format!("{whole}.{tenth}{unit}"),
                _ => format!("{whole}{unit}"),
            };
        }
    }
    bytes.to_string()
}

/// The names that somebody may have meant by `wrong`, nearest first, at most three.
pub fn nearest(wrong: &str, names: &[String]) -> Vec<String> {
    let wrong = wrong.to_lowercase();
    let mut near: Vec<(usize, &String)> = names
        .iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&wrong, &name.to_lowercase()),
                name,
            )
        })
        .filter(|(distance, name)| {
            *distance <= 1 + name.chars().count() / 4 || name.starts_with(&wrong)
        })
        .collect();
    near.sort();
    near.into_iter()
        .take(3)
        .map(|(_, name)| name.clone())
        .collect()
}

/// `; did you mean a or b?`, or nothing.
pub fn hint(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!("; did you mean {}?", near.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let names = ["weather-in", "weather-out", "sweep"].map(str::to_owned);
        assert_eq!(nearest("weather-im", &names), ["weather-in", "weather-out"]);
        assert_eq!(nearest("weat", &names), ["weather-in", "weather-out"]);
        assert_eq!(nearest("swep", &names), ["sweep"]);
        assert!(nearest("backup", &names).is_empty());
        assert_eq!(hint(&nearest("swep", &names)), "; did you mean sweep?");
    }

    #[test]
    fn spans_have_two_units() {
        let texts = [0, 850, 1_250, 12_000, 185_000, 7_620_000, 392_400_000]
            .map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(
            texts,
            ["0ms", "850ms", "1.2s", "12s", "3m05s", "2h07m", "4d13h"]
        );
    }

    #[test]
    fn ages_do_not_flicker() {
        assert_eq!(age(Duration::from_millis(63)), "0.0s");
        assert_eq!(age(Duration::from_millis(863)), "0.8s");
        assert_eq!(age(Duration::from_secs(63)), "1m03s");
    }

    #[test]
    fn amounts_are_short() {
        assert_eq!(
            [0, 999, 1000, 26_115, 1_234_567].map(count),
            ["0", "999", "1 000", "26 115", "1 234 567"]
        );
        assert_eq!(
            [0, 1023, 1024, 3_500, 125_829_120].map(bytes),
            ["0", "1023", "1.0K", "3.4K", "120M"]
        );
    }
}
