//! A way to a server that breaks: everything passes through, data connections too, until a given number of bytes has gone either way, then
//! the connection that carries them is cut. Or the client is cut off as it asks for something, and the server hears of that later.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

/// A proxy; its threads end with their connections.
pub(super) struct Proxy {
    pub(super) host: String,
    plan: Arc<Plan>,
}

/// What is to happen.
struct Plan {
    /// Bytes until the cut; `i64::MAX` and a little less is never.
    left: AtomicI64,
    late: Mutex<Late>,
    changed: Condvar,
}

/// A command that the server hears of late.
#[derive(PartialEq)]
enum Late {
    No,
    /// The first command that begins so.
    Wanted(&'static str),
    /// Its client was cut off; it is held back.
    Held,
    Released,
}

impl Proxy {
    /// A proxy to the server that cuts nothing yet.
    pub(super) fn start(server: &str) -> Proxy {
        let server: SocketAddr = server.parse().expect("an address");
        let plan = Arc::new(Plan {
            left: AtomicI64::new(i64::MAX),
            late: Mutex::new(Late::No),
            changed: Condvar::new(),
        });
        let host = listen(server, Arc::clone(&plan), true).to_string();
        Proxy { host, plan }
    }

    /// Cuts the connection after so many bytes, either way; once.
    pub(super) fn cut_after(&self, bytes: i64) {
        self.plan.left.store(bytes, SeqCst);
    }

    /// Cuts the client off as it sends such a command, and keeps the command from the server until [`Proxy::release`]; once.
    pub(super) fn hold_back(&self, command: &'static str) {
        *self.plan.late() = Late::Wanted(command);
    }

    /// Lets the server hear what was held back; whether there was anything.
    pub(super) fn release(&self) -> bool {
        let held = *self.plan.late() == Late::Held;
        *self.plan.late() = Late::Released;
        self.plan.changed.notify_all();
        held
    }
}

impl Plan {
    fn late(&self) -> MutexGuard<'_, Late> {
        self.late.lock().expect("nobody panics with it")
    }

    /// Cuts the client off if this is the command to do so at, and waits for the release.
    fn hold(&self, bytes: &[u8], client: &TcpStream) {
        let mut late = self.late();
        match *late {
            Late::Wanted(command) if bytes.starts_with(command.as_bytes()) => *late = Late::Held,
            _ => return,
        }
        // it may have gone by itself
        let _cut = client.shutdown(Shutdown::Both);
        while *late == Late::Held {
            late = self.changed.wait(late).expect("nobody panics with it");
        }
    }
}

/// Passes connections on to `to`; the address to connect to.
fn listen(to: SocketAddr, plan: Arc<Plan>, control: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(to) else {
                return;
            };
            let (up, down) = (Arc::clone(&plan), Arc::clone(&plan));
            let (Ok(client2), Ok(server2)) = (client.try_clone(), server.try_clone()) else {
                return;
            };
            thread::spawn(move || pass(client2, server2, &up, Way::Up { control }));
            thread::spawn(move || pass(server, client, &down, Way::Down { control }));
            if !control {
                // a data connection is one
                return;
            }
        }
    });
    address
}

/// Which way bytes go, and whether they are words or data.
#[derive(Clone, Copy)]
enum Way {
    Up { control: bool },
    Down { control: bool },
}

/// Copies bytes until the end or the cut. On a control connection, ports of data connections lead to proxies of their own.
fn pass(mut from: TcpStream, mut to: TcpStream, plan: &Arc<Plan>, way: Way) {
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
        let bytes = match way {
            Way::Down { control: true } => redirect(&piece[..length], plan),
            Way::Up { control: true } => {
                plan.hold(&piece[..length], &from);
                piece[..length].to_vec()
            }
            _ => piece[..length].to_vec(),
        };
        let rest = plan
            .left
            .fetch_sub(i64::try_from(length).expect("a small piece"), SeqCst);
        if rest < i64::MAX / 2 && rest <= i64::try_from(length).expect("a small piece") {
            plan.left.store(i64::MAX, SeqCst);
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
fn redirect(bytes: &[u8], plan: &Arc<Plan>) -> Vec<u8> {
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
        Arc::clone(plan),
        false,
    );
    format!("229{head}(|||{}|{tail}", address.port()).into_bytes()
}
