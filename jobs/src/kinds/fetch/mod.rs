//! `fetch`: files over HTTP and HTTPS.
//!
//! **Guarantee**: a file is seen under its name whole or not at all, and each version is published once: what was fetched (entity
//! tag and time of last change, else a hash of the bytes) is written to the job's state together with the plan that
//! publishes it, so that SIGKILL at any point is followed by a run that finishes the plan. A version that is known is not fetched
//! again; an interrupted one goes on where it stopped, when the server proves that it still is that version.
//!
//! Links of an index page are followed on the page's own server only, and names that lead out of the folder are refused. Headers and
//! credentials go to the server that the URL names, and to no other one that it leads to.
//!
//! **Its end**: a server that changes content without changing its validators; one that sends neither validators nor a length, where a
//! connection that ends early may look like the end of the file (chunked and packed bodies tell).

mod dates;
mod http;
mod links;
mod memory;
mod params;
mod redirects;
mod version;

use http::Client;
use links::Address;
use params::{Get, Params};
use version::{Outcome, Version};

use crate::context::Context;
use crate::error::Error;
use crate::job::{Count, Invalid, Job, Report, Tally};
use crate::publish::sweep_drafts_but;

/// A `fetch` job.
pub(crate) struct Fetch {
    params: Params,
}

/// What a pass came to.
#[derive(Default)]
struct Sum {
    tally: Tally,
    failed: u64,
    first: Option<Error>,
}

impl Sum {
    /// Something failed that leaves the others alone; it is tried again in the next pass.
    fn failed(&mut self, error: Error) {
        log::warn!("{}", error.chain());
        self.failed += 1;
        self.first.get_or_insert(error);
    }

    fn end(self) -> Result<Tally, Error> {
        match self.first {
            None => Ok(self.tally),
            Some(error) => {
                if self.failed > 1 {
                    log::error!(
                        "{} requests failed, the first one: {}",
                        self.failed,
                        error.chain()
                    );
                }
                Err(error)
            }
        }
    }
}

impl Job for Fetch {
    const KIND: &'static str = "fetch";
    const ABOUT: &'static str = "fetches files over HTTP and HTTPS, each version once";
    const SAMPLE: &'static str = include_str!("../../../../etc/jobs/fetch.xml");
    type Params = Params;

    fn new(params: Params) -> Result<Fetch, Invalid> {
        params.check()?;
        Ok(Fetch { params })
    }

    fn run(&mut self, cx: &mut Context) -> Result<Tally, Error> {
        if let Some(plan) = memory::unfinished(cx)? {
            log::info!(
                "an earlier run was stopped while it published {}: it is done now",
                plan.target
            );
            version::finish(cx, &plan)?;
        }
        let parts = memory::parts(cx)?;
        for get in &self.params.gets {
            sweep_drafts_but(&*cx.disk(), &cx.path(&get.to), &cx.author(), |path| {
                parts.contains(path)
            })?;
        }
        let mut sum = Sum::default();
        for get in &self.params.gets {
            if let Err(error) = one(cx, get, &mut sum) {
                if is_final(&error) {
                    return Err(error);
                }
                sum.failed(error);
            }
        }
        memory::prune(cx)?;
        sum.end()
    }

    fn check(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        for (i, get) in self.params.gets.iter().enumerate() {
            let client = Client::new(cx, get)?;
            let address = address(cx, get)?;
            if get.pattern.is_some() {
                let page = client.page(cx, &address)?;
                let mut sum = Sum::default();
                let found = wanted(get, &address, &page, &mut sum);
                report.note(format_args!(
                    "{}: {}",
                    address.shown(),
                    Count(found.len() as u64, "file")
                ));
                for (link, _) in found {
                    report.note(format_args!("  {}", link.shown()));
                }
                sum.end()?;
                continue;
            }
            let (head, _) = client.ask(cx, &address, &[])?;
            match head.status {
                200 => report.note(format_args!(
                    "{}: there, {}",
                    address.shown(),
                    size(head.length)
                )),
                404 | 410 if get.optional => {
                    report.note(format_args!("{}: not there now", address.shown()))
                }
                status => report.problem(
                    format!("get[{}].url", i + 1),
                    http::refusal(&address, status),
                ),
            }
        }
        Ok(())
    }
}

fn size(length: Option<u64>) -> String {
    length.map_or_else(
        || "of unknown length".to_owned(),
        |length| format!("{length} bytes"),
    )
}

/// The address at the time of the run.
fn address(cx: &Context, get: &Get) -> Result<Address, Error> {
    let url = dates::fill(&get.url, time(cx, get)).map_err(Error::Invalid)?;
    Address::parse(&url).map_err(Error::Invalid)
}

fn time(cx: &Context, get: &Get) -> chrono::NaiveDateTime {
    get.zone.local(cx.now() - get.ago.0)
}

/// Fetches what one `<get>` names.
fn one(cx: &mut Context, get: &Get, sum: &mut Sum) -> Result<(), Error> {
    let client = Client::new(cx, get)?;
    let address = address(cx, get)?;
    if get.pattern.is_none() {
        let name = match &get.file {
            Some(file) => dates::fill(file, time(cx, get)).map_err(Error::Invalid)?,
            None => address
                .name()
                .map_err(|why| Error::Invalid(format!("{}: its name: {why}", address.shown())))?,
        };
        return fetch(cx, &client, get, &address, &name, sum);
    }
    let page = client.page(cx, &address)?;
    for (link, name) in wanted(get, &address, &page, sum) {
        cx.checkpoint()?;
        match fetch(cx, &client, get, &link, &name, sum) {
            Err(error) if !is_final(&error) => sum.failed(error),
            other => other?,
        }
    }
    Ok(())
}

fn fetch(
    cx: &mut Context,
    client: &Client,
    get: &Get,
    address: &Address,
    name: &str,
    sum: &mut Sum,
) -> Result<(), Error> {
    match Version::new(cx, client, get, address, name).fetch(cx)? {
        Outcome::New(bytes) => {
            cx.progress(1, 0);
            sum.tally += Tally {
                read: 1,
                written: 1,
                files: 1,
                bytes,
                rejected: 0,
            };
        }
        Outcome::Known => log::debug!("{}: nothing new", address.shown()),
        Outcome::Missing => log::info!("{}: not there now", address.shown()),
    }
    Ok(())
}

/// The links of a page that the patterns take, with their names.
fn wanted(get: &Get, page: &Address, html: &str, sum: &mut Sum) -> Vec<(Address, String)> {
    let mut found = Vec::new();
    let mut names = std::collections::HashSet::new();
    for link in links::links(page, html) {
        // links to folders and to the page itself have no name, and that is no fault
        let Ok(name) = link.name() else { continue };
        if !get
            .pattern
            .as_ref()
            .is_some_and(|pattern| pattern.matches(&name))
        {
            continue;
        }
        if names.insert(name.clone()) {
            found.push((link, name));
        } else {
            sum.tally.rejected += 1;
            sum.failed(Error::Data(format!(
                "{}: two links lead to files of the name {name}",
                page.shown()
            )));
        }
    }
    found
}

/// Whether an error means that nothing else will fare better.
fn is_final(error: &Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error {
        Error::Stopped(_) | Error::Internal(_) => true,
        Error::Io { source, .. } => matches!(
            source.kind(),
            StorageFull | QuotaExceeded | ReadOnlyFilesystem
        ),
        _ => false,
    }
}
