//! Dates in URLs and file names: `{yyyy}{mm}{dd}{HH}`. Pure.

use chrono::NaiveDateTime;

/// Fills in the dates.
///
/// # Errors
/// Which of the braces says nothing that is known.
pub(super) fn fill(template: &str, at: NaiveDateTime) -> Result<String, String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        let inner = &rest[open + 1..];
        let close = inner
            .find('}')
            .ok_or_else(|| format!("`{{` without `}}` in `{template}`"))?;
        let form = match &inner[..close] {
            "yyyy" => "%Y",
            "yy" => "%y",
            "mm" => "%m",
            "dd" => "%d",
            "HH" => "%H",
            "MM" => "%M",
            "SS" => "%S",
            "jjj" => "%j",
            other => {
                return Err(format!(
                    "`{{{other}}}` is none of {{yyyy}} {{yy}} {{mm}} {{dd}} {{HH}} {{MM}} {{SS}} {{jjj}}"
                ));
            }
        };
        filled.push_str(&at.format(form).to_string());
        rest = &inner[close + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_filled_in() {
        let at = chrono::NaiveDate::from_ymd_opt(2026, 2, 3)
            .unwrap()
            .and_hms_opt(4, 5, 6)
            .unwrap();
        assert_eq!(
            fill("fc_{yyyy}{mm}{dd}{HH}.json", at).unwrap(),
            "fc_2026020304.json"
        );
        assert_eq!(fill("{yy}/{jjj}/{MM}{SS}", at).unwrap(), "26/034/0506");
        assert_eq!(fill("plain", at).unwrap(), "plain");
        for bad in ["{hh}", "{", "{yyyy", "a{}"] {
            assert!(fill(bad, at).is_err(), "{bad}");
        }
    }
}
