//! A small TCP proxy: counts bytes, cuts connections at a byte of its own choosing, and can hold bytes back for a while.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// A proxy before a server.
pub(super) struct Proxy {
    pub(super) port: u16,
    state: Arc<State>,
}

struct State {
    server: u16,
    bytes: AtomicU64,
    /// Bytes after which the next cut comes; `u64::MAX` = never.
    left: AtomicU64,
    over: AtomicBool,
}

impl Proxy {
    /// Listens on a port of its own; ends with its value.
    pub(super) fn before(server: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let state = Arc::new(State {
            server,
            bytes: AtomicU64::new(0),
            left: AtomicU64::new(u64::MAX),
            over: AtomicBool::new(false),
        });
        let own = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if own.over.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", own.server)) else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (
                        from.try_clone().expect("a second handle"),
                        to.try_clone().expect("a second handle"),
                    );
                    let own = Arc::clone(&own);
                    thread::spawn(move || own.pass(from, to));
                }
            }
        });
        Proxy { port, state }
    }

    /// Cuts the connection that moves the byte of this number, counted from now, once.
    pub(super) fn cut_after(&self, bytes: u64) {
        self.state.left.store(bytes, Ordering::SeqCst);
    }

    /// Bytes that went through, both ways.
    pub(super) fn bytes(&self) -> u64 {
        self.state.bytes.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
        // wakes the listener up
        let _gone = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn pass(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut piece = vec![0; 64 << 10];
        while let Ok(length) = from.read(&mut piece) {
            if length == 0 {
                break;
            }
            let length64 = length as u64;
            let left =
                self.left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
                        u64::MAX => Some(u64::MAX),
                        left if left < length64 => Some(u64::MAX),
                        left => Some(left - length64),
                    });
            let cut = left
                .ok()
                .filter(|left| *left != u64::MAX && *left < length64);
            let most = cut.map_or(length, |left| usize::try_from(left).unwrap_or(0));
            self.bytes.fetch_add(most as u64, Ordering::SeqCst);
            if to.write_all(&piece[..most]).is_err() || cut.is_some() {
                break;
            }
        }
        for side in [&from, &to] {
            let _gone = side.shutdown(Shutdown::Both);
        }
    }
}
