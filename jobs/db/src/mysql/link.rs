//! One session: the driver's connection, the private runtime that drives it, and the limits on every wait. Blocking towards
//! the rest of this folder; nothing of the driver's async face leaves it.

use super::fault::{Trouble, fault};
use super::offer::Offer;
use super::rows::described;
use super::stop::Stopper;
use crate::{Cell, Column, Error, ErrorKind};
use bytes::Bytes;
use mysql_async::consts::StatusFlags;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Statement, TextProtocol, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// What the server says at the end of a statement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) changed: u64,
    pub(super) warnings: u16,
}

pub(super) struct Link {
    pub(super) runtime: Runtime,
    /// `None` once the connection was given up.
    pub(super) conn: Option<Conn>,
    pub(super) stopper: Arc<Stopper>,
    offer: Arc<Offer>,
    /// How many LOAD DATA there were: each offers its rows under a name of its own.
    offered: u64,
    pub(super) maria: bool,
    /// Greatest value and greatest statement that the server takes, in bytes.
    pub(super) max_packet: usize,
    /// The time limit that the server keeps by itself.
    kept: Duration,
    /// What the last good answer said; an error says nothing of it.
    in_transaction: bool,
}

impl Link {
    pub(super) fn new(runtime: Runtime, conn: Conn, stopper: Stopper, offer: Arc<Offer>) -> Self {
        Link {
            runtime,
            conn: Some(conn),
            stopper: Arc::new(stopper),
            offer,
            offered: 0,
            maria: false,
            max_packet: 16 << 20,
            kept: Duration::ZERO,
            in_transaction: false,
        }
    }

    /// Makes the connection as it has to be, and learns what the server is.
    pub(super) fn settle(&mut self, settings: &str, reach: Duration) -> Result<(), Trouble> {
        let limit = self.stopper.patience().unwrap_or_default();
        self.stopper.limit(reach);
        self.say(settings)?;
        let told = self.ask("SELECT VERSION(), @@max_allowed_packet")?;
        let mut told = told.into_iter().flatten().flatten();
        self.maria = told
            .next()
            .is_some_and(|version| version.contains("MariaDB"));
        if let Some(most) = told.next().and_then(|most| most.parse().ok()) {
            self.max_packet = most;
        }
        self.stopper.limit(limit);
        Ok(())
    }

    pub(super) fn fault(&self, action: &str, trouble: Trouble) -> Error {
        fault(action, self.stopper.verdict(), trouble)
    }

    pub(super) fn in_transaction(&self) -> bool {
        let Some(conn) = self.conn.as_ref().filter(|_| !self.stopper.undone()) else {
            return false;
        };
        conn.last_ok_packet().map_or(self.in_transaction, |ok| {
            ok.status_flags()
                .contains(StatusFlags::SERVER_STATUS_IN_TRANS)
        })
    }

    /// A statement starts now: a stop that came too late for the last one is absorbed first.
    pub(super) fn start(&mut self) -> Result<(), Trouble> {
        self.in_transaction = self.in_transaction();
        if self.stopper.gone() {
            self.conn = None;
        }
        if self.stopper.start() {
            self.stopper.rest();
            match self.exchange(Duration::ZERO, async |conn| {
                Ok(conn.query_drop("DO 0").await?)
            }) {
                Ok(()) | Err(Trouble::Refused(_)) => {}
                Err(broken) => return Err(broken),
            }
            self.stopper.start();
        }
        Ok(())
    }

    /// One exchange with the server, within the time limit.
    fn exchange<T>(
        &mut self,
        more: Duration,
        work: impl AsyncFnOnce(&mut Conn) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let conn = self.conn.as_mut().ok_or_else(lost)?;
        let done = self.runtime.block_on(self.stopper.within(more, work(conn)));
        if matches!(done, Err(Trouble::Broken(..) | Trouble::Silent)) {
            self.conn = None;
        }
        done
    }

    fn statement<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Conn) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        self.start()?;
        // the server's own limit comes first where it has one
        let more = self.kept.min(Duration::from_secs(2));
        let done = self.exchange(more, work);
        self.stopper.rest();
        done
    }

    /// MariaDB keeps the time limit of what is no query by itself, too: should this side be gone, the statement ends all the
    /// same. A query's rows may flow for longer, so that the server must not count there; MySQL can count nothing else.
    pub(super) fn keep_limit(&mut self, keep: bool) -> Result<(), Trouble> {
        let wanted = self.stopper.patience().filter(|_| keep).unwrap_or_default();
        if !self.maria || self.kept == wanted {
            return Ok(());
        }
        self.say(&format!(
            "SET max_statement_time = {:.3}",
            wanted.as_secs_f64()
        ))?;
        self.kept = wanted;
        Ok(())
    }

    /// Runs a statement of our own.
    pub(super) fn say(&mut self, sql: &str) -> Result<Done, Trouble> {
        self.statement(async |conn| {
            conn.query_drop(sql).await?;
            Ok(done(conn))
        })
    }

    /// Runs a text of several statements.
    pub(super) fn several(&mut self, sql: &str) -> Result<(), Trouble> {
        self.statement(async |conn| Ok(conn.query_drop(sql).await?))
    }

    /// Runs a small query of our own; its cells as the server writes them.
    pub(super) fn ask(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Trouble> {
        let text = |value: Value| match value {
            Value::Bytes(text) => Some(String::from_utf8_lossy(&text).into_owned()),
            _ => None,
        };
        self.statement(async |conn| {
            let mut found = Vec::new();
            let mut rows: mysql_async::QueryResult<'_, '_, TextProtocol> =
                conn.query_iter(sql).await?;
            while let Some(row) = rows.next().await? {
                found.push(row.unwrap().into_iter().map(text).collect());
            }
            rows.drop_result().await?;
            Ok(found)
        })
    }

    /// Runs one statement with its parameters bound as text; `keep` holds it ready for the next time.
    pub(super) fn run(
        &mut self,
        sql: &str,
        params: &[Cell<'_>],
        keep: bool,
    ) -> Result<Done, Trouble> {
        let values = bind(params);
        self.statement(async |conn| {
            let Some(statement) = prepare(conn, sql, params.len()).await? else {
                conn.query_drop(sql).await?;
                return Ok(done(conn));
            };
            conn.exec_drop(&statement, values).await?;
            let done = done(conn);
            if !keep {
                conn.close(statement).await?;
            }
            Ok(done)
        })
    }

    /// Prepares a statement and lets go of it; the columns of its rows.
    pub(super) fn describe(&mut self, sql: &str, params: usize) -> Result<Vec<Column>, Trouble> {
        let columns = self.statement(async |conn| {
            let Some(statement) = prepare(conn, sql, params).await? else {
                return Ok(Vec::new());
            };
            let columns = statement.columns();
            conn.close(statement).await?;
            Ok(columns.iter().map(|column| described(column).0).collect())
        });
        // the driver takes the answer to a PREPARE for the end of a statement, whose flags say whether a transaction is open
        if !matches!(columns, Err(Trouble::Broken(..) | Trouble::Silent)) {
            self.say("DO 0")?;
        }
        columns
    }

    /// Runs a LOAD DATA LOCAL that `sql` makes of the name its rows are offered under; the rows come back.
    pub(super) fn load(
        &mut self,
        rows: Vec<u8>,
        sql: impl FnOnce(&str) -> String,
    ) -> (Vec<u8>, Result<Done, Trouble>) {
        self.offered += 1;
        let name = format!("rows-{}", self.offered);
        let sql = sql(&name);
        let rows = Bytes::from(rows);
        self.offer.put(Some((name, rows.clone())));
        let done = self.say(&sql);
        self.offer.put(None);
        (rows.into(), done)
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({:?})", self.stopper)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        let said = self.runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(1), conn.disconnect()).await
        });
        log::trace!("saying good-bye: {said:?}");
    }
}

fn done(conn: &Conn) -> Done {
    Done {
        changed: conn.affected_rows(),
        warnings: conn.get_warnings(),
    }
}

pub(super) fn bind(params: &[Cell<'_>]) -> Params {
    if params.is_empty() {
        return Params::Empty;
    }
    let value = |cell: &Cell<'_>| cell.map_or(Value::NULL, |text| Value::Bytes(text.to_vec()));
    Params::Positional(params.iter().map(value).collect())
}

/// Prepares a statement for `count` parameters; `None` for one without parameters that cannot be prepared (1295).
pub(super) async fn prepare(
    conn: &mut Conn,
    sql: &str,
    count: usize,
) -> Result<Option<Statement>, Trouble> {
    let statement = match conn.prep(sql).await {
        Err(mysql_async::Error::Server(error)) if error.code == 1295 && count == 0 => {
            return Ok(None);
        }
        prepared => prepared?,
    };
    if usize::from(statement.num_params()) != count {
        return Err(Trouble::Senseless(format!(
            "{count} parameters for {} placeholders",
            statement.num_params()
        )));
    }
    Ok(Some(statement))
}

pub(super) fn lost() -> Trouble {
    Trouble::Broken(ErrorKind::Connect, "the connection was lost before".into())
}
