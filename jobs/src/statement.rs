//! A statement with its values, and the one row that many statements are asked for.

use std::time::Duration;

use db::Connection;

use crate::context::Context;
use crate::error::Error;

/// How long one statement may take before its first row, as far as the watchdog minds; the statement timeout ends it before.
pub(crate) const STATEMENT: Duration = Duration::from_secs(660);

/// A statement with its values in the order of its placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) values: Vec<String>,
}

impl Statement {
    /// A statement without values.
    pub(crate) fn plain(sql: String) -> Statement {
        Statement {
            sql,
            values: Vec::new(),
        }
    }

    /// The values as cells to bind.
    pub(crate) fn cells(&self) -> Vec<db::Cell<'_>> {
        self.values
            .iter()
            .map(|value| Some(value.as_bytes()))
            .collect()
    }

    /// The first row as text; NULL is none, and without any row there are no cells.
    pub(crate) fn first_row(
        &self,
        cx: &Context,
        db: &mut dyn Connection,
    ) -> Result<Vec<Option<String>>, Error> {
        let _step = cx.step("query", STATEMENT);
        let mut rows = db.query(&self.sql, &self.cells())?;
        let row = rows.fetch()?;
        let text = |cell: db::Cell<'_>| cell.map(|text| String::from_utf8_lossy(text).into_owned());
        Ok(row
            .map(|row| row.cells().map(text).collect())
            .unwrap_or_default())
    }
}
