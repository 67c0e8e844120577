//! What servers have beyond files: several hosts, TLS, sockets, logins, types of their own.

use crate::place::{Place, load, rows, t, value};
use db::{ErrorKind, Kind, Mode, Options};
use std::time::Duration;

fn options() -> Options {
    Options {
        connect_timeout: Duration::from_secs(3),
        ..Options::default()
    }
}

/// The URL with something else in the place of its hosts.
fn on_hosts(url: &str, change: impl FnOnce(&str) -> String) -> String {
    let (head, rest) = url.split_once('@').unwrap();
    let (hosts, database) = rest.split_once('/').unwrap();
    format!("{head}@{}/{database}", change(hosts))
}

pub(crate) fn several_hosts(place: &Place) {
    let url = on_hosts(&place.url, |host| format!("127.0.0.1:1,{host}"));
    assert!(db::connect(&url, &options()).is_ok());
    let error = db::connect(
        &on_hosts(&place.url, |_| "127.0.0.1:1,[::1]:1".to_owned()),
        &options(),
    )
    .err()
    .unwrap();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.is_transient());
}

pub(crate) fn tls_as_asked(place: &Place) {
    for tls in ["none", "prefer", "require"] {
        let mut connection = db::connect(&format!("{}?tls={tls}", place.url), &options()).unwrap();
        assert_eq!(
            value(&mut *connection, place.tls).is_some_and(|cipher| !cipher.is_empty()),
            tls != "none",
            "{tls}"
        );
        // more than one record each way
        place.table(
            &mut *connection,
            &[("!id", Kind::Integer), ("v", Kind::Text)],
        );
        let long = "x".repeat(300_000);
        load(
            &mut *connection,
            &["id", "v"],
            Mode::Append,
            &[&[Some("1"), Some(&long)]],
        );
        assert_eq!(
            value(&mut *connection, "SELECT v FROM t").map(|text| text.len()),
            Some(long.len())
        );
        connection.execute("DROP TABLE t", &[]).unwrap();
    }
    let error = db::connect(&format!("{}?tls=verify", place.url), &options())
        .err()
        .unwrap();
    assert!(
        !error.is_transient(),
        "{error}: a certificate of its own is not the system's"
    );
    assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("ca=FILE"), "{cause}");
    if let Some(ca) = &place.ca {
        assert!(db::connect(&format!("{}?tls=verify&ca={ca}", place.url), &options()).is_ok());
        let other = on_hosts(&place.url, |host| host.replace("127.0.0.1", "127.0.0.2"));
        let error = db::connect(&format!("{other}?tls=verify&ca={ca}"), &options())
            .err()
            .unwrap();
        assert!(!error.to_string().contains("secret"));
    }
}

pub(crate) fn a_socket_is_a_host(place: &Place) {
    let Some(socket) = &place.socket else { return };
    let url = on_hosts(&place.url, |_| socket.replace('/', "%2F"));
    assert!(db::connect(&url, &options()).is_ok(), "{url}");
}

pub(crate) fn cells_beyond_a_packet(place: &Place) {
    let mut connection = place.connect();
    place.table(
        &mut *connection,
        &[("!n", Kind::Integer), ("b", Kind::Blob), ("v", Kind::Text)],
    );
    let (hex, text) = ("00ff5c0a09".repeat(7_000_000), "站\\\t\n".repeat(3_000_000));
    let pushed: [&[Option<&str>]; 2] = [
        &[Some("1"), Some(&hex), Some("a")],
        &[Some("2"), None, Some(&text)],
    ];
    assert_eq!(
        load(&mut *connection, &["n", "b", "v"], Mode::Append, &pushed).rows,
        2
    );
    let found = rows(&mut *connection, "SELECT b, v FROM t ORDER BY n");
    assert!(
        found[0][0].as_deref() == Some(hex.as_str())
            && found[1][1].as_deref() == Some(text.as_str())
    );
}

pub(crate) fn without_the_fast_path(place: &Place) {
    let (forbid, permit) = place.fast_path;
    if forbid.is_empty() {
        return;
    }
    let mut connection = place.connect();
    place.table(
        &mut *connection,
        &[("!id", Kind::Integer), ("v", Kind::Text)],
    );
    connection.batch(forbid).unwrap();
    let ids: Vec<String> = (0..3000).map(|id: u32| id.to_string()).collect();
    let pushed: Vec<[Option<&str>; 2]> = ids
        .iter()
        .map(|id| [Some(id.as_str()), Some("x\ty")])
        .collect();
    let pushed: Vec<&[Option<&str>]> = pushed.iter().map(|row| &row[..]).collect();
    let loaded = load(&mut *connection, &["id", "v"], Mode::Append, &pushed);
    connection.batch(permit).unwrap();
    assert_eq!((loaded.rows, loaded.rejects.len()), (3000, 0));
    assert_eq!(crate::place::count(&mut *connection), "3000");
}

pub(crate) fn wrong_passwords_are_told(place: &Place) {
    let url = place.url.replace(":secret@", ":wrong@");
    let error = db::connect(&url, &options()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Permission);
    assert!(!error.is_transient() && !error.to_string().contains("wrong"));
}

pub(crate) fn types_of_its_own(place: &Place) {
    let mut connection = place.connect();
    for (declared, kind, values) in place.types {
        connection
            .batch(&format!(
                "CREATE TABLE t (n INTEGER NOT NULL PRIMARY KEY, v {declared})"
            ))
            .unwrap();
        let numbers: Vec<String> = (0..values.len()).map(|n| n.to_string()).collect();
        let pushed: Vec<[Option<&str>; 2]> = values
            .iter()
            .zip(&numbers)
            .map(|(value, n)| [Some(n.as_str()), Some(*value)])
            .collect();
        let pushed: Vec<&[Option<&str>]> = pushed.iter().map(|row| &row[..]).collect();
        let loaded = load(&mut *connection, &["n", "v"], Mode::Append, &pushed);
        assert!(
            loaded.rejects.is_empty(),
            "{declared}: {:?}",
            loaded.rejects
        );
        let found: Vec<String> = rows(&mut *connection, "SELECT v FROM t ORDER BY n")
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        assert_eq!(found, *values, "{declared}");
        assert_eq!(
            connection.dictionary(&t()).unwrap().unwrap().columns[1].kind,
            *kind,
            "{declared}"
        );
        connection.execute("DROP TABLE t", &[]).unwrap();
    }
}

pub(crate) fn parts_share_a_snapshot(place: &Place) {
    let mut first = place.connect();
    place.table(&mut *first, &[("!id", Kind::Integer)]);
    load(&mut *first, &["id"], Mode::Append, &[&[Some("1")]]);
    first.begin_snapshot().unwrap();
    let Some(name) = first.export_snapshot().unwrap() else {
        return;
    };
    place
        .connect()
        .execute("INSERT INTO t (id) VALUES (2)", &[])
        .unwrap();
    let mut second = place.connect();
    second.join_snapshot(&name).unwrap();
    assert_eq!(crate::place::count(&mut *second), "1");
    second.commit().unwrap();
    assert_eq!(crate::place::count(&mut *second), "2");
    assert!(second.join_snapshot("no such").is_err() && !second.in_transaction());
}

pub(crate) fn several_connections_see_one_moment(place: &Place) {
    let (mut first, mut second, mut third) = (place.connect(), place.connect(), place.connect());
    place.table(&mut *first, &[("!id", Kind::Integer)]);
    load(&mut *first, &["id"], Mode::Append, &[&[Some("1")]]);
    db::share_snapshot(&mut *first, &mut [&mut *second, &mut *third]).unwrap();
    place
        .connect()
        .execute("INSERT INTO t (id) VALUES (2)", &[])
        .unwrap();
    for reader in [&mut first, &mut second, &mut third] {
        assert_eq!(crate::place::count(&mut **reader), "1");
        reader.commit().unwrap();
    }
    assert_eq!(crate::place::count(&mut *first), "2");
}

/// What the server tells of open transactions, with which of `earlier` are open still.
fn look(reader: &mut dyn db::Connection, earlier: &[String]) -> (Vec<String>, Vec<String>) {
    reader.begin_snapshot().unwrap();
    let told = reader.transactions().unwrap();
    reader.rollback().unwrap();
    let db::Transactions::Listed(open) = told else {
        panic!("{told:?}");
    };
    let ids = open.iter().map(|one| one.id.clone()).collect();
    (ids, db::still_open(earlier, &open))
}

pub(crate) fn open_transactions_are_told(place: &Place) {
    let (mut reader, mut writer) = (place.connect(), place.connect());
    place.table(&mut *writer, &[("!id", Kind::Integer)]);
    let (before, _) = look(&mut *reader, &[]);
    writer.begin().unwrap();
    writer
        .execute("INSERT INTO t (id) VALUES (1)", &[])
        .unwrap();
    // at once, although a server may keep its list for a while
    let (open, _) = look(&mut *reader, &[]);
    let mine: Vec<String> = open.into_iter().filter(|id| !before.contains(id)).collect();
    assert!(!mine.is_empty());
    let (_, left) = look(&mut *reader, &mine);
    assert!(!left.is_empty());
    writer.commit().unwrap();
    // other tests have statements under way, too
    let ended = (0..50).try_fold(left, |left, _| {
        let (_, left) = look(&mut *reader, &left);
        (!left.is_empty()).then_some(left)
    });
    assert_eq!(ended, None);
}

/// A transaction that is complete belongs to no session any more, and is open until somebody commits it.
pub(crate) fn a_prepared_transaction_is_open(place: &Place) {
    let (mut reader, mut writer) = (place.connect(), place.connect());
    place.table(&mut *writer, &[("!id", Kind::Integer)]);
    let (before, _) = look(&mut *reader, &[]);
    let name = format!("prepared {}", place.url.len() + std::process::id() as usize);
    let postgres = writer.dialect().name() == "postgres";
    if postgres {
        if value(&mut *writer, "SHOW max_prepared_transactions").as_deref() == Some("0") {
            return;
        }
        writer.begin().unwrap();
    } else {
        writer.batch(&format!("XA START '{name}'")).unwrap();
    }
    writer
        .execute("INSERT INTO t (id) VALUES (1)", &[])
        .unwrap();
    let (open, _) = look(&mut *reader, &[]);
    let mine: Vec<String> = open.into_iter().filter(|id| !before.contains(id)).collect();
    let commit = if postgres {
        let prepare = format!("PREPARE TRANSACTION '{name}'");
        writer.batch(&prepare).unwrap();
        format!("COMMIT PREPARED '{name}'")
    } else {
        let prepare = format!("XA END '{name}'; XA PREPARE '{name}'");
        writer.batch(&prepare).unwrap();
        format!("XA COMMIT '{name}'")
    };
    drop(writer);
    let mut left = mine;
    for _ in 0..5 {
        left = look(&mut *reader, &left).1;
        assert!(!left.is_empty());
    }
    // its session may still be on its way out
    let mut other = place.connect();
    let committed = (0..200).find_map(|_| {
        let done = other.execute(&commit, &[]);
        std::thread::sleep(Duration::from_millis(if done.is_ok() { 0 } else { 20 }));
        done.ok()
    });
    assert!(committed.is_some(), "{commit}");
    let ended = (0..50).try_fold(left, |left, _| {
        let (_, left) = look(&mut *reader, &left);
        (!left.is_empty()).then_some(left)
    });
    assert_eq!(ended, None);
}

pub(crate) fn a_killed_session_is_transient(place: &Place) {
    let mut victim = place.connect();
    let id = value(&mut *victim, place.session).unwrap();
    place
        .connect()
        .batch(&place.kill.replace("{}", &id))
        .unwrap();
    let error = loop {
        match victim.execute("SELECT 1", &[]) {
            // the server takes its time
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    assert!(error.is_transient());
    assert!(victim.execute("SELECT 1", &[]).unwrap_err().is_transient());
}
