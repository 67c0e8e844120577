//! From the tree to Rust types: a serde `Deserializer` whose errors have a place, and all come at once.
//!
//! A struct's fields come from attributes and child elements by plain name, `$text` is the element's own
//! text; a `Vec` takes the repeated child elements of its name; numbers, `true`/`false` and unit enums come
//! from text. Names that a struct does not know are always problems.
//!
//! serde stops at its first error. To find them all, each pass notes the one it met, puts a harmless
//! stand-in where it arose, and the whole is read again; what was read that way is thrown away.

mod blank;
mod fields;
mod flaw;
mod hint;
mod report;
mod trail;
mod value;

pub(crate) use hint::{hint, quoted};

use crate::node::Node;
use crate::problem::Pos;
use report::Report;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use trail::Trail;
use value::{Form, Value};

/// Passes over one tree; each but the last finds a new problem or tries another stand-in.
const MAX_PASSES: usize = 300;

/// Reads an element into a `T`, or says everything that keeps it from being one. `beside` are names that
/// are known on the root element though `T` lacks them; they serve as hints alone.
pub(crate) fn read<T: DeserializeOwned>(
    node: &Node,
    beside: &[&str],
) -> Result<T, Vec<(Pos, String)>> {
    let report = RefCell::new(Report::new(beside));
    for _ in 0..MAX_PASSES {
        let value = Value {
            form: Form::One(node),
            owner: "",
            trail: Trail::root(),
            report: &report,
        };
        match T::deserialize(value) {
            Ok(value) if report.borrow().found.is_empty() => return Ok(value),
            Ok(_) => break,
            Err(flaw) => {
                if !report.borrow_mut().take(flaw) {
                    break;
                }
            }
        }
    }
    let mut found = report.into_inner().found;
    found.sort_by_key(|(pos, _)| *pos);
    Err(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Interval, Patterns, Size, parse};
    use serde::Deserialize;
    use std::collections::BTreeMap;
    use std::path::Path;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Extract {
        source: Source,
        sql: String,
        #[serde(default)]
        max_rows: Option<u32>,
        #[serde(rename = "param", default)]
        params: Vec<Param>,
        #[serde(default)]
        note: Vec<String>,
        output: Output,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Source {
        url: String,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Param {
        name: String,
        value: String,
        #[serde(rename = "$text", default)]
        text: String,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Output {
        format: Format,
        rows: u16,
        #[serde(default)]
        compress: bool,
        #[serde(alias = "patience", default)]
        settle: Interval,
        size: Option<Size>,
        r#match: Option<Patterns>,
        commit: Option<Rows>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(try_from = "String")]
    struct Rows(u64);

    impl TryFrom<String> for Rows {
        type Error = String;

        fn try_from(text: String) -> Result<Rows, String> {
            let rows = text.parse::<u64>().ok().filter(|rows| *rows > 0);
            rows.map(Rows)
                .ok_or(format!("`{text}` is no number of rows"))
        }
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Format {
        Xml,
        Csv,
        JsonLines,
    }

    fn tree(text: &str) -> Node {
        parse(Path::new("x.xml"), text.as_bytes()).unwrap()
    }

    fn wrong(text: &str) -> Vec<String> {
        let write =
            |(pos, message): (Pos, String)| format!("{}:{}: {message}", pos.line, pos.column);
        let found = read::<Extract>(&tree(text), &["every"]).unwrap_err();
        found.into_iter().map(write).collect()
    }

    const GOOD: &str = r#"<extract max-rows="7" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
          <param name="a" value="1"> t </param>
          <sql>
            select 1
          </sql>
          <source url=" sqlite:x "/>
          <note>n</note>
          <param name="b" value=""/>
          <output format="json-lines" rows="10" settle="5s" size="2K" match="*.xml"><compress>true</compress></output>
        </extract>"#;

    #[test]
    fn attributes_and_elements_become_fields() {
        let extract: Extract = read(&tree(GOOD), &[]).unwrap();
        assert_eq!(
            (extract.sql.as_str(), extract.max_rows),
            ("select 1", Some(7))
        );
        assert_eq!(extract.source.url, " sqlite:x ");
        assert_eq!(extract.params.len(), 2);
        assert_eq!(
            (
                extract.params[0].text.as_str(),
                extract.params[1].value.as_str()
            ),
            ("t", "")
        );
        assert_eq!(extract.note, ["n"]);
        let output = extract.output;
        assert_eq!(
            (output.format, output.rows, output.compress),
            (Format::JsonLines, 10, true)
        );
        assert_eq!(
            (output.settle, output.size),
            (Interval::secs(5), Some(Size(2048)))
        );
        assert!(output.r#match.unwrap().matches("a.xml"));
    }

    #[test]
    fn maps_take_every_name() {
        let map: BTreeMap<String, String> = read(&tree("<m a='1'><b>2</b></m>"), &[]).unwrap();
        assert_eq!(
            map.into_iter().collect::<Vec<_>>(),
            [("a".into(), "1".into()), ("b".into(), "2".into())]
        );
    }

    #[test]
    fn all_problems_come_at_once() {
        let found = wrong(
            "<extract evry='1s' max-rows='-1'>\n\
             <param nme='a' value='1'/>\n\
             <param name='b'/>\n\
             <outptu/>\n\
             <sql>a</sql>\n\
             <sql>b</sql>\n\
             <output format='jsonlines' rows='70000' compress='yes' settle='5min' commit='0'>junk</output>\n\
             </extract>",
        );
        let expected = [
            "1:1: <extract> needs `source`",
            "1:10: unknown attribute `evry` in <extract>; did you mean `every`?",
            "1:20: attribute `max-rows` of <extract>: expected a whole number from 0 to 4294967295, found `-1`",
            "2:1: <param> needs `name`",
            "2:8: unknown attribute `nme` in <param>; did you mean `name`?",
            "3:1: <param> needs `value`",
            "4:1: unknown element <outptu> in <extract>; did you mean <output>?",
            "6:1: <sql> may stand only once in <extract>",
            "7:9: attribute `format` of <output>: expected one of `xml`, `csv`, `json-lines`, found `jsonlines`; did you mean `json-lines`?",
            "7:28: attribute `rows` of <output>: expected a whole number from 0 to 65535, found `70000`",
            "7:41: attribute `compress` of <output>: expected `true` or `false`, found `yes`",
            "7:56: attribute `settle` of <output>: `5min` has an unknown unit; did you mean `5m`?",
            "7:70: attribute `commit` of <output>: `0` is no number of rows",
            "7:81: <output> takes no text of its own",
        ];
        for line in expected {
            assert!(
                found.iter().any(|f| f == line),
                "lacks {line}\nin {found:#?}"
            );
        }
        assert_eq!(found.len(), expected.len(), "{found:#?}");
    }

    #[test]
    fn one_field_under_two_names_is_a_problem() {
        let text = "<output format='xml' settle='5s' patience='1s' rows='x'/>";
        let found = read::<Output>(&tree(text), &[]).unwrap_err();
        let messages: Vec<_> = found.iter().map(|(_, m)| m.as_str()).collect();
        assert_eq!(messages.len(), 2, "{messages:?}");
        assert!(messages[0].contains("`settle` is given twice, under two names"));
    }

    #[test]
    fn missing_parts_are_all_named() {
        let found = wrong("<extract/>");
        let expected = ["source", "sql", "output"].map(|n| format!("1:1: <extract> needs `{n}`"));
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(expected.iter().all(|e| found.contains(e)), "{found:?}");
    }

    #[test]
    fn forms_that_do_not_fit_are_named() {
        let found = wrong(
            "<extract sql='a' source='x' zzzzzz='1'>\n<sql>b</sql>\n<output rows='1' format='xml'/><note a='1'>x</note></extract>",
        );
        for part in [
            "1:18: attribute `source` of <extract>: must be an element <source …/> of its own",
            "1:29: unknown attribute `zzzzzz` in <extract>; known here: `source`, `sql`",
            "2:1: `sql` is given twice in <extract>, as attribute and as element",
            "<note>: takes text only, no attributes or elements",
        ] {
            assert!(
                found.iter().any(|f| f.contains(part)),
                "lacks {part}\nin {found:#?}"
            );
        }
    }

    #[test]
    fn secret_values_are_not_shown() {
        let mut node = tree("<extract max-rows='hunter2'/>");
        node.attributes[0].secret = true;
        let found = read::<Extract>(&node, &[]).unwrap_err();
        assert!(
            !format!("{found:?}{node:?}").contains("hunter2"),
            "{found:?} {node:?}"
        );
    }
}
