//! How a load begins on the server, and how all of it is taken back.

use super::fault::{Complaint, Trouble};
use super::plan::Plan;
use super::session::{Session, Standing};
use crate::{Dialect, Load};
use futures_util::future::join;
use tokio_postgres::{SimpleQueryMessage, Statement};

/// Begins the load up to the statement that copies its rows.
pub(super) fn begin(
    session: &mut Session,
    into: &Load<'_>,
    plan: &Plan,
    lockable: bool,
    own: bool,
) -> Result<Statement, Trouble> {
    if session.standing == Standing::Snapshot {
        return Err(read_only());
    }
    let mut sql = String::from(if own { "BEGIN" } else { "SAVEPOINT load_all" });
    // the caller may be slow to bring rows; JIT and small sorts are for other statements
    sql.push_str(
        "; SET LOCAL statement_timeout = 0; SET LOCAL jit = off; SET LOCAL work_mem = '32MB'",
    );
    if lockable {
        // what a COPY would be refused for at its beginning is refused here
        let table = super::dialect::Postgres.qualify(into.table);
        sql.push_str(&format!("; LOCK TABLE {table} IN ROW EXCLUSIVE MODE"));
    }
    sql.push_str("; SELECT pg_catalog.current_setting('transaction_read_only')");
    if !plan.stage.is_empty() {
        sql.push_str(&format!("; {}", plan.stage));
    }
    session.watch.start();
    // one exchange: a load may be of a few rows
    let begun = session.wait(async {
        let client = session.client();
        let (told, copy) = join(client.simple_query(&sql), client.prepare(&plan.copy)).await;
        Ok((told?, copy))
    });
    session.watch.rest();
    let (told, copy) = begun?;
    let reads = told
        .iter()
        .any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("on")));
    if reads {
        return Err(read_only());
    }
    copy.map_err(|error| session.trouble(error))
}

fn read_only() -> Trouble {
    Trouble::Refused(Box::new(Complaint {
        // read_only_sql_transaction, as the server would say it
        code: "25006".to_owned(),
        message: "the transaction only reads".to_owned(),
        ..Complaint::default()
    }))
}

/// Undoes all of the load.
pub(super) fn take_back(session: &Session, own: bool) -> Result<(), Trouble> {
    if session.is_lost() {
        return Ok(());
    }
    if session.standing == Standing::Snapshot {
        return Ok(());
    }
    session.run(if own {
        "ROLLBACK"
    } else {
        "ROLLBACK TO SAVEPOINT load_all; RELEASE SAVEPOINT load_all"
    })
}
