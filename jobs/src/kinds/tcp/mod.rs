//! `tcp`: files to and from a `fileserver`, by the protocol of `jobs/PROTOCOL.md`.
//!
//! **Guarantee**: a file is published whole or not at all, with the content that its BLAKE3 hash says, on either side. A
//! source is deleted, moved or remembered only after the other side has it published and, unless `sync="false"`, durable. A kill
//! or a broken connection at any moment loses nothing and doubles nothing: the run after it offers the file again, the other
//! side says that it has it, though it may have been taken away there meanwhile. A large file is continued behind the last
//! block that both sides have alike.
//!
//! **Its end**: a writer that pauses for longer than `stable` with its file closed, and one that changes a file in the
//! instant between the last look at it and its deletion. Files are known by name, size and time: a file that is changed in
//! place and keeps both is not new.

mod get;
mod known;
mod params;
mod put;
mod session;

use params::Params;
use session::Session;

use crate::{
    context::Context,
    error::Error,
    job::{Bytes, Count, Invalid, Job, Report, Tally},
    transfer::{link::given_up, message::Refusal, sender::Moved, tree::Tree},
};

/// A `tcp` job.
pub(crate) struct Tcp {
    params: Params,
}

/// Files that did not get there in a pass.
#[derive(Default)]
pub(super) struct Misses {
    count: u64,
    first: Option<(String, Refusal)>,
}

impl Misses {
    /// One more, and why.
    pub(super) fn add(&mut self, name: &str, why: &Refusal) {
        log::warn!("{name}: {}", why.reason);
        self.count += 1;
        self.first
            .get_or_insert_with(|| (name.to_owned(), why.clone()));
    }

    /// Nothing, or the reason of the first one as the reason of the pass.
    fn result(self, peer: &str) -> Result<(), Error> {
        match self.first {
            None => Ok(()),
            Some((name, why)) => {
                let reason = match self.count {
                    1 => format!("{name}: {}", why.reason),
                    count => format!(
                        "{} not transferred; the first one, {name}: {}",
                        Count(count, "file"),
                        why.reason
                    ),
                };
                Err(given_up(peer, &Refusal { reason, ..why }))
            }
        }
    }
}

impl Job for Tcp {
    const KIND: &'static str = "tcp";
    const ABOUT: &'static str = "files to and from a fileserver: durable, resumed, each one once";
    const SAMPLE: &'static str = include_str!("../../../../etc/jobs/tcp.xml");
    type Params = Params;

    fn new(params: Params) -> Result<Tcp, Invalid> {
        params.check()?;
        Ok(Tcp { params })
    }

    fn run(&mut self, cx: &mut Context) -> Result<Tally, Error> {
        let mut session = Session::open(cx, &self.params)?;
        let mut misses = Misses::default();
        let mut tally = Tally::default();
        for put in &self.params.put {
            let moved = put::run(cx, &mut session, put, &mut misses)?;
            count(&mut tally, moved, &format!("{} to {}", put.from, put.to));
        }
        for get in &self.params.get {
            let moved = get::run(cx, &mut session, get, &mut misses)?;
            count(&mut tally, moved, &format!("{} from {}", get.to, get.from));
        }
        misses.result(session.peer()).map(|()| tally)
    }

    fn check(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        let mut session = Session::open(cx, &self.params)?;
        report.note(format_args!(
            "{}: logged in as {}",
            session.peer(),
            self.params.server.account
        ));
        for (n, put) in self.params.put.iter().enumerate() {
            if !session.rights.put {
                report.problem(format!("put[{}]", n + 1), "the account has no right to put");
            }
            if let Err(error) = Tree::open(&cx.path(&put.from)) {
                report.problem(format!("put[{}].from", n + 1), error.chain());
            }
        }
        for (n, get) in self.params.get.iter().enumerate() {
            match get::list(cx, &mut session, get)? {
                Ok(found) => report.note(format_args!(
                    "{}: {}, {}",
                    get.from,
                    Count(found.files, "file"),
                    Bytes(found.bytes)
                )),
                Err(refusal) => report.problem(format!("get[{}].from", n + 1), refusal.reason),
            }
        }
        Ok(())
    }
}

fn count(tally: &mut Tally, moved: Moved, what: &str) {
    tally.files += moved.files;
    tally.bytes += moved.bytes;
    tally.rejected += moved.missed;
    if moved.files > 0 {
        log::info!(
            "{what}: {}, {}",
            Count(moved.files, "file"),
            Bytes(moved.bytes)
        );
    }
}
