//! Which transactions are open on a MySQL or MariaDB server.
//!
//! InnoDB lists a transaction from its first read or write of a table, which may be a moment after an INSERT has drawn its number: sessions
//! that are in a statement count too, and are listed first, so that nobody slips from one list into the other between the two looks.
//! Not listed by anything: a session that has drawn a number without touching a table (MariaDB's `NEXTVAL` in an open transaction; an INSERT as the first
//! work of a transaction, undone by a savepoint) and rests.
//! Seeing others takes the right PROCESS. A server that takes rows from another one lists only what has arrived.

use crate::transactions::read;
use crate::{Connection, Error, ErrorKind, Result, Transaction, Transactions};
use std::time::{Duration, Instant};

/// InnoDB renews its list only when nobody has read it for a tenth of a second.
const PAUSE: Duration = Duration::from_millis(110);
/// How long to try for a list that is new.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn open(connection: &mut dyn Connection) -> Result<Transactions> {
    match listed(connection) {
        Err(error) if error.kind() == ErrorKind::Permission => Ok(Transactions::Hidden(
            "the account lacks the right PROCESS".to_owned(),
        )),
        told => told,
    }
}

fn listed(connection: &mut dyn Connection) -> Result<Transactions> {
    let version = read(connection, "SELECT VERSION()")?;
    let maria = version.iter().flatten().any(|text| text.contains("Maria"));
    let Some(mut open) = statements(connection, maria)? else {
        return Ok(Transactions::Hidden(
            "the server takes rows from another one".to_owned(),
        ));
    };
    let begun = Instant::now();
    loop {
        if let Some((found, readers)) = transactions(connection)? {
            open.retain(|one| !readers.iter().any(|reader| one.id.starts_with(reader)));
            open.extend(found);
            return Ok(Transactions::Listed(open));
        }
        if begun.elapsed() > PATIENCE {
            return Err(Error::new(
                ErrorKind::Busy,
                "listing open transactions: others read the list so often that it is never renewed",
            ));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Sessions that are in a statement; `None` on a server that takes rows from another one (a replica, a node of a cluster).
/// Without a number of the statement (MySQL) a session in one statement is taken for the same in its next.
fn statements(connection: &mut dyn Connection, maria: bool) -> Result<Option<Vec<Transaction>>> {
    let statement = if maria { "query_id" } else { "''" };
    let sql = format!(
        "SELECT id, {statement}, user, command, time FROM information_schema.processlist WHERE id <> CONNECTION_ID() \
         AND (user = 'system user' OR command NOT IN ('Sleep', 'Binlog Dump', 'Binlog Dump GTID')) AND command <> 'Daemon'"
    );
    let mut open = Vec::new();
    for row in read(connection, &sql)? {
        let [session, statement, user, command, seconds] = &row[..] else {
            continue;
        };
        if user == "system user" {
            return Ok(None);
        }
        open.push(Transaction {
            id: format!("session {session} statement {statement}"),
            heir_of: None,
            about: format!("session {session}, account {user}, {command} for {seconds} s"),
        });
    }
    Ok(Some(open))
}

/// What InnoDB lists, and how the statements of sessions begin whose transaction is declared to read only: they fill nothing, however long they read.
/// `None` when the list is of an earlier moment. It is new if the asking statement itself is in it, known by a word that no earlier
/// one had; that takes a transaction of our own.
fn transactions(
    connection: &mut dyn Connection,
) -> Result<Option<(Vec<Transaction>, Vec<String>)>> {
    let word = uuid(connection)?;
    let sql = format!(
        "SELECT '{word}', trx_mysql_thread_id, trx_started, trx_id, trx_state, trx_is_read_only, COALESCE(trx_query, '') LIKE '%{word}%' \
         FROM information_schema.innodb_trx"
    );
    let (mut open, mut readers, mut new) = (Vec::new(), Vec::new(), false);
    for row in read(connection, &sql)? {
        let [_, session, started, number, state, reads, asking] = &row[..] else {
            continue;
        };
        let statements = format!("session {session} statement ");
        if asking == "1" {
            new = true;
        } else if reads == "1" {
            readers.push(statements);
        } else if session == "0" {
            // prepared, or rolled back after a crash: no session holds it
            open.push(Transaction {
                id: format!("detached {number} {started}"),
                heir_of: Some("session ".to_owned()),
                about: format!(
                    "transaction {number} without a session, {state}, open since {started}"
                ),
            });
        } else {
            open.push(Transaction {
                id: format!("session {session} transaction {started}"),
                heir_of: Some(statements),
                about: format!("session {session}, {state}, open since {started}"),
            });
        }
    }
    Ok(new.then_some((open, readers)))
}

/// A word that was never used before.
fn uuid(connection: &mut dyn Connection) -> Result<String> {
    let rows = read(connection, "SELECT REPLACE(UUID(), '-', '')")?;
    Ok(rows.into_iter().flatten().next().unwrap_or_default())
}
