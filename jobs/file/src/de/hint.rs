//! "Did you mean": the nearest of the known names.

/// How many known names a message lists when none is near.
const LISTED: usize = 24;

/// The known name that a misspelt one most likely meant.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |s: &str| s.to_lowercase().replace('_', "-");
    let name = plain(name);
    known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(&name, &plain(k)), *k))
        .filter(|(distance, k)| {
            *distance <= (k.chars().count().max(name.chars().count()) / 3).max(1)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

/// The names in backquotes, comma-separated.
pub(crate) fn quoted(names: &[&str]) -> String {
    let all: Vec<_> = names.iter().map(|n| format!("`{n}`")).collect();
    all.join(", ")
}

/// The tail of a message about an unknown name: the nearest known one, or (with `list`) what is known.
pub(crate) fn hint(
    name: &str,
    known: &[&str],
    write: &dyn Fn(&str) -> String,
    list: bool,
) -> String {
    if let Some(near) = nearest(name, known) {
        return format!("; did you mean {}?", write(near));
    }
    match known.len() {
        1..=LISTED if list => {
            let all: Vec<_> = known.iter().map(|n| write(n)).collect();
            format!("; known here: {}", all.join(", "))
        }
        _ => String::new(),
    }
}

/// The message about a name that the struct of `<owner>` does not know.
pub(super) fn unknown(kind: Kind, name: &str, owner: &str, known: &[&str]) -> String {
    let visible: Vec<&str> = known.iter().copied().filter(|n| *n != "$text").collect();
    match kind {
        Kind::Attribute => {
            let near = hint(name, &visible, &|n| format!("`{n}`"), true);
            format!("unknown attribute `{name}` in <{owner}>{near}")
        }
        Kind::Element => {
            let near = hint(name, &visible, &|n| format!("<{n}>"), true);
            format!("unknown element <{name}> in <{owner}>{near}")
        }
    }
}

/// The two ways a name is written.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Attribute,
    Element,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_name_is_found_and_nonsense_is_not() {
        let known = ["every", "cron", "after", "max-bad"];
        assert_eq!(nearest("evry", &known), Some("every"));
        assert_eq!(nearest("Every", &known), Some("every"));
        assert_eq!(nearest("max_bad", &known), Some("max-bad"));
        assert_eq!(nearest("corn", &known), Some("cron"));
        assert_eq!(nearest("zzzzzz", &known), None);
    }
}
