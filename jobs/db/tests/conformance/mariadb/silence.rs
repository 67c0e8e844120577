//! Servers that accept and say nothing, or fall silent in the midst.

use super::*;

#[test]
fn a_silent_server_is_given_up() {
    // whoever accepts and says nothing: a server that is stopped does the same
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mysql://u:p@{}/db", listener.local_addr().unwrap());
    let options = Options {
        connect_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let begun = Instant::now();
    let error = db::connect(&url, &options).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.is_transient() && begun.elapsed() < Duration::from_secs(3));
}

/// A way to a server that can be frozen: bytes stop in both directions, new connections are taken and get nothing.
fn freezer(server: String) -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, frozen) = (
        listener.local_addr().unwrap(),
        Arc::new(AtomicBool::new(false)),
    );
    let stopped = Arc::clone(&frozen);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect(&server)) else {
                return;
            };
            for (mut from, mut to) in [
                (client.try_clone().unwrap(), server.try_clone().unwrap()),
                (server, client),
            ] {
                let stopped = Arc::clone(&stopped);
                thread::spawn(move || {
                    let mut piece = [0; 4096];
                    while let Ok(length @ 1..) = from.read(&mut piece) {
                        while stopped.load(Relaxed) {
                            thread::park_timeout(Duration::from_millis(20));
                        }
                        if to.write_all(&piece[..length]).is_err() {
                            return;
                        }
                    }
                });
            }
        }
    });
    (address.to_string(), frozen)
}

#[test]
fn a_server_that_falls_silent_is_a_timeout_and_then_a_lost_connection() {
    let (place, mut table) = with("CREATE TABLE t (id INT PRIMARY KEY)");
    table
        .batch("INSERT INTO t SELECT seq FROM seq_1_to_100000")
        .unwrap();
    let (head, rest) = place.url.split_once('@').unwrap();
    let (server, database) = rest.split_once('/').unwrap();
    let (address, frozen) = freezer(server.to_owned());
    let options = Options {
        statement_timeout: Duration::from_millis(300),
        connect_timeout: Duration::from_secs(2),
        ..Options::default()
    };
    let url = format!("{head}@{address}/{database}");
    for in_midst in [false, true] {
        let mut connection = db::connect(&url, &options).unwrap();
        let begun = Instant::now();
        let error = if in_midst {
            let mut rows = connection
                .query("SELECT a.id FROM t a JOIN t b ON b.id < 20", &[])
                .unwrap();
            rows.fetch().unwrap();
            frozen.store(true, Relaxed);
            loop {
                match rows.fetch() {
                    Ok(row) => assert!(row.is_some()),
                    Err(error) => break error,
                }
            }
        } else {
            frozen.store(true, Relaxed);
            connection
                .execute("DELETE FROM t WHERE id < 0", &[])
                .unwrap_err()
        };
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(
            begun.elapsed() < Duration::from_secs(12),
            "{:?}",
            begun.elapsed()
        );
        let begun = Instant::now();
        let error = connection.execute("DO 0", &[]).unwrap_err();
        assert!(
            error.is_transient() && begun.elapsed() < Duration::from_secs(1),
            "{error}"
        );
        frozen.store(false, Relaxed);
    }
}
