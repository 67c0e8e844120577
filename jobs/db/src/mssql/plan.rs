//! What a load is about: the columns, the keys and the statements. Pure text.
//!
//! Rows lie as text in a temporary table, numbered by their place in the chunk. What no column can hold is found there by conditions, and
//! taken out before anything is converted: a failing conversion would end the caller's transaction, a broken rule only undoes its statement.

use super::dialect::Mssql;
use super::target::Target;
use crate::keys::places;
use crate::suspect::Suspicion;
use crate::{ColumnInfo, Dialect, Load, Mode, Result, TableInfo};
use std::ops::Range;

/// The temporary table, and the column of a row's number within derived tables.
pub(super) const STAGE: &str = "#procctl_load";
const NUMBER: &str = "[procctl n]";
/// The savepoint that an unfinished load returns to.
pub(super) const POINT: &str = "procctl_load";

/// What becomes of a row whose key is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    Append,
    Skip,
    /// Updated where these columns match, given by their places in a row.
    Upsert(Vec<usize>),
}

/// One load.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) action: String,
    pub(super) targets: Vec<Target>,
    pub(super) suspicion: Suspicion,
    pub(super) way: Way,
    /// Each key's name, and its places in a row.
    pub(super) keys: Vec<(String, Vec<usize>)>,
    table: String,
}

impl Plan {
    pub(super) fn new(into: &Load<'_>, info: &TableInfo, action: String) -> Result<Self> {
        let columns: Vec<&ColumnInfo> = info.resolve(into.columns, &action)?;
        let targets: Vec<Target> = columns.iter().map(|column| Target::new(column)).collect();
        let brought: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let way = match into.mode {
            Mode::Append => Way::Append,
            Mode::Skip => Way::Skip,
            Mode::Upsert { key } => Way::Upsert(places(key, &brought, &action)?),
        };
        Ok(Plan {
            suspicion: Suspicion::new(&columns),
            keys: info.keys_among(&brought),
            way,
            table: Mssql.qualify(into.table),
            targets,
            action,
        })
    }

    /// Makes the temporary table anew.
    pub(super) fn make(&self) -> String {
        let columns: Vec<String> = (0..self.targets.len())
            .map(|place| format!("c{place} NVARCHAR(MAX) COLLATE DATABASE_DEFAULT NULL"))
            .collect();
        format!(
            "IF OBJECT_ID(N'tempdb..{STAGE}') IS NOT NULL DROP TABLE {STAGE}; \
             CREATE TABLE {STAGE} (n BIGINT NOT NULL PRIMARY KEY, {})",
            columns.join(", ")
        )
    }

    /// Each column's condition under which its text does not fit, where there is one.
    fn misfits(&self) -> Vec<(usize, String)> {
        let all = self.targets.iter().enumerate();
        all.map(|(place, target)| (place, target.misfit(&format!("s.c{place}"))))
            .filter(|(_, condition)| !condition.is_empty())
            .collect()
    }

    /// Tells the numbers of rows with a text that does not fit, and the place of the first such column, then takes them out.
    pub(super) fn sift(&self) -> Option<String> {
        let misfits = self.misfits();
        if misfits.is_empty() {
            return None;
        }
        let whens: Vec<String> = misfits
            .iter()
            .map(|(place, condition)| format!("WHEN {condition} THEN {place}"))
            .collect();
        let any: Vec<&str> = misfits
            .iter()
            .map(|(_, condition)| condition.as_str())
            .collect();
        let any = any.join(" OR ");
        Some(format!(
            "SELECT s.n, CASE {} END FROM {STAGE} s WHERE {any} ORDER BY s.n; DELETE s FROM {STAGE} s WHERE {any}",
            whens.join(" ")
        ))
    }

    /// The rows of these numbers, each column as what it holds, under the table's own names.
    fn typed(&self, numbers: &Range<i64>) -> String {
        let columns: Vec<String> = self
            .targets
            .iter()
            .enumerate()
            .map(|(place, target)| {
                format!(
                    "{} AS {}",
                    target.value(&format!("s.c{place}")),
                    target.quoted()
                )
            })
            .collect();
        format!(
            "(SELECT s.n AS {NUMBER}, {} FROM {STAGE} s WHERE s.n >= {} AND s.n < {}) AS s",
            columns.join(", "),
            numbers.start,
            numbers.end
        )
    }

    fn list(&self, places: &[usize], prefix: &str) -> String {
        let names: Vec<&str> = places
            .iter()
            .map(|place| self.targets[*place].name.as_str())
            .collect();
        Mssql.list(&names, prefix)
    }

    fn all(&self) -> Vec<usize> {
        (0..self.targets.len()).collect()
    }

    fn equal(&self, key: &[usize]) -> String {
        let each = key.iter().map(|place| {
            let name = self.targets[*place].quoted();
            format!("t.{name} = s.{name}")
        });
        each.collect::<Vec<_>>().join(" AND ")
    }

    /// Brings the rows of these numbers into the table; its only row is how many were inserted or updated.
    pub(super) fn bring(&self, numbers: &Range<i64>) -> String {
        let statement = match &self.way {
            Way::Append => self.append(numbers),
            Way::Skip => self.skip(numbers),
            Way::Upsert(key) => self.upsert(numbers, key),
        };
        let named = self.targets.iter().any(|target| target.identity);
        let switch = |on: &str| match named {
            true => format!("SET IDENTITY_INSERT {} {on}; ", self.table),
            false => String::new(),
        };
        let statement = statement.trim_end_matches(';');
        format!(
            "DECLARE @done BIGINT; {}{statement}; SET @done = ROWCOUNT_BIG(); {}SELECT @done",
            switch("ON"),
            switch("OFF")
        )
    }

    fn append(&self, numbers: &Range<i64>) -> String {
        let all = self.all();
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} ORDER BY s.{NUMBER}",
            self.table,
            self.list(&all, ""),
            self.list(&all, "s."),
            self.typed(numbers)
        )
    }

    /// The first of rows with one key, where no row has it yet.
    fn skip(&self, numbers: &Range<i64>) -> String {
        let all = self.all();
        let (mut places, mut conditions) = (String::new(), Vec::new());
        for (index, (_, key)) in self.keys.iter().enumerate() {
            places.push_str(&format!(
                ", ROW_NUMBER() OVER (PARTITION BY {} ORDER BY s.{NUMBER}) AS [procctl k{index}]",
                self.list(key, "s.")
            ));
            conditions.push(format!(
                "s.[procctl k{index}] = 1 AND NOT EXISTS (SELECT 1 FROM {} AS t WITH (UPDLOCK, HOLDLOCK) WHERE {})",
                self.table,
                self.equal(key)
            ));
        }
        if conditions.is_empty() {
            return self.append(numbers);
        }
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM (SELECT s.*{places} FROM {}) AS s WHERE {} ORDER BY s.{NUMBER}",
            self.table,
            self.list(&all, ""),
            self.list(&all, "s."),
            self.typed(numbers),
            conditions.join(" AND ")
        )
    }

    /// The last of rows with one key.
    fn upsert(&self, numbers: &Range<i64>, key: &[usize]) -> String {
        let names = |places: &[usize]| -> Vec<String> {
            places
                .iter()
                .map(|place| self.targets[*place].name.clone())
                .collect()
        };
        let all = self.all();
        let fixed: Vec<usize> = all
            .iter()
            .copied()
            .filter(|place| self.targets[*place].identity)
            .collect();
        let source = format!(
            "(SELECT {} FROM (SELECT s.*, ROW_NUMBER() OVER (PARTITION BY {} ORDER BY s.{NUMBER} DESC) AS [procctl k] FROM {}) AS s \
             WHERE s.[procctl k] = 1) AS s",
            self.list(&all, "s."),
            self.list(key, "s."),
            self.typed(numbers)
        );
        Mssql.merge(
            &self.table,
            &names(&all),
            &names(key),
            &names(&fixed),
            &source,
        )
    }

    /// How many rows of the table have the key of this row.
    pub(super) fn there(&self, number: i64, key: &[usize]) -> String {
        format!(
            "SELECT COUNT_BIG(*) FROM {} AS t JOIN {} ON {}",
            self.table,
            self.typed(&(number..number + 1)),
            self.equal(key)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, TableName};

    fn plan(mode: Mode<'_>, auto: bool) -> Plan {
        let column = |name: &str, kind, declared: &str| ColumnInfo {
            declared: declared.to_owned(),
            ..ColumnInfo::new(name, kind)
        };
        let mut id = column("id", Kind::Integer, "int");
        (id.auto, id.nullable) = (auto, false);
        let info = TableInfo {
            columns: vec![id, column("v", Kind::Text, "nvarchar(max)")],
            primary_key: vec!["id".to_owned()],
            ..TableInfo::default()
        };
        let (table, columns) = (TableName::parse("dbo.t"), ["id", "v"].map(str::to_owned));
        let load = Load {
            table: &table,
            columns: &columns,
            mode,
        };
        Plan::new(&load, &info, "loading".to_owned()).unwrap()
    }

    const TYPED: &str = "(SELECT s.n AS [procctl n], TRY_CONVERT(int, s.c0) AS [id], \
        CONVERT(nvarchar(max), s.c1 COLLATE DATABASE_DEFAULT) AS [v] FROM #procctl_load s WHERE s.n >= 0 AND s.n < 5) AS s";

    #[test]
    fn rows_are_staged_sifted_and_brought() {
        let plan = plan(Mode::Append, false);
        assert!(plan.make().ends_with(
            "CREATE TABLE #procctl_load (n BIGINT NOT NULL PRIMARY KEY, c0 NVARCHAR(MAX) COLLATE DATABASE_DEFAULT NULL, \
             c1 NVARCHAR(MAX) COLLATE DATABASE_DEFAULT NULL)"
        ));
        let misfit = "(s.c0 IS NOT NULL AND (TRY_CONVERT(int, s.c0) IS NULL))";
        assert_eq!(
            plan.sift().unwrap(),
            format!(
                "SELECT s.n, CASE WHEN {misfit} THEN 0 END FROM #procctl_load s WHERE {misfit} ORDER BY s.n; \
                 DELETE s FROM #procctl_load s WHERE {misfit}"
            )
        );
        assert_eq!(
            plan.bring(&(0..5)),
            format!(
                "DECLARE @done BIGINT; INSERT INTO [dbo].[t] ([id], [v]) SELECT s.[id], s.[v] FROM {TYPED} ORDER BY s.[procctl n]; \
                 SET @done = ROWCOUNT_BIG(); SELECT @done"
            )
        );
        assert_eq!(plan.keys, [("id".to_owned(), vec![0])]);
        assert!(
            plan.there(3, &[0])
                .ends_with("s.n >= 3 AND s.n < 4) AS s ON t.[id] = s.[id]")
        );
    }

    #[test]
    fn keys_that_are_there_are_left_or_replaced() {
        let sql = plan(Mode::Skip, false).bring(&(0..5));
        assert!(sql.contains(&format!(
            "FROM (SELECT s.*, ROW_NUMBER() OVER (PARTITION BY s.[id] ORDER BY s.[procctl n]) AS [procctl k0] FROM {TYPED}) AS s \
             WHERE s.[procctl k0] = 1 AND NOT EXISTS (SELECT 1 FROM [dbo].[t] AS t WITH (UPDLOCK, HOLDLOCK) WHERE t.[id] = s.[id])"
        )), "{sql}");
        let key = ["ID".to_owned()];
        let plan = plan(Mode::Upsert { key: &key }, true);
        assert_eq!(plan.way, Way::Upsert(vec![0]));
        let sql = plan.bring(&(0..5));
        assert!(sql.starts_with("DECLARE @done BIGINT; SET IDENTITY_INSERT [dbo].[t] ON; MERGE INTO [dbo].[t] WITH (HOLDLOCK) AS t USING (SELECT s.[id], s.[v] FROM"), "{sql}");
        assert!(
            sql.contains("ORDER BY s.[procctl n] DESC) AS [procctl k]"),
            "{sql}"
        );
        assert!(sql.ends_with(
            "AS s ON t.[id] = s.[id] WHEN MATCHED THEN UPDATE SET [v] = s.[v] WHEN NOT MATCHED THEN INSERT ([id], [v]) VALUES (s.[id], s.[v]); \
             SET @done = ROWCOUNT_BIG(); SET IDENTITY_INSERT [dbo].[t] OFF; SELECT @done"
        ), "{sql}");
    }
}
