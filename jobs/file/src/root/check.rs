//! What the root attributes must keep to beside their types.

use super::Root;
use crate::node::Node;
use crate::problem::Pos;

/// State files and logs carry the name, so it must be a plain file name.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 63 {
        return Err(format!("name `{name}`: 1 to 63 characters are taken"));
    }
    if let Some(c) = name.chars().find(|c| !plain(*c)) {
        let c = c.escape_debug();
        return Err(format!(
            "name `{name}`: `{c}` is not taken, only letters, digits, `.`, `_` and `-`"
        ));
    }
    if name.starts_with('.') {
        return Err(format!("name `{name}`: may not begin with `.`"));
    }
    Ok(())
}

/// Rules across attributes, and ranges. `head` is where they are written.
pub(crate) fn check_root(root: &Root, head: &Node) -> Vec<(Pos, String)> {
    let mut found = Vec::new();
    let at = |name: &str| head.attribute(name).map_or(head.pos, |a| a.pos);
    let mut wrong = |name: &str, message: String| found.push((at(name), message));

    let given = ["every", "cron", "after"].map(|n| head.attribute(n).map(|_| n));
    let given: Vec<_> = given.into_iter().flatten().collect();
    if let [first, .., last] = given[..] {
        wrong(
            last,
            format!("`{last}` and `{first}` exclude each other: say one of every, cron, after"),
        );
    }
    if let Some(Err(message)) = root.after.as_deref().map(check_name) {
        wrong("after", message);
    }
    if let Some(nice) = root.nice.filter(|n| !(-20..=19).contains(n)) {
        wrong(
            "nice",
            format!("attribute `nice`: expected -20 to 19, found {nice}"),
        );
    }
    if root.max_run.is_some_and(|m| m.0.is_zero()) {
        wrong(
            "max-run",
            "attribute `max-run`: must be longer than 0".to_string(),
        );
    }
    if root.nofile == Some(0) || root.memory.is_some_and(|m| m.0 == 0) {
        let name = if root.nofile == Some(0) {
            "nofile"
        } else {
            "memory"
        };
        wrong(name, format!("attribute `{name}`: must be more than 0"));
    }
    check_texts(root, &mut wrong);
    check_variables(root, head, &mut found);
    found
}

fn check_texts(root: &Root, wrong: &mut impl FnMut(&str, String)) {
    let texts = [
        ("pool", &root.pool),
        ("user", &root.user),
        ("group", &root.group),
        ("dir", &root.dir),
    ];
    for (name, value) in texts {
        if value.as_ref().is_some_and(|v| v.trim().is_empty()) {
            wrong(name, format!("attribute `{name}`: is empty"));
        }
    }
}

fn check_variables(root: &Root, head: &Node, found: &mut Vec<(Pos, String)>) {
    for (i, ((name, _), node)) in root.env.iter().zip(head.children_named("env")).enumerate() {
        if name.is_empty() || name.contains(['=', '\0']) {
            found.push((
                node.pos,
                format!("<env>: `{name}` is not a variable's name"),
            ));
        }
        if root.env[..i].iter().any(|(n, _)| n == name) {
            found.push((node.pos, format!("<env>: `{name}` is given twice")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_file_names() {
        for good in ["a", "weather-in", "A.b_c-9", "-a", &"x".repeat(63)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".a", "..", "a/b", "a b", "ä", "a\n", &"x".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
