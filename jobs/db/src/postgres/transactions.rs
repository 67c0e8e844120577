//! Which transactions are open on a PostgreSQL server.
//!
//! `pg_locks` lists the lock that every transaction holds on its own virtual number, from before its first statement until its rows can be
//! seen, and any account may read it; `pg_stat_activity` would hide the same from plain accounts. A prepared transaction has
//! no such lock: it is in `pg_prepared_xacts`, and there before the lock is gone, so that list is read second.

use crate::transactions::read;
use crate::{Connection, ErrorKind, Result, Transaction, Transactions};

/// The first column tells lives of the server apart: virtual numbers begin anew with each. Vacuum workers write no rows of users.
const RUNNING: &str = "SELECT CAST(EXTRACT(EPOCH FROM pg_catalog.pg_postmaster_start_time()) AS BIGINT)::text, l.virtualtransaction::text, \
    concat_ws(', ', 'process ' || l.pid, 'account ' || a.usename, nullif(a.application_name, ''), a.state, 'open since ' || date_trunc('second', a.xact_start)) \
    FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
    WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid() \
    AND COALESCE(a.datname = pg_catalog.current_database(), true) AND COALESCE(a.backend_type <> 'autovacuum worker', true)";

const PREPARED: &str = "SELECT transaction::text, gid || ', account ' || owner || ', prepared ' || date_trunc('second', prepared) \
    FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()";

const STANDBY: &str = "SELECT CAST(pg_catalog.pg_is_in_recovery() AS INTEGER)::text";

pub(crate) fn open(connection: &mut dyn Connection) -> Result<Transactions> {
    match listed(connection) {
        Err(error) if error.kind() == ErrorKind::Permission => Ok(Transactions::Hidden(
            "the account may not read pg_locks".to_owned(),
        )),
        told => told,
    }
}

fn listed(connection: &mut dyn Connection) -> Result<Transactions> {
    let standby = read(connection, STANDBY)?;
    if standby.iter().flatten().any(|cell| cell == "1") {
        return Ok(Transactions::Hidden(
            "the server is a standby: the transactions are open elsewhere".to_owned(),
        ));
    }
    let mut open = Vec::new();
    for row in read(connection, RUNNING)? {
        if let [life, number, about] = &row[..] {
            open.push(Transaction {
                id: format!("virtual {life} {number}"),
                heir_of: None,
                about: about.clone(),
            });
        }
    }
    for row in read(connection, PREPARED)? {
        if let [number, about] = &row[..] {
            open.push(Transaction {
                id: format!("prepared {number}"),
                heir_of: Some("virtual ".to_owned()),
                about: format!("prepared transaction {about}"),
            });
        }
    }
    Ok(Transactions::Listed(open))
}
