//! Which transactions are open on an Oracle server: in all instances of a cluster, by GV$TRANSACTION.
//!
//! A transaction is listed from its first change, which is a moment after an INSERT has drawn its number: sessions that are in a
//! changing statement count too, and are listed first, so that nobody slips from one list into the other between the two looks.
//! Not listed by anything: who has drawn a number in an earlier statement and changed nothing since; and a cluster's instances
//! draw numbers in blocks of their own, unless the sequence is made with ORDER.

use crate::transactions::read;
use crate::{Connection, ErrorKind, Result, Transaction, Transactions};

/// Sessions in a statement that changes something: neither a query (3) nor nothing (0), and not asleep within a procedure.
const STATEMENTS: &str = "SELECT s.inst_id, s.sid, s.serial#, s.sql_exec_id, s.username, s.program, s.last_call_et \
    FROM gv$session s WHERE s.type = 'USER' AND s.status = 'ACTIVE' AND s.command NOT IN (0, 3) \
    AND NOT (s.state = 'WAITING' AND s.wait_class = 'Idle') \
    AND NOT (s.sid = SYS_CONTEXT('USERENV', 'SID') AND s.inst_id = SYS_CONTEXT('USERENV', 'INSTANCE'))";

const OPEN: &str = "SELECT t.inst_id, t.xidusn, t.xidslot, t.xidsqn, t.start_time, t.status, s.sid, s.serial#, s.username, s.program \
    FROM gv$transaction t LEFT JOIN gv$session s ON s.taddr = t.addr AND s.inst_id = t.inst_id \
    WHERE s.sid IS NULL OR NOT (s.sid = SYS_CONTEXT('USERENV', 'SID') AND s.inst_id = SYS_CONTEXT('USERENV', 'INSTANCE'))";

pub(super) fn open(connection: &mut dyn Connection) -> Result<Transactions> {
    match listed(connection) {
        // a view that the account may not see is not there for it
        Err(error) if matches!(error.kind(), ErrorKind::Permission | ErrorKind::Missing) => {
            let why = "the account may not read GV$TRANSACTION and GV$SESSION";
            Ok(Transactions::Hidden(why.to_owned()))
        }
        told => told,
    }
}

fn listed(connection: &mut dyn Connection) -> Result<Transactions> {
    let statements = read(connection, STATEMENTS)?;
    let transactions = read(connection, OPEN)?;
    let mut open: Vec<Transaction> = statements.iter().filter_map(|row| statement(row)).collect();
    open.extend(transactions.iter().filter_map(|row| transaction(row)));
    Ok(Transactions::Listed(open))
}

fn statement(row: &[String]) -> Option<Transaction> {
    let [
        instance,
        session,
        serial,
        execution,
        account,
        program,
        seconds,
    ] = row
    else {
        return None;
    };
    Some(Transaction {
        id: format!("session {instance}.{session}.{serial} statement {execution}"),
        heir_of: None,
        about: format!(
            "session {session},{serial},@{instance}, account {account}, program {program}, in a statement for {seconds} s"
        ),
    })
}

fn transaction(row: &[String]) -> Option<Transaction> {
    let [
        instance,
        segment,
        slot,
        sequence,
        begun,
        status,
        session,
        serial,
        account,
        program,
    ] = row
    else {
        return None;
    };
    let who = if session.is_empty() {
        // distributed and in doubt, or rolled back after its session was killed
        "no session".to_owned()
    } else {
        format!("session {session},{serial},@{instance}, account {account}, program {program}")
    };
    Some(Transaction {
        id: format!("transaction {instance}.{segment}.{slot}.{sequence}"),
        heir_of: Some(if session.is_empty() {
            "session ".to_owned()
        } else {
            format!("session {instance}.{session}.{serial} statement ")
        }),
        about: format!("{who}, {}, open since {begun}", status.to_lowercase()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::still_open;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn a_statement_becomes_a_transaction_and_is_still_waited_for() {
        let early = statement(&row(&["1", "42", "7", "16777216", "APP", "sqlplus", "0"])).unwrap();
        let open = transaction(&row(&[
            "1",
            "5",
            "12",
            "880",
            "11/21/26 13:45:00",
            "ACTIVE",
            "42",
            "7",
            "APP",
            "sqlplus",
        ]))
        .unwrap();
        let id = open.id.clone();
        assert_eq!(still_open(&[early.id], std::slice::from_ref(&open)), [id]);
        let other = statement(&row(&["1", "42", "8", "", "APP", "sqlplus", "0"])).unwrap();
        assert_eq!(still_open(&[other.id], &[open]), [""; 0]);
    }

    #[test]
    fn one_without_a_session_is_told_and_may_be_anybody_s() {
        let lost = transaction(&row(&[
            "2", "5", "12", "880", "now", "PREPARED", "", "", "", "",
        ]))
        .unwrap();
        assert_eq!(lost.id, "transaction 2.5.12.880");
        assert_eq!(lost.heir_of.as_deref(), Some("session "));
        assert!(
            lost.about.contains("no session, prepared"),
            "{}",
            lost.about
        );
        assert!(transaction(&row(&["1"])).is_none());
    }
}
