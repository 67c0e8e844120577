//! The SQL of a report, made ready for a database: names become placeholders, and what would end the window's transaction
//! is refused. Pure text; runs nothing.

use db::statement::Head;
use db::{Dialect, Kind};

use super::calendar::{Form, Line, Window};
use super::params::Params;
use crate::job::Invalid;

/// A statement with the names of its values in the order of its placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// Where it stands in the job file.
    pub(super) at: String,
    pub(super) sql: String,
    names: Vec<String>,
    head: Head,
}

/// All SQL of a report.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) steps: Vec<Statement>,
    pub(super) select: Option<Statement>,
}

/// What the statements of a window get bound.
#[derive(Debug, Clone)]
pub(super) struct Values(Vec<(String, String)>);

impl Values {
    /// The values of a window and those of the job file.
    pub(super) fn of(params: &Params, line: &Line, window: &Window) -> Values {
        let ends = [("from", window.from), ("to", window.to)];
        let own = ends.into_iter().flat_map(|(name, end)| {
            let forms = Form::ALL
                .map(|(form, as_form)| (format!("{name}_{form}"), line.bound_as(end, as_form)));
            std::iter::once((name.to_owned(), line.bound(end))).chain(forms)
        });
        let given = params
            .params
            .iter()
            .map(|param| (param.name.clone(), param.value.clone()));
        Values(own.chain(given).collect())
    }

    fn find(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The ends of the window.
    pub(super) fn ends(&self) -> [db::Cell<'_>; 2] {
        [
            self.find("from").map(str::as_bytes),
            self.find("to").map(str::as_bytes),
        ]
    }
}

impl Statement {
    /// The values of its placeholders.
    pub(super) fn cells<'v>(&self, values: &'v Values) -> Vec<db::Cell<'v>> {
        self.names
            .iter()
            .map(|name| values.find(name).map(str::as_bytes))
            .collect()
    }

    /// Its values for people: `:from = 2026-01-01 00:00:00`, each name once.
    pub(super) fn shown(&self, values: &Values) -> String {
        let mut names: Vec<&String> = self.names.iter().collect();
        names.sort_unstable();
        names.dedup();
        let shown = names
            .iter()
            .map(|name| format!(":{name} = {}", values.find(name).unwrap_or("NULL")));
        shown.collect::<Vec<_>>().join(", ")
    }

    /// Whether it speaks of the window.
    pub(super) fn is_windowed(&self) -> bool {
        self.names
            .iter()
            .any(|name| end_of_window(name, Form::Utc).is_some())
    }

    /// How many placeholders it has.
    pub(super) fn count(&self) -> usize {
        self.names.len()
    }

    /// Whether it may make what later statements need: a table, a column.
    pub(super) fn makes(&self) -> bool {
        !matches!(
            self.head.words.first().map(String::as_str),
            Some("INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "MERGE" | "DROP" | "WITH" | "VALUES")
        )
    }
}

impl Script {
    /// Reads the job's SQL as `dialect` understands it.
    pub(super) fn new(params: &Params, dialect: &dyn Dialect) -> Result<Script, Invalid> {
        let mut steps = Vec::with_capacity(params.steps.len());
        for (at, sql) in params.steps.iter().enumerate() {
            steps.push(statement(
                params,
                format!("step[{}]", at + 1),
                sql,
                dialect,
            )?);
        }
        let select = match &params.select {
            None => None,
            Some(sql) => Some(statement(params, "select".to_owned(), sql, dialect)?),
        };
        if let Some(select) = &select
            && !matches!(
                select.head.words.first().map(String::as_str),
                Some("SELECT" | "WITH" | "VALUES" | "TABLE")
            )
        {
            return Err(Invalid::new(
                "select",
                "not a query: statements that change something are a <step>",
            ));
        }
        Ok(Script { steps, select })
    }

    /// Every statement, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Statement> {
        self.steps.iter().chain(&self.select)
    }
}

/// The form in which a name stands for an end of the window: `:from` and `:to` in the report's own, `:from_date` and so on in that one.
pub(super) fn end_of_window(name: &str, own: Form) -> Option<Form> {
    let (end, form) = name.split_once('_').unwrap_or((name, ""));
    let known = Form::ALL.iter().find(|(known, _)| *known == form);
    match (end, form, known) {
        ("from" | "to", "", _) if !name.ends_with('_') => Some(own),
        ("from" | "to", _, Some((_, form))) => Some(*form),
        _ => None,
    }
}

/// An end of a window as a value of its type, so that it is one also where it meets nothing that has a type.
pub(super) fn place(dialect: &dyn Dialect, form: Form, number: usize) -> String {
    let placeholder = dialect.placeholder(number);
    match form {
        Form::Utc | Form::Local => dialect.cast(&placeholder, Kind::Timestamp),
        Form::Date => dialect.cast(&placeholder, Kind::Date),
        Form::Unix => dialect.cast(&placeholder, Kind::Integer),
        Form::Iso => placeholder,
    }
}

fn statement(
    params: &Params,
    at: String,
    sql: &str,
    dialect: &dyn Dialect,
) -> Result<Statement, Invalid> {
    let mut heads = db::statement::heads(sql, dialect.lexis()).into_iter();
    let wrong = |why: String| Err(Invalid::new(at.clone(), why));
    let Some(head) = heads.next() else {
        return wrong("there is no statement".to_owned());
    };
    if heads.next().is_some() {
        return wrong("several statements: each needs a <step> of its own".to_owned());
    }
    if let Some(head) = db::statement::ending_transaction(sql, dialect) {
        return wrong(format!(
            "{head} would end the transaction that keeps the window's rows and its cursor together"
        ));
    }
    let named = db::bind::named_with(sql.trim().trim_end_matches(';'), dialect, |number, name| {
        match end_of_window(name, params.period.form) {
            Some(form) => place(dialect, form, number),
            None => dialect.placeholder(number),
        }
    });
    let known = |name: &String| {
        end_of_window(name, params.period.form).is_some()
            || params.params.iter().any(|param| param.name == *name)
    };
    if let Some(name) = named.names.iter().find(|name| !known(name)) {
        return wrong(format!(
            "the SQL speaks of :{name}, but no <param name=\"{name}\"> gives its value"
        ));
    }
    Ok(Statement {
        at,
        sql: named.sql,
        names: named.names,
        head,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(body: &str) -> Params {
        let text = format!(
            r#"<report><database url="sqlite:a.db"/><period size="day" start="2026-01-01"/>{body}</report>"#
        );
        jobfile::JobFile::from_text(std::path::Path::new("r.xml"), text.as_bytes())
            .unwrap()
            .params()
            .unwrap()
    }

    #[test]
    fn the_window_is_bound_and_what_is_unknown_is_refused() {
        let params = params(
            r#"<param name="x" value="7"/><step>DELETE FROM t WHERE d >= :from AND d &lt; :to AND x = :x;</step>"#,
        );
        let dialect = db::dialect_of("sqlite:").unwrap();
        let script = Script::new(&params, dialect).unwrap();
        assert_eq!(
            script.steps[0].sql,
            "DELETE FROM t WHERE d >= ?1 AND d < ?2 AND x = ?3"
        );
        let (line, _) = params.validate().unwrap();
        let values = Values::of(&params, &line, &line.window(line.start()).unwrap());
        assert_eq!(
            script.steps[0].cells(&values),
            [
                Some(&b"2026-01-01 00:00:00"[..]),
                Some(b"2026-01-02 00:00:00"),
                Some(b"7")
            ]
        );
        assert_eq!(values.find("to_unix"), Some("1767312000"));
        assert_eq!(
            script.steps[0].shown(&values),
            ":from = 2026-01-01 00:00:00, :to = 2026-01-02 00:00:00, :x = 7"
        );
        for (body, at) in [
            ("<step>DELETE FROM t WHERE a = :b</step>", "step[1]"),
            ("<step>SELECT 1; SELECT 2</step>", "step[1]"),
            (
                "<step>SELECT 1</step><step> -- nothing\n </step>",
                "step[2]",
            ),
            ("<step>/* now */ commit</step>", "step[1]"),
            (
                "<select>DELETE FROM t</select><output dir=\"o\" file=\"F\"/>",
                "select",
            ),
        ] {
            let params = self::params(body);
            assert_eq!(Script::new(&params, dialect).unwrap_err().at, at, "{body}");
        }
        let mysql = db::dialect_of("mysql:").unwrap();
        let made = |sql: &str| Script::new(&self::params(sql), mysql).map(drop);
        assert_eq!(
            made("<step>SET autocommit = 1</step>").unwrap_err().at,
            "step[1]"
        );
        assert!(made("<step>CREATE TABLE t (a INT)</step>").is_err());
        assert!(made("<step>CREATE TEMPORARY TABLE t (a INT)</step>").is_ok());
        assert!(Script::new(&self::params("<step>SELECT ';' -- ; \n ; </step>"), dialect).is_ok());
    }
}
