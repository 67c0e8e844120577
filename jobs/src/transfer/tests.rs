//! Both ends of an operation, on two threads of one process and a socket between them.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use super::{
    disposal,
    host::{Host, Silent},
    journal::{Journal, Memory},
    landing::{Landed, Target},
    link::{self, Incoming, Outgoing},
    login::{self, Rights},
    message::{Message, Offer, Refusal},
    name::Name,
    proof::{Digest, Key},
    receiver::{self, Place, Policy, Ruling},
    scan::{Found, Next, Scan, Wanted},
    sender::{self, Ends, Moved, Origin},
    tree::Tree,
    wire::Wire,
};
use crate::{
    disk::FakeDisk,
    error::Error,
    state::{Changes, State},
    stop::Stop,
};

const RIGHTS: Rights = Rights {
    get: true,
    put: true,
};

fn pair() -> (Wire, Wire) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let server = listener.accept().unwrap().0;
    let wire = |socket, name: &str| Wire::new(socket, name, Duration::from_secs(20)).unwrap();
    (wire(client, "server"), wire(server, "client"))
}

fn silent() -> Silent {
    Silent(Stop::new().unwrap())
}

type Halves = (Incoming, Outgoing);

/// Logs in over a fresh connection; `keys` are those of the client and the server.
fn logged_in(keys: (&str, &str)) -> Result<(Halves, Halves), Error> {
    let (client, server) = pair();
    let (theirs, ours) = (Key::new(keys.1), Key::new(keys.0));
    let server = thread::spawn(move || {
        let (mut incoming, outgoing) = link::open(server);
        let knock = login::greet(&mut incoming, &outgoing, &silent())?;
        assert_eq!(knock.account, "node1");
        if knock.admit(&theirs, RIGHTS, &mut incoming, &outgoing, &silent())? {
            Ok((incoming, outgoing))
        } else {
            Err(knock.refuse(&outgoing, &silent()))
        }
    });
    let (mut incoming, outgoing) = link::open(client);
    let rights = login::log_in(&mut incoming, &outgoing, "node1", &ours, &silent());
    let server = server.join().unwrap();
    assert_eq!(rights?, RIGHTS);
    Ok(((incoming, outgoing), server?))
}

#[test]
fn only_the_right_key_logs_in() {
    let (client, mut server) = logged_in(("secret", "secret")).unwrap();
    client.1.send(&Message::Finish, &silent()).unwrap();
    assert_eq!(server.0.message(&silent()).unwrap(), Message::Finish);
    let error = logged_in(("secret", "other")).err().unwrap();
    assert_eq!(error.exit_code(), 77, "{error}");
}

/// Wants everything.
struct Greedy(Mutex<Vec<String>>);

impl Policy for Greedy {
    fn judge(&self, _: &Offer, _: &Target, _: &dyn Host) -> Result<Ruling, Error> {
        Ok(Ruling::Want)
    }
    fn rows(&self, _: &[Landed], _: &[Target], changes: Changes) -> Result<Changes, Error> {
        Ok(changes)
    }
    fn over(&self, target: &Target, came: Option<&Digest>) {
        if came.is_some() {
            self.0.lock().unwrap().push(target.name.to_string());
        }
    }
}

/// Sends a folder, and deletes what is there.
struct Folder {
    scan: Scan,
    tree: Arc<Tree>,
    missed: Vec<String>,
}

impl Origin for Folder {
    fn next(&mut self, host: &dyn Host) -> Result<Next, Error> {
        self.scan.next(host, &mut |_| true)
    }
    fn path(&self, name: &Name) -> String {
        self.scan.path(name)
    }
    fn settle(&mut self, files: &[Found]) -> Result<(), Error> {
        disposal::delete(&self.tree, &self.scan, files, true)
            .map(|failures| assert!(failures.is_empty()))
    }
    fn missed(&mut self, file: &Found, why: &Refusal) {
        self.missed.push(format!("{}: {}", file.name, why.reason));
    }
}

fn folder(dir: &Path) -> Folder {
    let tree = Arc::new(Tree::open(dir).unwrap());
    let wanted = Wanted {
        folder: String::new(),
        patterns: "*".parse().unwrap(),
        recurse: true,
        stable: Duration::ZERO,
        except: None,
    };
    Folder {
        scan: Scan::new(Arc::clone(&tree), wanted),
        tree,
        missed: Vec::new(),
    }
}

/// Moves everything from one folder to another and tells what both ends counted, and what was missed.
fn transfer(from: &Path, to: &Path, disk: &FakeDisk, eager: bool) -> (Moved, Moved, Vec<String>) {
    let (mut client, mut server) = logged_in(("k", "k")).unwrap();
    let tree = Arc::new(Tree::open(to).unwrap());
    let memory: Memory = Arc::new(Mutex::new(State::fake(disk, "server")));
    let receiving = thread::spawn(move || {
        let journal = Journal::open(memory, "landing n ", &tree, &silent()).unwrap();
        let policy = Greedy(Mutex::default());
        let place = Place {
            tree: &tree,
            folder: "vip".to_owned(),
            durable: true,
            policy: &policy,
            journal: &journal,
        };
        let stop = Stop::new().unwrap();
        let ends = Ends {
            incoming: &mut server.0,
            outgoing: &server.1,
            stop: &stop,
        };
        let (_never, again) = mpsc::channel();
        receiver::receive(ends, place, again, &Silent(stop.clone())).unwrap()
    });
    let mut origin = folder(from);
    let stop = Stop::new().unwrap();
    let ends = Ends {
        incoming: &mut client.0,
        outgoing: &client.1,
        stop: &stop,
    };
    let tree = Arc::clone(&origin.tree);
    let sent = sender::send(ends, &tree, &mut origin, &Silent(stop.clone()), eager).unwrap();
    (sent, receiving.join().unwrap(), origin.missed)
}

#[test]
fn small_and_large_files_go_across_and_are_gone_here() {
    let home = tempfile::tempdir().unwrap();
    let (from, to) = (home.path().join("out"), home.path().join("in"));
    for eager in [true, false] {
        fs::create_dir_all(from.join("sub/deep")).unwrap();
        fs::create_dir_all(&to).unwrap();
        let mut expected = Vec::new();
        for n in 0..600_usize {
            let name = if n % 3 == 0 {
                format!("sub/deep/{n}.bin")
            } else {
                format!("{n}.bin")
            };
            let size = match n {
                0 => 0,
                1 => 5_000_000,
                2 => 65_537,
                3 => 65_536,
                n => n * 7,
            };
            let content: Vec<u8> = (0..size)
                .map(|at| u8::try_from((at * 31 + n) % 251).unwrap())
                .collect();
            fs::write(from.join(&name), &content).unwrap();
            expected.push((name, content));
        }
        let (sent, received, missed) = transfer(&from, &to, &FakeDisk::new(), eager);
        assert_eq!((sent, missed), (received, vec![]));
        assert_eq!((sent.files, sent.missed), (600, 0));
        for (name, content) in expected {
            assert!(
                fs::read(to.join("vip").join(&name)).unwrap() == content,
                "{name}"
            );
            assert!(!from.join(&name).exists(), "{name} is still there");
        }
        let left = Tree::open(&to).unwrap().list("vip").unwrap();
        assert!(
            left.iter().all(|leaf| !leaf.name.starts_with('.')),
            "temporary files are left"
        );
        fs::remove_dir_all(&to).unwrap();
    }
}

#[test]
fn what_cannot_be_written_is_missed_and_the_others_go() {
    let home = tempfile::tempdir().unwrap();
    let (from, to) = (home.path().join("out"), home.path().join("in"));
    fs::create_dir_all(&from).unwrap();
    fs::create_dir_all(to.join("vip/taken")).unwrap();
    for name in ["a", "taken", "z"] {
        fs::write(from.join(name), "x").unwrap();
    }
    let (sent, received, missed) = transfer(&from, &to, &FakeDisk::new(), true);
    assert_eq!((sent.files, sent.missed, received.missed), (2, 1, 1));
    assert!(missed[0].starts_with("taken: publish"), "{missed:?}");
    assert!(from.join("taken").exists() && !from.join("a").exists());
}

#[test]
fn random_bytes_after_the_login_end_the_connection_and_nothing_else() {
    let (client, mut server) = logged_in(("k", "k")).unwrap();
    client.1.wire().write(&[9; 400], &silent()).unwrap();
    assert!(matches!(server.0.next(&silent()), Err(Error::Data(_))));
    // a frame that is right in all but its seal
    let (client, mut server) = logged_in(("k", "k")).unwrap();
    client
        .1
        .wire()
        .write(&[0, 0, 0, 0, 18, 0, 0, 0], &silent())
        .unwrap();
    client.1.wire().write(&[7; 16], &silent()).unwrap();
    assert!(matches!(server.0.next(&silent()), Err(Error::Data(_))));
}
