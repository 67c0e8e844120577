//! One file: asked for on condition, gone on with where an earlier try stopped, published whole.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chrono::DateTime;

use super::http::{Client, Head, refusal};
use super::links::Address;
use super::memory::{self, Known, Memory, Part, Plan, Validators};
use super::params::Get;
use crate::context::Context;
use crate::disk::folder;
use crate::error::Error;
use crate::publish::{Author, Draft};

/// Files that are shorter are fetched anew rather than gone on with.
const WORTH_RESUMING: u64 = 256 << 10;
/// How long syncing a file may take.
const SYNC: Duration = Duration::from_secs(600);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What asking came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was published, so many bytes.
    New(u64),
    /// It is the version that is known.
    Known,
    /// There is no such thing on the server, and that is fine.
    Missing,
}

/// One file of a `<get>`.
pub(super) struct Version<'a> {
    client: &'a Client,
    get: &'a Get,
    address: &'a Address,
    target: PathBuf,
    memory: Memory,
}

/// A body on its way into its draft.
struct Incoming {
    draft: Draft,
    /// Bytes of the whole, where that is known.
    whole: Option<u64>,
    /// Of what comes in one piece.
    hasher: Option<blake3::Hasher>,
    /// The draft may be gone on with.
    resumable: bool,
}

impl<'a> Version<'a> {
    pub(super) fn new(
        cx: &Context,
        client: &'a Client,
        get: &'a Get,
        address: &'a Address,
        name: &str,
    ) -> Version<'a> {
        Version {
            client,
            get,
            address,
            target: cx.path(&get.to).join(name),
            memory: Memory::of(address, &get.to, name),
        }
    }

    /// Fetches it if there is another version than the one that is known, with as many tries as it takes.
    ///
    /// # Errors
    /// The last try's.
    pub(super) fn fetch(&self, cx: &mut Context) -> Result<Outcome, Error> {
        for tries in 0.. {
            match self.attempt(cx) {
                Err(error) if error.is_transient() && tries < self.get.retries => {
                    log::info!("{}; it is tried again", error.chain());
                    cx.wait(Duration::from_secs(1_u64 << tries.min(6)).min(LONGEST_PAUSE))?;
                }
                other => return other,
            }
        }
        Err(Error::Internal("no try was made".to_owned()))
    }

    fn attempt(&self, cx: &mut Context) -> Result<Outcome, Error> {
        cx.phase(&format!("fetching {}", self.address.shown()));
        let known = self.memory.known(cx)?;
        let started = self.started(cx)?;
        let conditions = match (&started, &known) {
            (Some((part, draft)), _) => vec![
                ("range", format!("bytes={}-", draft.length())),
                (
                    "if-range",
                    part.validators.strong().unwrap_or_default().to_owned(),
                ),
                ("accept-encoding", "identity".to_owned()),
            ],
            (None, Some(known)) => conditions(&known.validators),
            (None, None) => Vec::new(),
        };
        let asked = started.is_none() && !conditions.is_empty();
        let answer = self.client.ask(cx, self.address, &conditions);
        let (head, flow) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                if let Some((_, draft)) = started {
                    draft.keep();
                }
                return Err(error);
            }
        };
        let incoming = match head.status {
            304 if asked => {
                if let Some(known) = known {
                    self.memory.refresh(cx, known)?;
                }
                return Ok(Outcome::Known);
            }
            404 | 410 if self.get.optional => return Ok(Outcome::Missing),
            200 => {
                drop(started);
                self.begin(cx, &head)?
            }
            206 => self.go_on(&head, started)?,
            416 if started.is_some() => {
                drop(started);
                self.memory.give_up(cx)?;
                return Err(Error::TryAgain(format!(
                    "{}: the part that is here fits no more",
                    self.address.shown()
                )));
            }
            status => {
                if let Some((_, draft)) = started {
                    draft.keep();
                }
                return Err(refusal(self.address, status));
            }
        };
        let incoming = self.receive(cx, &flow, incoming)?;
        self.publish(cx, &head, incoming, known.as_ref())
    }

    /// What an earlier try left, if it can be gone on with.
    fn started(&self, cx: &mut Context) -> Result<Option<(Part, Draft)>, Error> {
        let Some(part) = self
            .memory
            .part(cx)?
            .filter(|part| part.validators.strong().is_some())
        else {
            return Ok(None);
        };
        let disk = cx.disk();
        let author = self.author(cx, &part.validators);
        let draft = self.target.with_file_name(author.draft(&self.name()));
        let there = disk.look(&draft)?.is_some_and(|meta| meta.length > 0);
        if !there || draft != Path::new(&part.draft) {
            return Ok(None);
        }
        let draft = Draft::resume(&disk, &self.target, &author)?;
        log::info!(
            "{}: goes on at byte {}",
            self.address.shown(),
            draft.length()
        );
        Ok(Some((part, draft)))
    }

    fn name(&self) -> String {
        self.target
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// In whose name the draft of a version is written that can be gone on with. The machine's boot is part of it: what a power cut
    /// left of a draft is not to be trusted.
    fn author(&self, cx: &Context, validators: &Validators) -> Author {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .unwrap_or_else(|_| std::process::id().to_string());
        let version = format!(
            "{boot}\0{}\0{}",
            self.address.text(),
            validators.strong().unwrap_or_default()
        );
        let mut number = [0; 8];
        number.copy_from_slice(&blake3::hash(version.as_bytes()).as_bytes()[..8]);
        Author {
            job: cx.author().job,
            run: u64::from_le_bytes(number),
        }
    }

    /// A body from its first byte on.
    fn begin(&self, cx: &mut Context, head: &Head) -> Result<Incoming, Error> {
        let resumable = head.validators.strong().is_some()
            && head.length.is_some_and(|length| length >= WORTH_RESUMING);
        let author = if resumable {
            self.author(cx, &head.validators)
        } else {
            cx.author()
        };
        let draft = Draft::create(&cx.disk(), &self.target, &author)?;
        if resumable {
            let part = Part {
                validators: head.validators.clone(),
                draft: text(draft.path())?,
            };
            self.memory.begin(cx, &part)?;
        }
        Ok(Incoming {
            draft,
            whole: head.length,
            hasher: Some(blake3::Hasher::new()),
            resumable,
        })
    }

    /// The rest of a body.
    fn go_on(&self, head: &Head, started: Option<(Part, Draft)>) -> Result<Incoming, Error> {
        let strange = || {
            Error::Data(format!(
                "{}: the server sends a part that was not asked for",
                self.address.shown()
            ))
        };
        let (part, draft) = started.ok_or_else(strange)?;
        let (start, whole) = head.range.ok_or_else(strange)?;
        let other = head
            .validators
            .strong()
            .is_some_and(|strong| part.validators.strong() != Some(strong));
        if start != draft.length() || other {
            return Err(strange());
        }
        Ok(Incoming {
            draft,
            whole,
            hasher: None,
            resumable: true,
        })
    }

    /// Takes the bytes in; the draft of an interrupted body stays where it can be gone on with.
    fn receive(
        &self,
        cx: &Context,
        flow: &super::http::Flow,
        mut incoming: Incoming,
    ) -> Result<Incoming, Error> {
        match self.take(cx, flow, &mut incoming) {
            Ok(()) => Ok(incoming),
            Err(error) => {
                let again = matches!(error, Error::Unreachable { .. } | Error::Stopped(_));
                if incoming.resumable && again {
                    incoming.draft.keep();
                }
                Err(error)
            }
        }
    }

    fn take(
        &self,
        cx: &Context,
        flow: &super::http::Flow,
        incoming: &mut Incoming,
    ) -> Result<(), Error> {
        let limit = self.get.max_size.map_or(u64::MAX, |size| size.0);
        let too_long = || {
            Error::Data(format!(
                "{}: longer than the {limit} bytes of max-size",
                self.address.shown()
            ))
        };
        if incoming.whole.is_some_and(|whole| whole > limit) {
            return Err(too_long());
        }
        let place = incoming.draft.path().to_owned();
        while let Some(bytes) = flow.next(cx)? {
            incoming
                .draft
                .write_all(&bytes)
                .map_err(Error::io("write", &place))?;
            if let Some(hasher) = &mut incoming.hasher {
                hasher.update(&bytes);
            }
            cx.progress(0, bytes.len() as u64);
            if incoming.draft.length() > limit {
                return Err(too_long());
            }
        }
        match incoming.whole {
            Some(whole) if whole != incoming.draft.length() => Err(Error::Unreachable {
                what: format!(
                    "fetch {}: {} of {whole} bytes came",
                    self.address.shown(),
                    incoming.draft.length()
                ),
                source: None,
            }),
            _ => Ok(()),
        }
    }

    /// Gives the file its name, unless it is what is known already.
    fn publish(
        &self,
        cx: &mut Context,
        head: &Head,
        incoming: Incoming,
        known: Option<&Known>,
    ) -> Result<Outcome, Error> {
        let Incoming { draft, hasher, .. } = incoming;
        let new = Known {
            validators: head.validators.clone(),
            hash: hasher.map(|hasher| hasher.finalize().to_hex().to_string()),
            asked: cx.now(),
        };
        if new.hash.is_some() && known.is_some_and(|known| known.hash == new.hash) {
            self.memory.keep(cx, &new, None)?;
            return Ok(Outcome::Known);
        }
        let disk = cx.disk();
        if let Some(time) = head.validators.last_modified.as_deref().and_then(http_time) {
            disk.set_modified(draft.path(), time)?;
        }
        let step = cx.step("sync a file", SYNC);
        let sealed = draft.seal()?;
        drop(step);
        let plan = Plan {
            draft: text(sealed.draft())?,
            target: text(sealed.target())?,
        };
        self.memory.keep(cx, &new, Some(&plan))?;
        let length = sealed.length();
        sealed.keep();
        finish(cx, &plan)?;
        log::info!(
            "{}: fetched, {length} bytes, to {}",
            self.address.shown(),
            plan.target
        );
        Ok(Outcome::New(length))
    }
}

/// Carries a plan out: the file gets its name, durably. One whose draft is gone has it already.
pub(super) fn finish(cx: &mut Context, plan: &Plan) -> Result<(), Error> {
    let (disk, draft, target) = (cx.disk(), Path::new(&plan.draft), Path::new(&plan.target));
    let step = cx.step("publish a file", SYNC);
    if disk.look(draft)?.is_some() {
        disk.rename(draft, target)?;
    }
    disk.sync_dir(folder(target))?;
    drop(step);
    memory::settle(cx)
}

fn conditions(known: &Validators) -> Vec<(&'static str, String)> {
    let tag = known.etag.clone().map(|tag| ("if-none-match", tag));
    let time = known
        .last_modified
        .clone()
        .map(|time| ("if-modified-since", time));
    tag.into_iter().chain(time).collect()
}

/// `Wed, 21 Oct 2015 07:28:00 GMT`
fn http_time(text: &str) -> Option<SystemTime> {
    let time = DateTime::parse_from_rfc2822(text).ok()?;
    Some(SystemTime::from(time))
}

fn text(path: &Path) -> Result<String, Error> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Error::Invalid(format!("{}: not a path in UTF-8", path.display())))
}
