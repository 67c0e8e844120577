//! Names of tables and columns. Oracle folds a name without quotes to upper case, where others fold to lower case or not at all.
//!
//! So a name of one case is any case here: `weather`, `WEATHER` mean the table WEATHER, which is shown as `weather`, and column names of
//! files need not shout. A name of both cases is itself. What was made in quotes as `"weather"` is shown, and written, with them.

/// The name as Oracle's dictionary has it.
pub(super) fn real(name: &str) -> String {
    if let Some(inner) = quoted(name) {
        return inner.to_owned();
    }
    let lower = name.chars().any(char::is_lowercase);
    let upper = name.chars().any(char::is_uppercase);
    if lower && upper {
        name.to_owned()
    } else {
        name.to_uppercase()
    }
}

/// How a name of the dictionary is shown: [`real`] of that is the name again.
pub(super) fn shown(name: &str) -> String {
    let folded = name.to_lowercase();
    if quoted(&folded).is_none() && real(&folded) == name {
        return folded;
    }
    if quoted(name).is_none() && real(name) == name {
        return name.to_owned();
    }
    format!("\"{name}\"")
}

fn quoted(name: &str) -> Option<&str> {
    let inner = name.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.is_empty()).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_case_is_any_case() {
        for (name, in_dictionary) in [
            ("weather", "WEATHER"),
            ("WEATHER", "WEATHER"),
            ("Weather", "Weather"),
            ("\"weather\"", "weather"),
            ("obs_id2", "OBS_ID2"),
            ("站点", "站点"),
            ("a b", "A B"),
        ] {
            assert_eq!(real(name), in_dictionary, "{name}");
        }
        assert_eq!(shown("WEATHER"), "weather");
        assert_eq!(shown("weather"), "\"weather\"");
        assert_eq!(shown("Weather"), "Weather");
        assert_eq!(shown("站点"), "站点");
    }

    proptest! {
        #[test]
        fn what_is_shown_leads_back(name in "[a-zA-Z_ß\"é站 ]{1,8}") {
            prop_assert_eq!(real(&shown(&name)), name);
        }
    }
}
