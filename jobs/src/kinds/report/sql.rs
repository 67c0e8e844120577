//! The SQL of a report, made ready for a database: names become placeholders, and what would end the window's transaction
//! is refused. Pure text; runs nothing.

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
    /// Its first words, in upper case.
    head: Vec<String>,
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
        let own = [
            ("from", line.bound(window.from)),
            ("to", line.bound(window.to)),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value));
        let given = params
            .params
            .iter()
            .map(|param| (param.name.clone(), param.value.clone()));
        Values(own.into_iter().chain(given).collect())
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
        self.names.iter().any(|name| name == "from" || name == "to")
    }

    /// Whether every database can plan it without running it.
    pub(super) fn is_explainable(&self) -> bool {
        matches!(
            self.head.first().map(String::as_str),
            Some("SELECT" | "WITH" | "VALUES" | "INSERT" | "UPDATE" | "DELETE" | "REPLACE")
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
                select.head.first().map(String::as_str),
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
    let bare = db::bind::bare(sql, dialect.lexis());
    let words = |text: &str| -> Vec<String> {
        let words = text
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty());
        words.take(3).map(str::to_uppercase).collect()
    };
    let mut parts = bare.split(';').filter(|part| !part.trim().is_empty());
    let head = parts.next().map(words).unwrap_or_default();
    let wrong = |why: String| Err(Invalid::new(at.clone(), why));
    if head.is_empty() {
        return wrong("there is no statement".to_owned());
    }
    if parts.next().is_some() {
        return wrong("several statements: each needs a <step> of its own".to_owned());
    }
    if ends_transactions(&head) {
        return wrong(format!(
            "{} would end the transaction that keeps the window's rows and its cursor together",
            head[0]
        ));
    }
    if dialect.ddl_commits() && commits(&head) {
        let why = "commits on this database, and with it half of the window: do it before, or by a TEMPORARY TABLE";
        return wrong(format!("{} {why}", head[0]));
    }
    let named =
        db::bind::named_with(
            sql.trim().trim_end_matches(';'),
            dialect,
            |number, name| match name {
                "from" | "to" => place(dialect, params.period.form, number),
                _ => dialect.placeholder(number),
            },
        );
    let known = |name: &String| {
        name == "from" || name == "to" || params.params.iter().any(|param| param.name == *name)
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

/// Whether a statement begins or ends a transaction, on any database.
fn ends_transactions(head: &[String]) -> bool {
    let first = head.first().map_or("", String::as_str);
    matches!(
        first,
        "BEGIN"
            | "START"
            | "COMMIT"
            | "END"
            | "ROLLBACK"
            | "ABORT"
            | "SAVEPOINT"
            | "RELEASE"
            | "PREPARE"
            | "XA"
    ) || head.starts_with(&["SET".to_owned(), "TRANSACTION".to_owned()])
        || (first == "SET"
            && head[1..]
                .iter()
                .any(|word| word.eq_ignore_ascii_case("AUTOCOMMIT")))
}

/// Whether a statement commits by the way where DDL does: what MySQL and MariaDB list as causing an implicit commit.
fn commits(head: &[String]) -> bool {
    let word = |at: usize| head.get(at).map_or("", String::as_str);
    match word(0) {
        "CREATE" | "DROP" => word(1) != "TEMPORARY" && word(2) != "TEMPORARY",
        "ALTER" | "RENAME" | "TRUNCATE" | "GRANT" | "REVOKE" | "ANALYZE" | "OPTIMIZE"
        | "REPAIR" | "CHECK" | "CACHE" | "FLUSH" | "RESET" | "LOCK" | "UNLOCK" | "INSTALL"
        | "UNINSTALL" | "CHANGE" | "STOP" => true,
        "LOAD" => word(1) == "INDEX",
        "SET" => word(1) == "PASSWORD",
        _ => false,
    }
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
        let dialect = db::connect("sqlite::memory:", &db::Options::default())
            .unwrap()
            .dialect();
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
            ("<step>SET autocommit = 1</step>", "step[1]"),
            (
                "<select>DELETE FROM t</select><output dir=\"o\" file=\"F\"/>",
                "select",
            ),
        ] {
            let params = self::params(body);
            assert_eq!(Script::new(&params, dialect).unwrap_err().at, at, "{body}");
        }
        assert!(Script::new(&self::params("<step>SELECT ';' -- ; \n ; </step>"), dialect).is_ok());
    }

    #[test]
    fn what_commits_by_the_way_is_known() {
        let head = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for text in [
            "CREATE TABLE T",
            "DROP TABLE T",
            "ALTER TABLE T",
            "TRUNCATE T",
            "CREATE OR REPLACE",
            "SET PASSWORD FOR",
        ] {
            assert!(commits(&head(text)), "{text}");
        }
        for text in [
            "CREATE TEMPORARY TABLE",
            "DROP TEMPORARY TABLE",
            "INSERT INTO T",
            "SET X 1",
            "LOAD DATA LOCAL",
        ] {
            assert!(!commits(&head(text)), "{text}");
        }
    }
}
