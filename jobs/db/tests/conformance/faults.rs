//! What errors say of themselves.

use crate::place::{Place, load};
use db::{Constraint, Error, ErrorKind, Kind, Mode, Options};
use std::time::{Duration, Instant};

fn full(error: &Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    format!("{error}: {}", source.unwrap_or_default())
}

pub(crate) fn kinds(place: &Place) {
    let mut connection = place.connect();
    place.table(&mut *connection, &[("!id", Kind::Integer)]);
    load(&mut *connection, &["id"], Mode::Append, &[&[Some("1")]]);
    let error = connection.execute("SELEKT 1", &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Syntax, "{}", full(&error));
    assert!(!error.is_transient() && !error.is_row_error() && error.native().is_some());
    let error = connection.query("SELECT * FROM nope", &[]).err().unwrap();
    assert!(
        matches!(error.kind(), ErrorKind::Missing | ErrorKind::Syntax),
        "{}",
        full(&error)
    );
    let sql = format!("SELECT {} FROM t", connection.dialect().quote("nope"));
    let error = connection.query(&sql, &[]).err().unwrap();
    assert!(
        matches!(error.kind(), ErrorKind::Missing | ErrorKind::Syntax),
        "{}",
        full(&error)
    );
    let error = connection
        .execute("INSERT INTO t (id) VALUES (1)", &[])
        .unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Constraint(Constraint::Unique),
        "{}",
        full(&error)
    );
    assert!(error.is_row_error() && !error.is_transient());
}

pub(crate) fn a_lock_is_transient(place: &Place) {
    let mut holder = place.connect();
    place.table(&mut *holder, &[("!id", Kind::Integer)]);
    load(&mut *holder, &["id"], Mode::Append, &[&[Some("1")]]);
    let mut other = place.connect_with(|options| options.busy_timeout = Duration::from_millis(150));
    holder.begin().unwrap();
    holder
        .execute("UPDATE t SET id = 2 WHERE id = 1", &[])
        .unwrap();
    let begun = Instant::now();
    let error = other
        .begin()
        .and_then(|()| {
            other
                .execute("UPDATE t SET id = 3 WHERE id = 1", &[])
                .map(drop)
        })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{}", full(&error));
    assert!(error.is_transient());
    let waited = begun.elapsed();
    assert!(
        (Duration::from_millis(100)..Duration::from_secs(5)).contains(&waited),
        "{waited:?}"
    );
    other.rollback().unwrap();
    holder.rollback().unwrap();
    other
        .execute("UPDATE t SET id = 3 WHERE id = 1", &[])
        .unwrap();
}

pub(crate) fn no_database(place: &Place) {
    let options = Options {
        create: false,
        connect_timeout: Duration::from_secs(2),
        ..Options::default()
    };
    let error = db::connect(&format!("{}-nope", place.url), &options)
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Missing, "{}", full(&error));
    let error = db::connect(&format!("{}?colour=red", place.url), &options)
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(full(&error).contains("colour"), "{}", full(&error));
}

pub(crate) fn params_must_fit(place: &Place) {
    let mut connection = place.connect();
    let sql = format!("SELECT {}", connection.dialect().placeholder(1));
    for params in [&[][..], &[None, None][..]] {
        assert_eq!(
            connection.query(&sql, params).err().unwrap().kind(),
            ErrorKind::Syntax
        );
        assert_eq!(
            connection.execute(&sql, params).unwrap_err().kind(),
            ErrorKind::Syntax
        );
    }
    assert!(connection.query(&sql, &[None]).is_ok());
}
