//! Rows on their way into a table, gathered beside it in a temporary table of the target's connection, and the statements that carry them over, all at
//! once or a lot at a time.

use db::{Change, ColumnInfo, Connection, Load, Mode, Stage, TableInfo, TableName};

use super::facts::Course;
use super::mapping::Mapping;
use crate::context::Context;
use crate::error::Error;
use crate::statement::STATEMENT;

/// What a stage goes by; only its own connection sees it.
const WORD: &str = "procctl_stage";

/// A stage of one table.
pub(super) struct Staging<'a> {
    course: &'a Course<'a>,
    name: TableName,
    columns: Vec<ColumnInfo>,
    key: Vec<String>,
    lots: bool,
}

impl<'a> Staging<'a> {
    /// Makes the stage, empty. `key`: whether it holds the key; `lots`: whether its rows are dealt with in turns.
    pub(super) fn make(
        course: &'a Course<'a>,
        target: &mut dyn Connection,
        key: bool,
        lots: bool,
    ) -> Result<Staging<'a>, Error> {
        let mapping = &course.facts.mapping;
        let staging = Staging {
            name: target.dialect().stage_name(WORD),
            columns: mapping.carried(),
            key: if key { mapping.key_names() } else { Vec::new() },
            course,
            lots,
        };
        for sql in target.dialect().stage(&staging.stage()) {
            target.batch(&sql).map_err(|error| {
                let action = format!(
                    "making a temporary table beside {}, which the account has to be allowed to",
                    course.facts.to
                );
                db::Error::new(error.kind(), action).because(error)
            })?;
        }
        Ok(staging)
    }

    fn stage(&self) -> Stage<'_> {
        Stage {
            name: &self.name,
            table: &self.course.facts.to,
            columns: &self.columns,
            key: &self.key,
            lots: self.lots,
        }
    }

    /// What its loader needs to know.
    pub(super) fn info(&self) -> TableInfo {
        self.stage().info()
    }

    /// The columns that its rows bring, the lot last where there are lots.
    pub(super) fn names(&self) -> Vec<String> {
        self.info()
            .columns
            .into_iter()
            .map(|column| column.name)
            .collect()
    }

    /// What the loader of the stage is to do.
    pub(super) fn load<'n>(&'n self, names: &'n [String]) -> Load<'n> {
        Load {
            table: &self.name,
            columns: names,
            mode: Mode::Append,
        }
    }

    /// Lets the database see how much is in it.
    pub(super) fn measure(&self, target: &mut dyn Connection) -> Result<(), Error> {
        match target.dialect().measure(&self.name) {
            Some(sql) => Ok(target.batch(&sql)?),
            None => Ok(()),
        }
    }

    /// Takes it away.
    pub(super) fn drop(&self, target: &mut dyn Connection) -> Result<(), Error> {
        Ok(target.batch(&target.dialect().drop_stage(&self.name))?)
    }

    fn change<'c>(&'c self, lot: Option<i64>, columns: &'c [String], only: &'c str) -> Change<'c> {
        Change {
            table: &self.course.facts.to,
            stage: &self.name,
            key: &self.key,
            lot,
            columns,
            only,
        }
    }

    /// Rows of the table that are in the stage and differ there become what they are there; how many.
    pub(super) fn update(
        &self,
        cx: &Context,
        target: &mut dyn Connection,
        lot: Option<i64>,
    ) -> Result<u64, Error> {
        let (mapping, dialect) = (&self.course.facts.mapping, target.dialect());
        let (compared, renewed) = (mapping.compared(), mapping.renewed());
        if compared.is_empty() {
            return Ok(0);
        }
        let (table, stage) = (
            dialect.qualify(&self.course.facts.to),
            dialect.qualify(&self.name),
        );
        let differs = |column: &&ColumnInfo| {
            let name = dialect.quote(&column.name);
            dialect.differs(
                &format!("{table}.{name}"),
                &format!("{stage}.{name}"),
                column,
            )
        };
        let differing: Vec<String> = compared.iter().map(differs).collect();
        let only = differing.join(" OR ");
        let sql = dialect.update_from(&self.change(lot, &renewed, &only));
        let _step = cx.step("updating", STATEMENT);
        Ok(target.execute(&sql, &[])?)
    }

    /// Rows of the stage whose key the table lacks are inserted, or all where there is no key; how many.
    pub(super) fn insert(
        &self,
        cx: &Context,
        target: &mut dyn Connection,
        lot: Option<i64>,
    ) -> Result<u64, Error> {
        let sql = self.insert_sql(target, lot);
        let _step = cx.step("inserting", STATEMENT);
        Ok(target.execute(&sql, &[])?)
    }

    fn insert_sql(&self, target: &dyn Connection, lot: Option<i64>) -> String {
        let (facts, dialect) = (self.course.facts, target.dialect());
        let (table, stage) = (dialect.qualify(&facts.to), dialect.qualify(&self.name));
        let mut columns = facts.mapping.names();
        let mut values: Vec<String> = columns
            .iter()
            .map(|name| format!("{stage}.{}", dialect.quote(name)))
            .collect();
        let (names, numbers) = numbered(&facts.mapping, dialect);
        columns.extend(names);
        values.extend(numbers);
        let change = self.change(lot, &[], "");
        let mut conditions: Vec<String> = change.of_lot(dialect).into_iter().collect();
        if !self.key.is_empty() {
            let on = Change {
                lot: None,
                ..change
            }
            .on(dialect);
            conditions.push(format!("NOT EXISTS (SELECT 1 FROM {table} WHERE {on})"));
        }
        let filter = match conditions.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", conditions.join(" AND ")),
        };
        let select = format!("SELECT {} FROM {stage}{filter}", values.join(", "));
        dialect.insert_from(&facts.to, &columns, &select)
    }

    /// Rows of the table that count and whose key the stage lacks are deleted, or all where there is no key; how many.
    pub(super) fn delete_others(
        &self,
        cx: &Context,
        target: &mut dyn Connection,
    ) -> Result<u64, Error> {
        let (facts, dialect) = (self.course.facts, target.dialect());
        let further = if self.key.is_empty() {
            Vec::new()
        } else {
            let (stage, on) = (
                dialect.qualify(&self.name),
                self.change(None, &[], "").on(dialect),
            );
            vec![format!("NOT EXISTS (SELECT 1 FROM {stage} WHERE {on})")]
        };
        let sql = format!(
            "DELETE FROM {}{}",
            facts.writing.table(),
            facts.writing.filter(&further)
        );
        let _step = cx.step("deleting", STATEMENT);
        Ok(target.execute(&sql, &[])?)
    }

    /// Rows of the table whose key the lot has are deleted; how many.
    pub(super) fn delete(
        &self,
        cx: &Context,
        target: &mut dyn Connection,
        lot: i64,
    ) -> Result<u64, Error> {
        let sql = target
            .dialect()
            .delete_from(&self.change(Some(lot), &[], ""));
        let _step = cx.step("deleting", STATEMENT);
        Ok(target.execute(&sql, &[])?)
    }
}

/// The columns that sequences number, and the expressions that draw their numbers.
fn numbered(mapping: &Mapping, dialect: &dyn db::Dialect) -> (Vec<String>, Vec<String>) {
    let drawn = |numbered: &super::mapping::Numbered| {
        let number = dialect.next_number(&numbered.sequence)?;
        Some((numbered.to.name.clone(), number))
    };
    mapping.numbered.iter().filter_map(drawn).unzip()
}
