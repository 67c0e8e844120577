//! The face: what every backend implements and every job sees.
//! Holds no code of any backend and no SQL.

use crate::{Dialect, Error, Kind, Result, Sheaf, TableInfo, TableName, Transactions};
use std::time::Duration;

/// NULL, or UTF-8 text in the written form of the value's type (see [`crate::form`]).
pub type Cell<'a> = Option<&'a [u8]>;

/// One connection to one database. Blocking; may move between threads, is used by one at a time.
///
/// A statement that returns no answer within the statement timeout is cancelled and fails with
/// [`crate::ErrorKind::Timeout`]. For a result set the clock starts anew at each fetch, so that a long
/// extract may last, and a server that falls silent in its midst is still noticed.
pub trait Connection: Send {
    /// How this database writes SQL.
    fn dialect(&self) -> &'static dyn Dialect;

    /// Runs one statement with its parameters bound, never pasted; returns the number of rows it changed.
    /// Rows that it yields are dropped. Parameters are bound as text: where the database would not convert by
    /// itself (an expression has no type to convert to), wrap the placeholder in [`Dialect::cast`].
    fn execute(&mut self, sql: &str, params: &[Cell<'_>]) -> Result<u64>;

    /// Runs a text of several statements, separated by semicolons, in the database's own understanding.
    fn batch(&mut self, sql: &str) -> Result<()>;

    /// Starts a query; its rows are streamed, never held as a whole.
    fn query<'c>(&'c mut self, sql: &str, params: &[Cell<'_>]) -> Result<Box<dyn Rows + 'c>>;

    /// Lets the database prepare a statement for so many parameters, and does not run it: tells what is wrong with it, else
    /// the columns of the rows that it would yield. It changes nothing, and leaves an open transaction as it was. Where the database
    /// cannot prepare a statement of that sort, nothing is found wrong with it.
    fn describe(&mut self, sql: &str, params: usize) -> Result<Vec<Column>>;

    /// Opens the fastest exact bulk path into a table. Inside a transaction the rows belong to it; outside,
    /// [`Loader::finish`] commits them. A loader that is dropped unfinished leaves nothing behind.
    fn load<'c>(&'c mut self, into: &Load<'_>) -> Result<Box<dyn Loader + 'c>>;

    /// As [`Connection::load`], for a caller that keeps the table's description from [`Connection::dictionary`]: many
    /// small loads need not ask for it each time. A description that is not the table's any more makes the load fail.
    fn load_known<'c>(
        &'c mut self,
        into: &Load<'_>,
        info: &TableInfo,
    ) -> Result<Box<dyn Loader + 'c>> {
        let _asked_again = info;
        self.load(into)
    }

    /// Begins a transaction that means to write.
    fn begin(&mut self) -> Result<()>;

    /// Begins a read-only view of one moment: every query until the end sees the same rows.
    fn begin_snapshot(&mut self) -> Result<()>;

    /// A name under which [`Connection::join_snapshot`] of other connections to the same server can share the
    /// snapshot that is open here; `None` where the database has no such thing.
    fn export_snapshot(&mut self) -> Result<Option<String>> {
        Ok(None)
    }

    /// Begins a read-only view of the moment that another connection exported. Only where
    /// [`Connection::export_snapshot`] gives names.
    fn join_snapshot(&mut self, name: &str) -> Result<()> {
        Err(Error::new(
            crate::ErrorKind::Other,
            format!("joining snapshot {name}"),
        ))
    }

    /// Whether [`crate::share_snapshot`] can work here, if the account may do what it takes.
    fn shares_snapshots(&self) -> bool {
        false
    }

    /// What the account lacks for [`crate::share_snapshot`], as far as the server lists its rights. Holds nobody up.
    ///
    /// # Errors
    /// When the rights cannot be asked for.
    fn lacks_for_sharing(&mut self) -> Result<Option<&'static str>> {
        Ok(None)
    }

    /// Keeps everybody from committing for a moment, where that is how connections come to share a snapshot; `false`
    /// where it is not. Until [`Connection::release_writers`].
    fn hold_writers(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// Ends what [`Connection::hold_writers`] began. A snapshot that is open stays.
    fn release_writers(&mut self) -> Result<()> {
        Ok(())
    }

    /// Lists the transactions that were open at some moment of this call. Only within a snapshot of this connection, which may be of no
    /// more use afterwards: end it by [`Connection::rollback`].
    fn transactions(&mut self) -> Result<Transactions> {
        let why = format!("{} does not tell", self.dialect().name());
        Ok(Transactions::Hidden(why))
    }

    /// From here to the end of the transaction, rules that the database would check at its end (deferred constraints) are checked
    /// row by row, so that a load names the rows that break them. `false` where no rule is checked late.
    ///
    /// # Errors
    /// A constraint that is broken already.
    fn check_at_once(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// Makes the transaction durable, or ends the snapshot.
    fn commit(&mut self) -> Result<()>;

    /// Undoes the transaction. No error when none is open: a server may have rolled back by itself.
    fn rollback(&mut self) -> Result<()>;

    /// Whether a transaction or snapshot is open.
    fn in_transaction(&self) -> bool;

    /// Every table and view that the account sees in its own schema, in name order.
    fn tables(&mut self) -> Result<Vec<TableName>>;

    /// What the database's dictionary says of one table or view; `None` if there is none of that name.
    fn dictionary(&mut self, table: &TableName) -> Result<Option<TableInfo>>;

    /// Refuses a table whose changes could not be taken back.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for such a table, and those of the database.
    fn require_transactions(&mut self, table: &TableName) -> Result<()> {
        let _all_have_them = table;
        Ok(())
    }

    /// A handle that cancels what runs on this connection, from any thread.
    fn canceller(&self) -> Canceller;

    /// Changes how long one statement may take; zero is for ever.
    fn limit_statements(&mut self, timeout: Duration) -> Result<()>;
}

/// How many rows [`Rows::gather`] takes at a time where a backend knows no better.
const AT_A_TIME: usize = 256;

/// Rows of a query, lent one at a time.
pub trait Rows {
    /// The columns of the result. A column without a declared type has the kind of its first row's value.
    fn columns(&self) -> &[Column];

    /// Lends the next row until the next call; `None` at the end.
    fn fetch(&mut self) -> Result<Option<Row<'_>>>;

    /// Lays the next rows down behind what lies in `into`: at most `most`, for which it waits no longer than a few hundred
    /// rows take. Tells how many; none at the end. Many times faster than row by row where a backend has them lying together.
    ///
    /// # Errors
    /// As [`Rows::fetch`]. What was laid down before is not taken back.
    fn gather(&mut self, most: usize, into: &mut Sheaf) -> Result<usize> {
        let mut count = 0;
        while count < most.min(AT_A_TIME) {
            let Some(row) = self.fetch()? else { break };
            row.copy(row.len(), into);
            count += 1;
        }
        Ok(count)
    }
}

/// What a backend lends as a row.
pub trait Cells {
    /// How many cells the row has.
    fn len(&self) -> usize;

    /// Whether it has none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The cell at `index`, which is below [`Cells::len`].
    fn cell(&self, index: usize) -> Cell<'_>;

    /// Copies the first `count` cells, which are there.
    fn copy(&self, count: usize, into: &mut Sheaf) {
        (0..count).for_each(|index| into.push(self.cell(index)));
    }
}

/// One row, borrowed from the result set.
#[derive(Clone, Copy)]
pub struct Row<'a>(&'a dyn Cells);

impl<'a> Row<'a> {
    /// Lends a backend's row.
    pub fn new(cells: &'a dyn Cells) -> Self {
        Row(cells)
    }

    /// How many cells the row has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// The cell at `index`, which is below [`Row::len`].
    pub fn cell(&self, index: usize) -> Cell<'a> {
        self.0.cell(index)
    }

    /// Copies the first `count` cells, at most [`Row::len`]: many times faster than cell by cell.
    pub fn copy(&self, count: usize, into: &mut Sheaf) {
        self.0.copy(count, into);
    }

    /// All cells from the first to the last.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'a>> + use<'a> {
        let cells = self.0;
        (0..cells.len()).map(move |index| cells.cell(index))
    }
}

impl std::fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut list = f.debug_list();
        for cell in self.cells() {
            list.entry(&cell.map(String::from_utf8_lossy));
        }
        list.finish()
    }
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, as the query gives it.
    pub name: String,
    /// What its text means.
    pub kind: Kind,
    /// The type in the database's own words; empty for an expression.
    pub declared: String,
}

/// Where rows go, and what becomes of one whose key is there already.
#[derive(Debug, Clone)]
pub struct Load<'a> {
    /// The table.
    pub table: &'a TableName,
    /// The columns that each pushed row brings, in this order.
    pub columns: &'a [String],
    /// What a key that is there already means.
    pub mode: Mode<'a>,
}

/// What a key that is there already means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode<'a> {
    /// The new row is bad: a constraint error.
    Append,
    /// The old row stays.
    Skip,
    /// The new row's columns replace the old row's, found by these key columns (a primary or unique key).
    Upsert {
        /// The key's columns.
        key: &'a [String],
    },
}

/// The bulk path into one table. Dropped unfinished, it takes back all that it loaded.
pub trait Loader {
    /// Takes a row: a cell for each column of [`Load::columns`].
    ///
    /// An error means that the load is over (connection, disk, timeout, cancel). A row that the database
    /// refuses is not an error: it shows up in [`Loader::rejects`], at once or, where the backend sends
    /// rows in batches, at a later push or in [`Loader::finish`]; all the others load.
    fn push(&mut self, row: &[Cell<'_>]) -> Result<()>;

    /// Takes the rows refused since the last call; cheap when there are none.
    fn rejects(&mut self) -> Vec<Reject>;

    /// Sends what is still buffered and ends the load. An error means that all of it was taken back, also when it
    /// speaks of a row (a deferred constraint).
    fn finish(self: Box<Self>) -> Result<Loaded>;
}

/// A row that the database refused.
#[derive(Debug)]
pub struct Reject {
    /// Which push of this loader brought it, from 0.
    pub ordinal: u64,
    /// Its cells as they were pushed.
    pub cells: Vec<Option<Vec<u8>>>,
    /// Why; [`Error::is_row_error`] holds, [`Error::column`] names the column where that is known.
    pub error: Error,
}

impl Reject {
    /// Copies the row, so that it can be reported after the caller's buffers are gone.
    pub fn new(ordinal: u64, row: &[Cell<'_>], error: Error) -> Self {
        let cells = row.iter().map(|cell| cell.map(<[u8]>::to_vec)).collect();
        Reject {
            ordinal,
            cells,
            error,
        }
    }
}

/// What a finished load did.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Rows inserted or updated.
    pub rows: u64,
    /// Rows that [`Mode::Skip`] left as they were.
    pub skipped: u64,
    /// The last refused rows: those not yet taken by [`Loader::rejects`].
    pub rejects: Vec<Reject>,
}

/// Cancels what runs on a connection, from any thread, as often as asked.
///
/// A call when nothing runs does nothing, so whoever wants to stop a job calls it again until the job is gone.
pub struct Canceller(Box<dyn Fn() + Send + Sync>);

impl Canceller {
    /// Wraps a backend's way to cancel.
    pub fn new(cancel: impl Fn() + Send + Sync + 'static) -> Self {
        Canceller(Box::new(cancel))
    }

    /// Cancels the running statement, which then fails with [`crate::ErrorKind::Cancelled`].
    pub fn cancel(&self) {
        (self.0)();
    }
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Canceller")
    }
}
