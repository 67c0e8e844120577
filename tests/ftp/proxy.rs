//! A way to a server that breaks: everything passes through, data connections too, until a given number of bytes has come from the
//! server, then the connection that carries them is cut.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::thread;

/// A proxy; its threads end with their connections.
pub(super) struct Proxy {
    pub(super) host: String,
    left: Arc<AtomicI64>,
}

impl Proxy {
    /// A proxy to the server that cuts nothing yet.
    pub(super) fn start(server: &str) -> Proxy {
        let server: SocketAddr = server.parse().expect("an address");
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let host = listen(server, Arc::clone(&left), true).to_string();
        Proxy { host, left }
    }

    /// Cuts the connection after so many bytes, either way; once.
    pub(super) fn cut_after(&self, bytes: i64) {
        self.left.store(bytes, SeqCst);
    }
}

/// Passes connections on to `to`; the address to connect to.
fn listen(to: SocketAddr, left: Arc<AtomicI64>, control: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(to) else {
                return;
            };
            let (up, down) = (Arc::clone(&left), Arc::clone(&left));
            let (Ok(client2), Ok(server2)) = (client.try_clone(), server.try_clone()) else {
                return;
            };
            thread::spawn(move || pass(client2, server2, &up, None));
            let rewrite = control.then(|| Arc::clone(&left));
            thread::spawn(move || pass(server, client, &down, rewrite));
            if !control {
                // a data connection is one
                return;
            }
        }
    });
    address
}

/// Copies bytes until the end or the cut. On a control connection, ports of data connections lead to proxies of their own.
fn pass(mut from: TcpStream, mut to: TcpStream, left: &AtomicI64, rewrite: Option<Arc<AtomicI64>>) {
    let mut piece = vec![0; 16 << 10];
    loop {
        let length = match from.read(&mut piece) {
            Ok(length) if length > 0 => length,
            _ => {
                // the far end has closed already
                let _closed = to.shutdown(Shutdown::Write);
                return;
            }
        };
        let bytes = match &rewrite {
            Some(left) => redirect(&piece[..length], left),
            None => piece[..length].to_vec(),
        };
        let rest = left.fetch_sub(i64::try_from(length).expect("a small piece"), SeqCst);
        if rest < i64::MAX / 2 && rest <= i64::try_from(length).expect("a small piece") {
            left.store(i64::MAX, SeqCst);
            let part = usize::try_from(rest.max(0))
                .expect("not negative")
                .min(bytes.len());
            let _torn = to.write_all(&bytes[..part]);
            let _cut = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            return;
        }
        if to.write_all(&bytes).is_err() {
            let _closed = from.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// `229 … (|||PORT|)` gets the port of a proxy.
fn redirect(bytes: &[u8], left: &Arc<AtomicI64>) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, tail)) = text
        .strip_prefix("229")
        .and_then(|text| text.split_once("(|||"))
    else {
        return bytes.to_vec();
    };
    let Some((port, tail)) = tail.split_once('|') else {
        return bytes.to_vec();
    };
    let port: u16 = port.parse().expect("a port");
    let address = listen(
        SocketAddr::from(([127, 0, 0, 1], port)),
        Arc::clone(left),
        false,
    );
    format!("229{head}(|||{}|{tail}", address.port()).into_bytes()
}
