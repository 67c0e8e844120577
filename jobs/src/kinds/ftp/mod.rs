//! `ftp`: files from and to a server that speaks FTP or FTPS.
//!
//! **Guarantee**: a file is seen under its name whole or not at all, on either side. Each version of a file (by name, size and
//! time) is moved once: what was moved is written to the job's state together with the plan that publishes it, so that SIGKILL at any
//! point is followed by a run that finishes the plan, and neither forgets a file nor moves one twice. A source is deleted or
//! moved away only after the other side holds the file: here that means synced and under its name; there, the server's reply that
//! the transfer is complete, the rename, and a SIZE that matches (and a HASH, from servers that know it). An interrupted file goes on where it stopped,
//! if the last 64 KiB that came of it are still the same there.
//!
//! A file is taken only when it no longer changes: two listings `stable` apart agree, and so does a third after the transfer.
//! Names from the server that lead out of their folder, or carry line ends or zero bytes, are refused and reported.
//!
//! **Its end**: a server that lies about sizes, or loses what it confirmed (FTP knows no sync); one without SIZE, whose word alone counts;
//! a version that differs from the last one in neither size nor time. It is not new; and if it comes while the last one is half moved, the file is
//! a mixture of both, unless those 64 KiB differ (in a get; nothing tells in a put) or the server knows HASH. The instant between the last look at a source and its deletion, too, is open. With
//! `temporary="false"` others see files grow on the server. Without TLS anybody on the way can read and change everything.

mod crew;
mod data;
mod dial;
mod digest;
mod drafts;
mod fault;
mod fetching;
mod folder;
mod get;
mod link;
mod listing;
mod litter;
mod local;
mod login;
mod memory;
mod outcome;
mod pace;
mod params;
mod probe;
mod put;
mod seam;
mod sending;
mod session;
mod swift;
mod tls;
mod words;

pub use probe::probe;

use crew::Crew;
use fetching::publish_here;
use get::Getting;
use link::Link;
use memory::Plan;
use outcome::Outcome;
use params::Params;
use put::Putting;
use sending::publish_there;
use session::Session;

use crate::context::Context;
use crate::error::Error;
use crate::job::{Bytes, Count, Invalid, Job, Report, Tally};

/// An `ftp` job.
pub(crate) struct Ftp {
    params: Params,
    /// The way to the server and connections of the last pass, where one process makes several.
    kept: Option<(Link, Vec<Session>)>,
}

impl Job for Ftp {
    const KIND: &'static str = "ftp";
    const ABOUT: &'static str = "gets files from an FTP or FTPS server and puts files there";
    const SAMPLE: &'static str = include_str!("../../../../etc/jobs/ftp.xml");
    type Params = Params;

    fn new(params: Params) -> Result<Ftp, Invalid> {
        params.check()?;
        Ok(Ftp { params, kept: None })
    }

    fn run(&mut self, cx: &mut Context) -> Result<Tally, Error> {
        self.with_crew(cx, |params, cx, crew| {
            let mut outcome = Outcome::default();
            finish_plan(cx, crew, &mut outcome)?;
            litter::clear(cx, crew)?;
            for get in &params.gets {
                let done = Getting::new(cx, crew, get)
                    .and_then(|mut getting| getting.run(cx, &mut outcome));
                apart(done, &mut outcome)?;
            }
            for put in &params.puts {
                let done = Putting::new(cx, crew, put)
                    .and_then(|mut putting| putting.run(cx, &mut outcome));
                apart(done, &mut outcome)?;
            }
            outcome.end()
        })
    }

    fn check(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        self.look(cx, report, false)
    }

    fn dry_run(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        self.look(cx, report, true)
    }
}

impl Ftp {
    /// Calls `work` with connections, and keeps those for the next pass.
    fn with_crew<T>(
        &mut self,
        cx: &mut Context,
        work: impl FnOnce(&Params, &mut Context, &Crew<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (link, idle) = match self.kept.take() {
            Some(kept) => kept,
            None => (Link::new(cx, &self.params.server)?, Vec::new()),
        };
        let crew = Crew::new(&link, idle);
        let result = work(&self.params, cx, &crew);
        let idle = crew.into_idle();
        self.kept = Some((link, idle));
        result
    }

    /// Logs in and lists; tells of each file, or only how many there are.
    fn look(&mut self, cx: &mut Context, report: &mut Report, each: bool) -> Result<(), Error> {
        self.with_crew(cx, |params, cx, crew| {
            let mut outcome = Outcome::default();
            crew.one(cx, |_, session| Ok(session.whole("")))
                .map(|home| {
                    report.note(format_args!(
                        "{}: logged in as {}, in {home}",
                        crew.link.place(),
                        crew.link.user
                    ))
                })?;
            for (i, get) in params.gets.iter().enumerate() {
                let getting = Getting::new(cx, crew, get)?;
                match getting.survey(cx, &mut outcome) {
                    Ok(found) => {
                        let fresh = getting.fresh(&found);
                        let bytes = found.iter().map(|remote| remote.version().size).sum();
                        report.note(format_args!(
                            "get {}: {}, {}, {} new",
                            get.from,
                            count(found.len()),
                            Bytes(bytes),
                            fresh.len()
                        ));
                        if each {
                            fresh.iter().for_each(|remote| {
                                report.note(format_args!("get {}", remote.path()))
                            });
                        }
                    }
                    Err(error @ Error::Data(_)) => {
                        report.problem(format!("get[{}].from", i + 1), error.chain())
                    }
                    Err(error) => return Err(error),
                }
            }
            for (i, put) in params.puts.iter().enumerate() {
                if !cx
                    .disk()
                    .look(&cx.path(&put.from))?
                    .is_some_and(|meta| meta.folder)
                {
                    report.problem(
                        format!("put[{}].from", i + 1),
                        format_args!("there is no folder {}", cx.path(&put.from).display()),
                    );
                    continue;
                }
                let putting = Putting::new(cx, crew, put)?;
                let found = putting.survey(cx, &mut outcome)?;
                let fresh = putting.fresh(&found);
                report.note(format_args!(
                    "put {}: {}, {} new",
                    put.from,
                    count(found.len()),
                    fresh.len()
                ));
                if each {
                    fresh.iter().for_each(|local| {
                        report.note(format_args!("put {}", local.path.display()))
                    });
                }
            }
            outcome.end().map(drop)
        })
    }
}

fn count(files: usize) -> Count {
    Count(files as u64, "file")
}

/// A `<get>` or `<put>` that failed leaves the others alone, unless they would fare no better.
fn apart(done: Result<(), Error>, outcome: &mut Outcome) -> Result<(), Error> {
    match done {
        Err(error) if !crew::is_final(&error) => {
            outcome.failed(error);
            Ok(())
        }
        other => other,
    }
}

/// Publishes what an earlier run had complete when it was killed.
fn finish_plan(cx: &mut Context, crew: &Crew<'_>, outcome: &mut Outcome) -> Result<(), Error> {
    let (files, failed) = match memory::unfinished(cx)? {
        None => return Ok(()),
        Some(Plan::Here { files }) => {
            log::info!(
                "an earlier run was stopped while it published {} here: the rest follows",
                count(files.len())
            );
            let failed = publish_here(cx, &files, outcome)?;
            (files, failed)
        }
        Some(Plan::There { files }) => {
            log::info!(
                "an earlier run was stopped while it published {} on the server: the rest follows",
                count(files.len())
            );
            let failed = publish_there(cx, crew, 1, &files, outcome)?;
            (files, failed)
        }
    };
    let forgotten: Vec<String> = failed
        .into_iter()
        .map(|number| files[number].key.clone())
        .collect();
    memory::dismiss(cx, &forgotten)
}
