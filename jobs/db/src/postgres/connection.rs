//! Statements and transactions of one connection.

use super::dialect::Postgres;
use super::dictionary::{self, Keys};
use super::fault::{Trouble, fault};
use super::kept::Kept;
use super::kind::described;
use super::loader::PostgresLoader;
use super::login::log_in;
use super::param::Given;
use super::rows::PostgresRows;
use super::session::{Session, Standing};
use super::transactions;
use super::verb;
use crate::statement::ending_transaction;
use crate::{
    Canceller, Cell, Column, Connection, Dialect, Error, ErrorKind, Load, Loader, Options, Result,
    Rows, TableInfo, TableName, Transactions, Url,
};
use futures_util::future::join;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Statement;

const SNAPSHOT: &str =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0";
const UNDO: &str = "ROLLBACK TO SAVEPOINT statement; RELEASE SAVEPOINT statement";

#[derive(Debug)]
pub(super) struct PostgresConnection {
    session: Session,
    /// The URL, for messages.
    name: String,
    /// The table that was loaded into last, with what it was known as, and the names of its keys.
    target: Option<(TableName, TableInfo, Arc<Keys>)>,
    kept: Kept,
    /// The server's time limit was changed within a transaction, whose end may undo that.
    limit_in_doubt: bool,
}

pub(super) fn connect(url: &Url, options: &Options) -> Result<Box<dyn Connection>> {
    url.only(&["ca", "busy-timeout"])?;
    Ok(Box::new(PostgresConnection {
        session: log_in(url, options)?,
        name: url.redacted(),
        target: None,
        kept: Kept::default(),
        limit_in_doubt: false,
    }))
}

impl PostgresConnection {
    fn action(&self, doing: &str) -> String {
        format!("{doing} on {}", self.name)
    }

    fn fault(&self, doing: &str, trouble: Trouble) -> Error {
        fault(self.action(doing), &self.session.watch, trouble)
    }

    fn run(&mut self, doing: &str, sql: &str) -> Result<()> {
        self.session
            .run(sql)
            .map_err(|trouble| self.fault(doing, trouble))
    }

    fn start_load<'c>(
        &'c mut self,
        into: &Load<'_>,
        info: &TableInfo,
        keys: Arc<Keys>,
        action: String,
    ) -> Result<Box<dyn Loader + 'c>> {
        let loader = PostgresLoader::start(&mut self.session, into, info, keys, action)?;
        Ok(Box::new(loader))
    }

    /// Runs one statement; returns the number that the server ends it with.
    fn change(&mut self, sql: &str, params: &[Cell<'_>], guarded: bool) -> Result<u64, Trouble> {
        // undone alone if it is refused, as on other databases, where a refused statement does not end the transaction
        let session = &self.session;
        let changed = if let Some(statement) = self.kept.find(sql, params.len()) {
            self.change_prepared(&statement, params, guarded, guarded)
        } else {
            let prepared = session.wait(async {
                let save = session.also(guarded, "SAVEPOINT statement");
                let (saved, prepared) = join(save, session.client().prepare(sql)).await;
                saved.map(|()| prepared)
            })?;
            let prepared = prepared.map_err(|error| session.trouble(error));
            prepared.and_then(|statement| {
                let changed = self.change_prepared(&statement, params, false, guarded);
                self.kept.keep(sql, statement);
                changed
            })
        };
        if matches!(changed, Err(Trouble::Refused(_) | Trouble::Unfit(_))) {
            self.kept.forget(sql);
            self.session.wait(self.session.also(guarded, UNDO))?;
        }
        changed
    }

    /// Runs a statement in one exchange, with a savepoint before it, and the end of one after it.
    fn change_prepared(
        &self,
        statement: &Statement,
        params: &[Cell<'_>],
        saves: bool,
        releases: bool,
    ) -> Result<u64, Trouble> {
        let session = &self.session;
        session.fit(statement, params.len())?;
        session.wait(async {
            let save = session.also(saves, "SAVEPOINT statement");
            let given = params.iter().map(|cell| Given(*cell));
            let change = session.client().execute_raw(statement, given);
            let release = session.also(releases, "RELEASE SAVEPOINT statement");
            let (saved, (changed, released)) = join(save, join(change, release)).await;
            saved?;
            let changed = changed?;
            released.map(|()| changed)
        })
    }

    /// Prepares a statement; a refusal is undone alone, as in [`Self::change`].
    fn prepare_only(&self, sql: &str, params: usize) -> Result<Statement, Trouble> {
        let session = &self.session;
        let guarded = matches!(session.standing, Standing::Open | Standing::Snapshot);
        session.wait(session.also(guarded, "SAVEPOINT statement"))?;
        let prepared = session
            .wait(session.client().prepare(sql))
            .and_then(|statement| session.fit(&statement, params).map(|()| statement));
        if guarded
            && matches!(
                prepared,
                Ok(_) | Err(Trouble::Refused(_) | Trouble::Unfit(_))
            )
        {
            session.wait(session.also(true, UNDO))?;
        }
        prepared
    }

    /// Whether a transaction is open, after a text that may have begun or ended one: a savepoint can stand in one only.
    fn look_around(&mut self) {
        let session = &mut self.session;
        let probe = session.wait(session.client().batch_execute("SAVEPOINT probe"));
        session.standing = match probe {
            Ok(()) => {
                session.send("RELEASE SAVEPOINT probe");
                Standing::Open
            }
            Err(Trouble::Refused(complaint)) if complaint.code == "25P01" => Standing::Idle,
            Err(Trouble::Refused(_)) => Standing::Failed,
            Err(_) => session.standing,
        };
    }

    /// A refusal that no savepoint has caught ends the transaction.
    fn note_refusal(&mut self) {
        if self.in_transaction() {
            self.session.standing = Standing::Failed;
        }
    }

    /// A transaction ends with its session: the server takes it back.
    fn end_with_session(&mut self) {
        if self.session.is_lost() {
            self.session.standing = Standing::Idle;
        }
    }

    fn has_ended(&mut self) {
        self.session.standing = Standing::Idle;
        if std::mem::take(&mut self.limit_in_doubt) {
            let limit = self.session.watch.server_limit();
            self.session
                .send(&format!("SET statement_timeout = {limit}"));
        }
    }
}

impl Connection for PostgresConnection {
    fn dialect(&self) -> &'static dyn Dialect {
        &Postgres
    }

    fn execute(&mut self, sql: &str, params: &[Cell<'_>]) -> Result<u64> {
        let controls = ending_transaction(sql, &Postgres).is_some();
        let guarded = self.session.standing == Standing::Open && !controls;
        self.session.watch.start();
        let changed = self.change(sql, params, guarded);
        self.session.watch.rest();
        if controls {
            self.look_around();
        } else if !guarded && matches!(changed, Err(Trouble::Refused(_))) {
            self.note_refusal();
        }
        let counts = verb::changes(sql);
        changed
            .map(|count| if counts { count } else { 0 })
            .map_err(|trouble| self.fault("running a statement", trouble))
    }

    fn batch(&mut self, sql: &str) -> Result<()> {
        let ended = self.session.run(sql);
        if ending_transaction(sql, &Postgres).is_some() {
            self.look_around();
        } else if matches!(ended, Err(Trouble::Refused(_))) {
            self.note_refusal();
        }
        ended.map_err(|trouble| self.fault("running statements", trouble))
    }

    fn query<'c>(&'c mut self, sql: &str, params: &[Cell<'_>]) -> Result<Box<dyn Rows + 'c>> {
        let action = self.action("querying");
        let rows = PostgresRows::start(&mut self.session, sql, params, action)?;
        Ok(Box::new(rows))
    }

    fn describe(&mut self, sql: &str, params: usize) -> Result<Vec<Column>> {
        self.session.watch.start();
        let prepared = self.prepare_only(sql, params);
        self.session.watch.rest();
        let statement = prepared.map_err(|trouble| self.fault("preparing a statement", trouble))?;
        Ok(statement.columns().iter().map(described).collect())
    }

    fn load<'c>(&'c mut self, into: &Load<'_>) -> Result<Box<dyn Loader + 'c>> {
        let action = format!("loading into {} on {}", into.table, self.name);
        let Some(info) = self.dictionary(into.table)? else {
            return Err(Error::new(ErrorKind::Missing, &action).because("there is no such table"));
        };
        let keys = Arc::new(dictionary::key_names(self, into.table)?);
        self.start_load(into, &info, keys, action)
    }

    fn load_known<'c>(
        &'c mut self,
        into: &Load<'_>,
        info: &TableInfo,
    ) -> Result<Box<dyn Loader + 'c>> {
        let keys = match &self.target {
            Some((table, known, keys)) if table == into.table && known == info => Arc::clone(keys),
            _ => {
                let keys = Arc::new(dictionary::key_names(self, into.table)?);
                self.target = Some((into.table.clone(), info.clone(), Arc::clone(&keys)));
                keys
            }
        };
        let action = format!("loading into {} on {}", into.table, self.name);
        self.start_load(into, info, keys, action)
    }

    fn begin(&mut self) -> Result<()> {
        self.end_with_session();
        if self.in_transaction() {
            return Err(
                Error::new(ErrorKind::Invalid, self.action("beginning a transaction"))
                    .because("one is open already"),
            );
        }
        let begun = self.session.begin();
        begun.map_err(|trouble| self.fault("beginning a transaction", trouble))
    }

    fn begin_snapshot(&mut self) -> Result<()> {
        // the snapshot is that of the first statement
        self.run("beginning a snapshot", &format!("{SNAPSHOT}; SELECT 1"))?;
        self.session.standing = Standing::Snapshot;
        Ok(())
    }

    fn export_snapshot(&mut self) -> Result<Option<String>> {
        let session = &self.session;
        session.watch.start();
        let sql = "SELECT pg_catalog.pg_export_snapshot()";
        let found = session.wait(async {
            let row = session.client().query_one(sql, &[]).await?;
            row.try_get::<_, String>(0)
        });
        session.watch.rest();
        found
            .map(Some)
            .map_err(|trouble| self.fault("exporting a snapshot", trouble))
    }

    fn join_snapshot(&mut self, name: &str) -> Result<()> {
        let plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !plain {
            return Err(Error::new(
                ErrorKind::Invalid,
                self.action(&format!("joining snapshot {name:?}")),
            ));
        }
        let sql = SNAPSHOT.replace("; ", &format!("; SET TRANSACTION SNAPSHOT '{name}'; "));
        let joined = self.run(&format!("joining snapshot {name}"), &sql);
        self.session.standing = Standing::Snapshot;
        if joined.is_err() {
            self.rollback()?;
        }
        joined
    }

    fn shares_snapshots(&self) -> bool {
        true
    }

    fn transactions(&mut self) -> Result<Transactions> {
        transactions::open(self)
    }

    fn check_at_once(&mut self) -> Result<bool> {
        self.run("checking constraints", "SET CONSTRAINTS ALL IMMEDIATE")?;
        self.session.at_once = true;
        Ok(true)
    }

    fn commit(&mut self) -> Result<()> {
        let refuse =
            |why: &str| Err(Error::new(ErrorKind::Other, self.action("committing")).because(why));
        match self.session.standing {
            Standing::Open | Standing::Snapshot => {
                // COMMIT of a failed transaction is a rollback without an error; before it, a query is one
                let ended = self.session.run("SELECT 1; COMMIT");
                if matches!(ended, Err(Trouble::Refused(_))) {
                    self.session.send("ROLLBACK");
                }
                self.has_ended();
                ended.map_err(|trouble| self.fault("committing", trouble))
            }
            Standing::Failed => {
                let refused = refuse("the transaction had failed and was rolled back");
                self.rollback()?;
                refused
            }
            Standing::Idle => refuse("no transaction is open"),
        }
    }

    fn rollback(&mut self) -> Result<()> {
        if !self.in_transaction() {
            return Ok(());
        }
        let ended = self.run("rolling back", "ROLLBACK");
        self.end_with_session();
        ended?;
        self.has_ended();
        Ok(())
    }

    fn in_transaction(&self) -> bool {
        self.session.standing != Standing::Idle
    }

    fn tables(&mut self) -> Result<Vec<TableName>> {
        dictionary::tables(self)
    }

    fn dictionary(&mut self, table: &TableName) -> Result<Option<TableInfo>> {
        dictionary::table(self, table)
    }

    fn canceller(&self) -> Canceller {
        let (watch, key) = (
            Arc::clone(&self.session.watch),
            Arc::clone(&self.session.key),
        );
        Canceller::new(move || {
            if !watch.runs() {
                return;
            }
            watch.cancel();
            if let Err(error) = key.cancel_now() {
                log::warn!("could not cancel a statement: {error}");
            }
        })
    }

    fn limit_statements(&mut self, timeout: Duration) -> Result<()> {
        self.session.watch.limit(timeout);
        if self.session.standing == Standing::Idle {
            let limit = self.session.watch.server_limit();
            return self.run(
                "limiting statements",
                &format!("SET statement_timeout = {limit}"),
            );
        }
        // this side's limit holds at once, the server's from the transaction's end on
        self.limit_in_doubt = true;
        Ok(())
    }
}
