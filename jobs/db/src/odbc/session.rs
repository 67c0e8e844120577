//! One connection on its own thread: the only place that calls the driver. Nothing in it waits for anybody but the driver.

use super::engine::Engine;
use super::fault::{Complaint, Trouble, is_dead};
use super::fetch;
use super::shape::Shape;
use super::stop::Kill;
use super::value::wide;
use crate::marks::translate;
use crate::{Column, Dialect};
use odbc_api::buffers::Indicator;
use odbc_api::handles::Statement as _;
use odbc_api::parameter::{InputParameter, VarBinaryBox, VarCharBox, VarWCharBox};
use odbc_api::{
    Connection, ConnectionOptions, CursorImpl, Preallocated, Prepared, environment,
    handles::StatementImpl, handles::StatementRef,
};
use std::borrow::Cow;
use std::time::Duration;

/// What stands in the way of SQL and names that are not ASCII.
const ASCII: &str = "this driver gets SQL and names in ASCII alone; IconvEncoding=UTF-8 in its section of odbcinst.ini helps";

/// There is no such savepoint: "invalid savepoint specification".
const NO_SAVEPOINT: &str = "3B001";

/// A cell that went to the thread.
pub(super) type Owned = Option<Vec<u8>>;

/// The parameters of a statement.
pub(super) type Bound = Vec<Box<dyn InputParameter>>;

/// A value as the driver takes it.
pub(super) enum Param {
    Wide(VarWCharBox),
    Narrow(VarCharBox),
    Bytes(VarBinaryBox),
}

impl Param {
    /// Text in UTF-16, or in UTF-8 where the engine's driver takes only that whole.
    pub(super) fn text(engine: Engine, cell: Option<&[u8]>) -> Result<Self, Trouble> {
        if engine.speaks_utf8() {
            return match cell {
                Some(text) if std::str::from_utf8(text).is_err() => Err(not_utf8()),
                cell => Ok(Param::Narrow(narrow(cell))),
            };
        }
        Ok(Param::Wide(match cell {
            None => VarWCharBox::null(),
            Some(text) => {
                let mut units = wide(text).ok_or_else(not_utf8)?;
                let length = Indicator::Length(units.len() * 2);
                // a buffer of nothing is bound as VARCHAR(0), which drivers refuse: a NUL behind the text costs none
                units.push(0);
                VarWCharBox::from_buffer(units.into_boxed_slice(), length)
            }
        }))
    }

    pub(super) fn bytes(bytes: Option<Vec<u8>>) -> Self {
        Param::Bytes(bytes.map_or_else(VarBinaryBox::null, |mut bytes| {
            let length = Indicator::Length(bytes.len());
            bytes.push(0);
            VarBinaryBox::from_buffer(bytes.into_boxed_slice(), length)
        }))
    }

    pub(super) fn boxed(self) -> Box<dyn InputParameter> {
        match self {
            Param::Wide(text) => Box::new(text),
            Param::Narrow(text) => Box::new(text),
            Param::Bytes(bytes) => Box::new(bytes),
        }
    }
}

fn narrow(cell: Option<&[u8]>) -> VarCharBox {
    cell.map_or_else(VarCharBox::null, |text| {
        let length = Indicator::Length(text.len());
        let mut bytes = text.to_vec();
        bytes.push(0);
        VarCharBox::from_buffer(bytes.into_boxed_slice(), length)
    })
}

pub(super) fn not_utf8() -> Trouble {
    Trouble::Senseless("a parameter is not UTF-8".to_owned())
}

pub(super) struct Session {
    connection: Option<Connection<'static>>,
    pub(super) engine: Engine,
    pub(super) dialect: &'static dyn Dialect,
    /// SQL comes through whole only where it is ASCII: the driver manager translates it for a driver without Unicode by the locale
    /// of the process, which is C.
    ascii: bool,
    /// An error ended the open transaction on the server.
    pub(super) undone: bool,
    dead: bool,
}

impl Session {
    /// Connects, and makes the session as it has to be.
    pub(super) fn open(
        string: &str,
        reach: Duration,
        wait: Duration,
    ) -> Result<(Self, Option<Kill>), Trouble> {
        let seconds = u32::try_from(reach.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        let options = ConnectionOptions {
            login_timeout_sec: Some(seconds.max(1)),
            ..ConnectionOptions::default()
        };
        let connection = environment()?.connect_with_connection_string(string, options)?;
        let engine = Engine::named(&connection.database_management_system_name()?);
        let quote = connection.identifier_quote_char()?;
        let mut session = Session {
            connection: Some(connection),
            engine,
            dialect: engine.dialect(quote),
            ascii: false,
            undone: false,
            dead: false,
        };
        for setting in engine.settings(wait) {
            session.say(&setting)?;
        }
        session.refuse_other_charsets()?;
        session.ascii = !session.passes_whole()?;
        let mut kill = None;
        if let Some((number, sql)) = engine.kill() {
            let number = fetch::first(&mut session, number)?.unwrap_or_default();
            kill = Some(Kill {
                string: string.to_owned(),
                sql: sql.replace("{}", &number),
            });
        }
        Ok((session, kill))
    }

    /// MariaDB's driver hands bytes over in the charset of the connection, which only its string sets.
    fn refuse_other_charsets(&mut self) -> Result<(), Trouble> {
        if self.engine != Engine::Mysql {
            return Ok(());
        }
        let charset = fetch::first(self, "SELECT @@character_set_results")?.unwrap_or_default();
        if charset == "utf8mb4" {
            return Ok(());
        }
        Err(Trouble::Refused(Box::new(Complaint {
            // "invalid attribute value"
            state: "HY024".to_owned(),
            native: 0,
            message: format!(
                "the connection speaks {charset}; CHARSET=utf8mb4 belongs into its string"
            ),
        })))
    }

    /// Whether SQL that is not ASCII comes through. A database that refuses the question is not trusted with it.
    fn passes_whole(&mut self) -> Result<bool, Trouble> {
        const PROBE: &str = "测试é";
        let mark = if self.engine == Engine::Mssql {
            "N"
        } else {
            ""
        };
        match fetch::first(self, &format!("SELECT {mark}'{PROBE}'")) {
            Ok(told) => Ok(told.as_deref() == Some(PROBE)),
            Err(Trouble::Refused(_) | Trouble::Damaged(..)) => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    /// The statement as the driver reads it.
    fn wording<'s>(&self, sql: &'s str) -> Result<Cow<'s, str>, Trouble> {
        if self.ascii && !sql.is_ascii() {
            return Err(Trouble::Senseless(ASCII.to_owned()));
        }
        Ok(self.engine.wording(sql))
    }

    /// Refuses names of columns that may have come through otherwise than they are.
    pub(super) fn trust_names(&self, told: &[(Column, Shape)]) -> Result<(), Trouble> {
        let odd = told.iter().position(|(column, _)| !column.name.is_ascii());
        match odd.filter(|_| self.ascii) {
            Some(place) => Err(Trouble::Damaged(place, ASCII.to_owned())),
            None => Ok(()),
        }
    }

    pub(super) fn connection(&self) -> Result<&Connection<'static>, Trouble> {
        self.connection
            .as_ref()
            .filter(|_| !self.dead)
            .ok_or(Trouble::Lost)
    }

    /// Does something, and remembers what its error did to the connection.
    pub(super) fn minded<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let done = work(self);
        if let Err(trouble) = &done {
            self.dead |= is_dead(self.engine, trouble);
            if let Trouble::Refused(complaint) = trouble {
                self.undone |= self.engine.undoes(complaint.native);
            }
        }
        done
    }

    /// Runs a statement of our own.
    pub(super) fn say(&mut self, sql: &str) -> Result<(), Trouble> {
        let statement = self.connection()?.preallocate()?;
        run_direct(statement, &self.wording(sql)?).map(drop)
    }

    /// Runs each statement of a text.
    pub(super) fn several(&mut self, sql: &str) -> Result<(), Trouble> {
        for statement in super::pieces::statements(sql, self.dialect) {
            self.say(statement)?;
        }
        Ok(())
    }

    /// Runs one statement with its parameters bound as text; how many rows it changed.
    pub(super) fn execute(&mut self, sql: &str, params: &[Owned]) -> Result<u64, Trouble> {
        // a mark without a parameter is seen while preparing
        let plain = !sql.contains('?') && translate(sql, self.dialect).1.is_none();
        if params.is_empty() && plain {
            let statement = self.connection()?.preallocate()?;
            return run_direct(statement, &self.wording(sql)?);
        }
        let (mut prepared, bound) = self.prepare(sql, params)?;
        let rows = prepared.execute(&bound[..])?.map(leave);
        if rows.is_some() {
            return Ok(0);
        }
        changed(prepared.row_count())
    }

    /// Prepares a statement, and its parameters in the order of its marks.
    pub(super) fn prepare(
        &self,
        sql: &str,
        params: &[Owned],
    ) -> Result<(Prepared<StatementImpl<'_>>, Bound), Trouble> {
        let (sql, order) = translate(sql, self.dialect);
        let order = order.unwrap_or_else(|| (0..params.len()).collect());
        let count = params.len();
        let unused = (0..count).any(|place| !order.contains(&place));
        if unused || order.iter().any(|place| *place >= count) {
            let why = format!("{count} parameters for other placeholders");
            return Err(Trouble::Senseless(why));
        }
        let mut prepared = self.connection()?.prepare(&self.wording(&sql)?)?;
        let wanted = usize::from(prepared.num_params()?);
        if wanted != order.len() {
            let why = format!("{} parameters for {wanted} placeholders", order.len());
            return Err(Trouble::Senseless(why));
        }
        let bound = order.iter().map(|place| {
            let param = Param::text(self.engine, params[*place].as_deref())?;
            Ok(param.boxed())
        });
        Ok((prepared, bound.collect::<Result<_, Trouble>>()?))
    }

    /// Prepares a statement and lets go of it; the columns of its rows.
    pub(super) fn describe(&mut self, sql: &str, params: usize) -> Result<Vec<Column>, Trouble> {
        let (mut prepared, _) = self.prepare(sql, &vec![None; params])?;
        let told = super::shape::described(&mut prepared, self.engine)?;
        self.trust_names(&told)?;
        Ok(told.into_iter().map(|(column, _)| column).collect())
    }

    pub(super) fn autocommit(&mut self, on: bool) -> Result<(), Trouble> {
        self.undone = false;
        Ok(self.connection()?.set_autocommit(on)?)
    }

    pub(super) fn commit(&mut self) -> Result<(), Trouble> {
        Ok(self.connection()?.commit()?)
    }

    pub(super) fn rollback(&mut self) -> Result<(), Trouble> {
        Ok(self.connection()?.rollback()?)
    }

    pub(super) fn savepoint(&mut self, name: &str) -> Result<(), Trouble> {
        self.say(&format!("{}{name}", self.engine.savepoint().make))?;
        if self.engine == Engine::Postgres {
            // psqlodbc's own savepoint moves behind ours
            self.say("SELECT 1")?;
        }
        Ok(())
    }

    /// Undoes what was done since the savepoint, which stays.
    pub(super) fn undo_to(&mut self, name: &str) -> Result<(), Trouble> {
        self.say(&format!("{}{name}", self.engine.savepoint().undo))
    }

    /// Undoes what was done since the savepoint and lets go of it. psqlodbc returns to a savepoint of its own after an error: where
    /// that is older than ours, ours is gone, and all since then with it.
    pub(super) fn undo(&mut self, name: &str) -> Result<(), Trouble> {
        match self.undo_to(name) {
            Err(Trouble::Refused(complaint)) if complaint.state == NO_SAVEPOINT => Ok(()),
            Err(trouble) => Err(trouble),
            Ok(()) => self.release(name),
        }
    }

    pub(super) fn release(&mut self, name: &str) -> Result<(), Trouble> {
        match self.engine.savepoint().release {
            Some(release) => self.say(&format!("{release}{name}")),
            None => Ok(()),
        }
    }

    /// Disconnects. The driver manager's handle of a connection that is over is left alone: freeing it may fail, and no error of
    /// that sort is worth the process.
    pub(super) fn close(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        if self.dead || connection.rollback().is_err() {
            std::mem::forget(connection);
            return;
        }
        let mut handle = connection.into_handle();
        if handle.disconnect().is_err() {
            std::mem::forget(handle);
        }
    }
}

/// Runs a statement without parameters; how many rows it changed.
fn run_direct(mut statement: Preallocated<StatementImpl<'_>>, sql: &str) -> Result<u64, Trouble> {
    let rows = statement.execute(sql, ())?.map(leave);
    if rows.is_some() {
        return Ok(0);
    }
    changed(statement.row_count())
}

fn changed(count: Result<Option<usize>, odbc_api::Error>) -> Result<u64, Trouble> {
    let count = count?.unwrap_or(0);
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Closes a result. The driver may refuse, in a transaction that failed: then there is nothing to close.
pub(super) fn leave(cursor: CursorImpl<StatementRef<'_>>) {
    let mut statement = cursor.into_stmt();
    if statement.close_cursor().is_err() {
        log::trace!("a cursor was closed already");
    }
}
