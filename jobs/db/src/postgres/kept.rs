//! Statements that are kept prepared for the next time they run: a load of many small files runs the same few over and over.

use tokio_postgres::Statement;

/// How many are kept; the one that was used longest ago goes first.
const MOST: usize = 8;

/// Prepared statements by their text, the latest used at the end.
#[derive(Debug, Default)]
pub(super) struct Kept(Vec<(String, Statement)>);

impl Kept {
    /// The statement of this text, if it takes so many parameters.
    pub(super) fn find(&mut self, sql: &str, params: usize) -> Option<Statement> {
        let fits = |kept: &(String, Statement)| kept.0 == sql && kept.1.params().len() == params;
        let at = self.0.iter().position(fits)?;
        let found = self.0.remove(at);
        let statement = found.1.clone();
        self.0.push(found);
        Some(statement)
    }

    pub(super) fn keep(&mut self, sql: &str, statement: Statement) {
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push((sql.to_owned(), statement));
    }

    /// Lets go of one that was refused: what it speaks of may be another thing by now.
    pub(super) fn forget(&mut self, sql: &str) {
        self.0.retain(|(text, _)| text != sql);
    }
}
