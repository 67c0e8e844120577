//! Paths into a tree: `output.rows`, `table[2].mode`. Elements of one name are counted from 1; without a
//! number the first is meant. The last step is an attribute or an element that holds text alone.

use crate::node::{Attribute, Node};
use crate::problem::Pos;

/// One step: a name and which of that name, from 1.
type Step<'a> = (&'a str, usize);

/// Splits a path into its steps.
pub(crate) fn parse(path: &str) -> Result<Vec<Step<'_>>, String> {
    let step = |text| {
        step(text).ok_or_else(|| format!("`{path}` is not a path; write it as in table[2].mode"))
    };
    path.split('.').map(step).collect()
}

fn step(text: &str) -> Option<Step<'_>> {
    let (name, index) = match text.split_once('[') {
        Some((name, rest)) => (name, rest.strip_suffix(']')?.parse().ok()?),
        None => (text, 1),
    };
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$');
    (!name.is_empty() && name.chars().all(plain) && index > 0).then_some((name, index))
}

/// Where a path is written, if it is.
pub(crate) fn locate(node: &Node, path: &str) -> Option<Pos> {
    let steps = parse(path).ok()?;
    let (pos, depth) = walk(node, &steps);
    (depth == steps.len()).then_some(pos)
}

/// Where a path is written, or the longest part of it that is.
pub(crate) fn nearest(node: &Node, path: &str) -> Pos {
    let steps = parse(path).unwrap_or_default();
    walk(node, &steps).0
}

fn walk(mut node: &Node, steps: &[Step<'_>]) -> (Pos, usize) {
    for (depth, (name, index)) in steps.iter().enumerate() {
        if *name == "$text" {
            return (node.text_pos, depth + 1);
        }
        if let Some(attribute) = node.attribute(name) {
            return (attribute.pos, depth + 1);
        }
        match node.children_named(name).nth(index - 1) {
            Some(child) => node = child,
            None => return (node.pos, depth),
        }
    }
    (node.pos, steps.len())
}

/// Sets the value at a path. Elements on the way that are not there are made, also one more of a list; a new
/// last step becomes an attribute.
pub(crate) fn set(mut node: &mut Node, path: &str, value: &str) -> Result<(), String> {
    let steps = parse(path)?;
    let (last, way) = steps.split_last().ok_or("the path is empty")?;
    for step in way {
        node = descend(node, step)?;
    }
    let (name, index) = last;
    if *name == "$text" {
        node.text = value.to_string();
        return Ok(());
    }
    let written = path.ends_with(']') || node.children.iter().any(|c| c.name == *name);
    if written && node.attribute(name).is_none() {
        let child = descend(node, &(name, *index))?;
        if !child.children.is_empty() || !child.attributes.is_empty() {
            let known = parts(child);
            return Err(format!("<{name}> is more than a text; it has {known}"));
        }
        child.text = value.to_string();
        return Ok(());
    }
    let pos = node.pos;
    match node.attributes.iter_mut().find(|a| a.name == *name) {
        Some(attribute) => attribute.value = value.to_string(),
        None => node.attributes.push(Attribute {
            name: name.to_string(),
            value: value.to_string(),
            pos,
            secret: false,
        }),
    }
    Ok(())
}

fn descend<'a>(node: &'a mut Node, (name, index): &Step<'_>) -> Result<&'a mut Node, String> {
    if node.attribute(name).is_some() {
        return Err(format!(
            "`{name}` of <{}> is an attribute, nothing is below it",
            node.name
        ));
    }
    let count = node.children_named(name).count();
    if *index > count + 1 {
        return Err(format!(
            "<{}> has {count} <{name}>; it has {}",
            node.name,
            parts(node)
        ));
    }
    if *index == count + 1 {
        node.children.push(Node {
            name: name.to_string(),
            pos: node.pos,
            text_pos: node.pos,
            ..Node::default()
        });
    }
    let mut all = node.children.iter_mut().filter(|c| c.name == *name);
    all.nth(index - 1)
        .ok_or_else(|| format!("<{name}> is not there"))
}

/// What an element holds, for messages.
fn parts(node: &Node) -> String {
    let attributes = node.attributes.iter().map(|a| format!("`{}`", a.name));
    let mut all: Vec<String> = attributes.collect();
    for child in &node.children {
        let name = format!("<{}>", child.name);
        if !all.contains(&name) {
            all.push(name);
        }
    }
    if all.is_empty() {
        "nothing else".to_string()
    } else {
        all.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn tree() -> Node {
        let text = "<x>\n <output rows='1'/>\n <sql>a</sql>\n <table name='p'/>\n <table name='q' mode='m'/>\n</x>";
        crate::parse(Path::new("x.xml"), text.as_bytes()).unwrap()
    }

    #[test]
    fn paths_are_found() {
        let line = |path| locate(&tree(), path).map(|p| p.line);
        assert_eq!(line("output.rows"), Some(2));
        assert_eq!(line("sql"), Some(3));
        assert_eq!(line("table.name"), Some(4));
        assert_eq!(line("table[2].mode"), Some(5));
        assert_eq!(line("table[1].mode"), None);
        assert_eq!(nearest(&tree(), "table[1].mode").line, 4);
        assert_eq!(nearest(&tree(), "gone.away").line, 1);
        assert_eq!(nearest(&tree(), "]]").line, 1);
    }

    #[test]
    fn values_are_set_where_they_are_and_made_where_not() {
        let mut t = tree();
        set(&mut t, "output.rows", "5").unwrap();
        set(&mut t, "output.dir", "out").unwrap();
        set(&mut t, "sql", "select 1").unwrap();
        set(&mut t, "table[3].name", "r").unwrap();
        set(&mut t, "source.url", "u").unwrap();
        set(&mut t, "note[1]", "n").unwrap();
        assert_eq!(t.children[0].attribute("rows").unwrap().value, "5");
        assert_eq!(t.children[0].attribute("dir").unwrap().value, "out");
        assert_eq!(t.children[1].text, "select 1");
        assert_eq!(t.children_named("table").count(), 3);
        assert_eq!(t.children_named("source").count(), 1);
        assert_eq!(t.children_named("note").next().unwrap().text, "n");
    }

    #[test]
    fn what_cannot_be_set_is_said() {
        let error = |path| set(&mut tree(), path, "v").unwrap_err();
        assert!(error("table[9].name").contains("has 2 <table>"));
        assert!(error("output").contains("`rows`"));
        assert!(error("output.rows.x").contains("is an attribute"));
        for bad in ["", ".", "a..b", "a[0]", "a[x]", "a[1", "a b"] {
            assert!(error(bad).contains("is not a path"), "{bad}");
        }
    }
}
