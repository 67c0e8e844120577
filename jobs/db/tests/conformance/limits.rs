//! Cancelling and time limits.

use crate::place::{Place, count, load};
use db::{ErrorKind, Kind, Mode};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn cancel_stops_within_a_second(place: &Place) {
    let mut connection = place.connect();
    let canceller = connection.canceller();
    canceller.cancel(); // nothing runs: nothing happens
    let (ended, waiting) = mpsc::channel();
    let killer = thread::spawn(move || {
        let begun = Instant::now();
        // as often as asked, until the statement is gone
        while waiting.recv_timeout(Duration::from_millis(20)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "never cancelled");
            canceller.cancel();
        }
    });
    let begun = Instant::now();
    let error = connection
        .query(place.slow, &[])
        .and_then(|mut rows| rows.fetch().map(drop))
        .unwrap_err();
    let took = begun.elapsed();
    ended.send(()).unwrap();
    killer.join().unwrap();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(
        connection.query("SELECT 1", &[]).is_ok(),
        "the connection lives on"
    );
}

pub(crate) fn a_long_statement_times_out(place: &Place) {
    let mut connection =
        place.connect_with(|options| options.statement_timeout = Duration::from_millis(200));
    let begun = Instant::now();
    let error = connection
        .query(place.slow, &[])
        .and_then(|mut rows| rows.fetch().map(drop))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(!error.is_transient());
    assert!(begun.elapsed() < Duration::from_secs(2));
    connection
        .limit_statements(Duration::from_millis(100))
        .unwrap();
    assert_eq!(
        connection.execute(place.slow, &[]).unwrap_err().kind(),
        ErrorKind::Timeout
    );
    place.table(&mut *connection, &[("!id", Kind::Integer)]);
    assert_eq!(count(&mut *connection), "0");
}

pub(crate) fn a_slow_reader_does_not_time_out(place: &Place) {
    let mut connection = place.connect();
    place.table(&mut *connection, &[("!id", Kind::Integer)]);
    let ids: Vec<String> = (0..5000).map(|id: u32| id.to_string()).collect();
    let pushed: Vec<[Option<&str>; 1]> = ids.iter().map(|id| [Some(id.as_str())]).collect();
    let pushed: Vec<&[Option<&str>]> = pushed.iter().map(|row| &row[..]).collect();
    load(&mut *connection, &["id"], Mode::Append, &pushed);
    connection
        .limit_statements(Duration::from_millis(100))
        .unwrap();
    let mut rows = connection
        .query("SELECT a.id FROM t a, (SELECT id FROM t LIMIT 40) b", &[])
        .unwrap();
    let begun = Instant::now();
    let mut fetched = 0;
    while rows.fetch().unwrap().is_some() {
        fetched += 1;
        // longer than the limit as a whole, each fetch far below it
        if fetched % 50_000 == 0 {
            while begun.elapsed() < Duration::from_millis(40 * (fetched / 50_000)) {
                thread::yield_now();
            }
        }
    }
    assert_eq!(fetched, 200_000);
    assert!(begun.elapsed() >= Duration::from_millis(150));
}
