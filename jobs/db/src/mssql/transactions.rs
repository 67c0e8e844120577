//! Which transactions are open on a SQL Server.
//!
//! `sys.dm_tran_active_transactions` lists a transaction from before its first statement draws a number until it has ended, with those that are
//! prepared and belong to no session; their ids are never used twice while the server lives. It takes the right VIEW SERVER STATE (from 2022 on
//! VIEW SERVER PERFORMANCE STATE). Not listed by anything: a number drawn by NEXT VALUE FOR before its transaction begins.

use crate::transactions::read;
use crate::{Connection, ErrorKind, Result, Transaction, Transactions};

/// A database that takes its rows from another server lists no writer of theirs.
const WRITABLE: &str = "SELECT CAST(DATABASEPROPERTYEX(DB_NAME(), 'Updateability') AS VARCHAR(20))";

/// Type 2 only reads, state 6 and above has ended. What touches only other databases cannot fill anything here, but one that has not
/// written yet is in none.
const RUNNING: &str = "SELECT CONVERT(VARCHAR(30), i.sqlserver_start_time, 126), t.transaction_id, COALESCE(s.session_id, 0), \
    CONVERT(VARCHAR(30), t.transaction_begin_time, 120), t.transaction_state, COALESCE(e.login_name, N''), COALESCE(e.program_name, N'') \
    FROM sys.dm_tran_active_transactions t CROSS JOIN sys.dm_os_sys_info i \
    LEFT JOIN sys.dm_tran_session_transactions s ON s.transaction_id = t.transaction_id \
    LEFT JOIN sys.dm_exec_sessions e ON e.session_id = s.session_id \
    WHERE t.transaction_type <> 2 AND t.transaction_state <> 6 AND COALESCE(s.session_id, 0) <> @@SPID \
    AND COALESCE(s.is_user_transaction, 1) + COALESCE(e.is_user_process, 1) > 0 \
    AND (NOT EXISTS (SELECT 1 FROM sys.dm_tran_database_transactions d WHERE d.transaction_id = t.transaction_id AND d.database_id NOT IN (2, 32767)) \
    OR EXISTS (SELECT 1 FROM sys.dm_tran_database_transactions d WHERE d.transaction_id = t.transaction_id AND d.database_id = DB_ID()))";

pub(super) fn open(connection: &mut dyn Connection) -> Result<Transactions> {
    match listed(connection) {
        Err(error) if error.kind() == ErrorKind::Permission => Ok(Transactions::Hidden(
            "the account lacks the right VIEW SERVER STATE".to_owned(),
        )),
        told => told,
    }
}

fn listed(connection: &mut dyn Connection) -> Result<Transactions> {
    let writable = read(connection, WRITABLE)?;
    if writable.iter().flatten().any(|cell| cell == "READ_ONLY") {
        return Ok(Transactions::Hidden(
            "the database is read-only here: the transactions are open elsewhere".to_owned(),
        ));
    }
    let rows = read(connection, RUNNING)?;
    Ok(Transactions::Listed(
        rows.iter().filter_map(|row| transaction(row)).collect(),
    ))
}

/// One by a row of [`RUNNING`].
fn transaction(row: &[String]) -> Option<Transaction> {
    let [life, id, session, since, state, account, program] = row else {
        return None;
    };
    let who = match session.as_str() {
        "0" => "no session".to_owned(),
        session => format!("session {session}, account {account}, {program}"),
    };
    Some(Transaction {
        id: format!("transaction {life} {id}"),
        heir_of: None,
        about: format!("{who}, state {state}, open since {since}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_transactions() {
        let row = [
            "2026-11-01T08:00:00",
            "4711",
            "57",
            "2026-11-21 13:45:00",
            "2",
            "app",
            "loader",
        ];
        let row: Vec<String> = row.iter().map(ToString::to_string).collect();
        let one = transaction(&row).unwrap();
        assert_eq!(one.id, "transaction 2026-11-01T08:00:00 4711");
        assert_eq!(
            one.about,
            "session 57, account app, loader, state 2, open since 2026-11-21 13:45:00"
        );
        assert_eq!(transaction(&row[1..]), None);
    }
}
