//! What LOAD DATA bent or left out: its warnings, each with the number of its row. Codes decide; the number comes from the
//! diagnostics area (MariaDB 10.7 and newer tell it there), and whoever relies on it checks it.

use super::fault::Trouble;
use super::link::Link;

/// One warning.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Warning {
    pub(super) code: u16,
    pub(super) message: String,
    /// Which row of the statement, from 0.
    pub(super) row: usize,
}

impl Warning {
    /// The row was left out because its key was there.
    pub(super) fn is_doubled(&self) -> bool {
        matches!(self.code, 1062 | 1586)
    }
}

/// How many are asked for in one go.
const AT_ONCE: usize = 500;

/// Reads the warnings of the last statement; `None` where the server does not tell their rows, or not all of them.
pub(super) fn read(link: &mut Link, count: u16) -> Result<Option<Vec<Warning>>, Trouble> {
    if !link.maria {
        return Ok(None);
    }
    let told = link.ask("SHOW WARNINGS")?;
    if count == u16::MAX || told.len() != usize::from(count) {
        return Ok(None);
    }
    // all of them before the first SELECT, which clears the area
    for from in (1..=told.len()).step_by(AT_ONCE) {
        let each = (from..=told.len().min(from + AT_ONCE - 1))
            .map(|n| format!("GET DIAGNOSTICS CONDITION {n} @load_row_{n} = ROW_NUMBER"));
        match link.several(&each.collect::<Vec<_>>().join(";")) {
            Ok(()) => {}
            // an older server
            Err(Trouble::Refused(error)) if error.code == 1064 => return Ok(None),
            Err(trouble) => return Err(trouble),
        }
    }
    let mut numbers = Vec::with_capacity(told.len());
    for from in (1..=told.len()).step_by(AT_ONCE) {
        let each = (from..=told.len().min(from + AT_ONCE - 1)).map(|n| format!("@load_row_{n}"));
        let sql = format!(
            "SELECT CONCAT_WS(',', {})",
            each.collect::<Vec<_>>().join(",")
        );
        let list = link.ask(&sql)?.into_iter().flatten().flatten().next();
        let list = list.unwrap_or_default();
        numbers.extend(
            list.split(',')
                .filter_map(|number| number.parse::<usize>().ok()),
        );
    }
    Ok(pair(told, &numbers))
}

/// Puts warnings and numbers together. The server does not count a row that a CHECK or a view's rule has left out.
fn pair(told: Vec<Vec<Option<String>>>, numbers: &[usize]) -> Option<Vec<Warning>> {
    if told.len() != numbers.len() {
        return None;
    }
    let mut uncounted = 0;
    let warning = |(cells, number): (Vec<Option<String>>, &usize)| {
        let mut cells = cells.into_iter().skip(1);
        let code = cells.next()??.parse().ok()?;
        let row = number.checked_sub(1)? + uncounted;
        uncounted += usize::from(matches!(code, 4025 | 3819 | 1369));
        let message = cells.next()??;
        Some(Warning { code, message, row })
    };
    told.into_iter().zip(numbers).map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_left_out_by_a_check_shift_the_numbers_after_them() {
        let told = |code: &str| {
            vec![
                Some("Warning".to_owned()),
                Some(code.to_owned()),
                Some("m".to_owned()),
            ]
        };
        let paired = pair(
            vec![told("1366"), told("4025"), told("1062"), told("1265")],
            &[2, 2, 2, 3],
        );
        let rows: Vec<usize> = paired.unwrap().iter().map(|warning| warning.row).collect();
        assert_eq!(rows, [1, 1, 2, 3]);
        assert_eq!(pair(vec![told("1062")], &[]), None);
        assert_eq!(pair(vec![told("1062")], &[0]), None);
    }
}
