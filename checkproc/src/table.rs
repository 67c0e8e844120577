//! A heartbeat table: opening, checking and replacing it, claiming slots, reading rows. Every byte in it is hostile:
//! nothing read from it is used as an index, a length or a timeout without a bound.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{CWD, FlockOperation, Mode, RenameFlags};

use crate::layout::{self, Cold, Hot, Owner, SLOTS, State, header};
use crate::process::{self, bounded_ns, monotonic_ns};
use crate::row::{self, Row};
use crate::shm::{self, Mapping, Object};
use crate::{Error, Slot};

/// A mapped heartbeat table of one user. Clones share the mapping.
#[derive(Clone)]
pub struct Table {
    shared: Arc<Shared>,
}

struct Shared {
    mapping: Mapping,
    uid: u32,
    name: String,
}

/// What a new slot is to hold.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Name of the job: 1 to 63 of letters, digits, `.`, `_`, `-`.
    pub name: &'a str,
    /// Hash of the home that runs it ([`process::home_hash`]); 0 = none.
    pub home: u64,
    /// Run id; 0 = by hand.
    pub run: u64,
    /// The process; `None` = reserved for one that [`Slot::activate`] will name.
    pub pid: Option<u32>,
    /// Interval that a beat buys; `None` = unwatched.
    pub heartbeat: Option<Duration>,
    /// From SIGTERM to SIGKILL once it is found hung.
    pub hang_grace: Duration,
    /// Longest step that may be declared.
    pub max_step: Duration,
}

/// Why a table is not to be used.
enum Flaw {
    /// Replace it.
    Bad(String),
    /// A newer program made it.
    Newer(u64),
    /// It belongs to another user.
    Foreign(u32),
}

impl Table {
    /// Opens the table of the effective user; makes it if there is none, replaces a bad one with a log line.
    pub fn open_own() -> Result<Table, Error> {
        Table::open_for(rustix::process::geteuid().as_raw())
    }

    /// Opens the table of another user, as root; the file is made over to that user.
    pub fn open_for(uid: u32) -> Result<Table, Error> {
        Table::open_named(&name_of(uid), uid)
    }

    fn open_named(name: &str, uid: u32) -> Result<Table, Error> {
        let path = shm::path(name);
        let mut why = String::from("it comes and goes");
        for _ in 0..20 {
            let object = match Object::open(name) {
                Ok(object) => object,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    match build(name, uid, RenameFlags::NOREPLACE) {
                        Ok(table) => return Ok(table),
                        Err(Error::Io { source, .. })
                            if source.kind() == io::ErrorKind::AlreadyExists =>
                        {
                            continue;
                        }
                        Err(error) => return Err(error),
                    }
                }
                Err(error) => {
                    refuse(&path, uid, error)?;
                    continue;
                }
            };
            match check(object, name, uid) {
                Ok(table) => return Ok(table),
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(Error::Unsettled { why: flaw, .. }) => why = flaw,
                Err(error) => return Err(error),
            }
        }
        Err(Error::Unsettled { path, why })
    }

    /// Our own table; as root those of all users that have one.
    pub fn all() -> Result<Vec<Table>, Error> {
        let own = Table::open_own()?;
        if !rustix::process::geteuid().is_root() {
            return Ok(vec![own]);
        }
        let mut tables = vec![own];
        for uid in uids()? {
            if uid != 0 {
                tables.push(Table::open_for(uid)?);
            }
        }
        Ok(tables)
    }

    /// The user whose processes it speaks for.
    pub fn uid(&self) -> u32 {
        self.shared.uid
    }

    /// The file behind it.
    pub fn path(&self) -> PathBuf {
        shm::path(&self.shared.name)
    }

    /// Has it been replaced? Then open it anew and claim again.
    pub fn retired(&self) -> bool {
        self.words()[header::RETIRED].load(Ordering::Relaxed) != 0
    }

    /// Number of slots.
    pub fn slots(&self) -> u32 {
        SLOTS
    }

    /// Slots that have ever been in use: all live ones have a lower index.
    pub fn high_water(&self) -> u32 {
        let mark = self.words()[header::HIGH_WATER].load(Ordering::Acquire);
        u32::try_from(mark).unwrap_or(SLOTS).min(SLOTS)
    }

    pub(crate) fn words(&self) -> &[AtomicU64] {
        self.shared.mapping.words()
    }

    /// Is this still the table that its name means, and is its header whole? If not, says why.
    pub fn flaw(&self) -> Option<String> {
        match fs::symlink_metadata(self.path()) {
            Ok(meta) if meta.ino() == self.shared.mapping.inode() => {}
            Ok(_) => return Some("its file was replaced".to_owned()),
            Err(error) => return Some(format!("its file is gone ({error})")),
        }
        match inspect(self.words(), self.uid()) {
            Ok(()) => None,
            Err(Flaw::Bad(why)) => Some(why),
            Err(Flaw::Newer(version)) => Some(format!("layout {version}")),
            Err(Flaw::Foreign(owner)) => Some(format!("uid {owner}")),
        }
    }

    /// Tells everyone who has it mapped to open the table anew.
    pub fn retire(&self) {
        self.words()[header::RETIRED].store(1, Ordering::Release);
    }

    /// A handle on a slot that is already claimed; `None` if index or generation do not fit.
    pub fn slot(&self, index: u32, generation: u32) -> Option<Slot> {
        let slot = (index < SLOTS).then(|| Slot::new(self.clone(), index, generation))?;
        slot.owner().is_some().then_some(slot)
    }

    /// Copies of all live slots.
    pub fn rows(&self) -> Vec<Row> {
        (0..self.high_water())
            .filter_map(|index| Row::read(self.words(), self.uid(), index))
            .collect()
    }

    /// Takes a free slot and fills it. Lock-free; [`Error::Full`] if none is left, even after dead ones were freed.
    pub fn claim(&self, claim: &Claim) -> Result<Slot, Error> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if claim.name.is_empty() || claim.name.len() > 63 || !claim.name.chars().all(good) {
            return Err(Error::Name {
                name: claim.name.to_owned(),
            });
        }
        let start = match claim.pid {
            Some(pid) => Some((
                pid,
                process::start_time(pid).ok_or(Error::NoProcess { pid })?,
            )),
            None => None,
        };
        if let Some(slot) = self.take(claim, start)? {
            return Ok(slot);
        }
        self.sweep();
        self.take(claim, start)?.ok_or_else(|| Error::Full {
            path: self.path(),
            slots: SLOTS,
        })
    }

    fn take(&self, claim: &Claim, process: Option<(u32, u64)>) -> Result<Option<Slot>, Error> {
        let (claimer, claimer_start) = process::own_identity();
        for index in 0..SLOTS {
            if index >= self.high_water() {
                for range in layout::ranges(index) {
                    let reserved = self.shared.mapping.reserve(range);
                    reserved.map_err(|error| {
                        Error::io("get memory for heartbeat table", self.path(), error)
                    })?;
                }
                self.words()[header::HIGH_WATER].fetch_max(u64::from(index) + 1, Ordering::AcqRel);
            }
            let word = &self.words()[layout::hot(index, Hot::Owner)];
            let old = Owner::unpack(word.load(Ordering::Acquire));
            if old.state != State::Free {
                continue;
            }
            let generation = old.next_generation();
            let claiming = Owner {
                state: State::Claiming,
                generation,
                pid: claimer,
            };
            if word
                .compare_exchange(
                    old.pack(),
                    claiming.pack(),
                    Ordering::AcqRel,
                    Ordering::Acquire,
                )
                .is_err()
            {
                continue;
            }
            self.fill(index, claim, (claimer, claimer_start), process);
            let (state, pid) =
                process.map_or((State::Reserved, claimer), |(pid, _)| (State::Active, pid));
            let ready = Owner {
                state,
                generation,
                pid,
            };
            // Fails only if we were stopped for so long that a watchdog gave the slot up.
            if word
                .compare_exchange(
                    claiming.pack(),
                    ready.pack(),
                    Ordering::AcqRel,
                    Ordering::Acquire,
                )
                .is_ok()
            {
                return Ok(Some(Slot::new(self.clone(), index, generation)));
            }
        }
        Ok(None)
    }

    fn fill(&self, index: u32, claim: &Claim, claimer: (u32, u64), process: Option<(u32, u64)>) {
        let words = self.words();
        for word in &words[layout::cold(index, Cold::StartTime)..layout::cold(index, Cold::Name)] {
            word.store(0, Ordering::Relaxed);
        }
        let now = monotonic_ns();
        let heartbeat = claim.heartbeat.map_or(0, bounded_ns);
        let hot = |word, value| words[layout::hot(index, word)].store(value, Ordering::Relaxed);
        hot(
            Hot::Deadline,
            if heartbeat == 0 {
                layout::NEVER
            } else {
                now + heartbeat
            },
        );
        hot(Hot::Beat, now);
        hot(Hot::Beats, 0);
        hot(Hot::Heartbeat, heartbeat);
        hot(Hot::StepUntil, 0);
        hot(Hot::Home, claim.home);
        let cold = |word, value| words[layout::cold(index, word)].store(value, Ordering::Relaxed);
        cold(Cold::StartTime, process.map_or(0, |(_, start)| start));
        cold(Cold::Claimer, u64::from(claimer.0));
        cold(Cold::ClaimerStart, claimer.1);
        cold(Cold::Run, claim.run);
        cold(Cold::Claimed, now);
        cold(Cold::ClaimedWall, process::wall_us());
        cold(Cold::HangGrace, bounded_ns(claim.hang_grace));
        cold(Cold::MaxStep, bounded_ns(claim.max_step));
        row::write_text(words, index, Cold::Name, layout::NAME_BYTES, claim.name);
        row::write_text(words, index, Cold::Phase, layout::PHASE_BYTES, "");
        row::write_text(words, index, Cold::Step, layout::STEP_BYTES, "");
    }

    /// Frees every slot whose process is gone. Called when a claim finds the table full.
    fn sweep(&self) {
        for index in 0..self.high_water() {
            self.reap(index);
        }
    }

    /// Frees a slot if the process it belongs to is gone; a reserved one only when its claimer is.
    pub(crate) fn reap(&self, index: u32) -> bool {
        let word = &self.words()[layout::hot(index, Hot::Owner)];
        let owner = Owner::unpack(word.load(Ordering::Acquire));
        let cold = |part| self.words()[layout::cold(index, part)].load(Ordering::Acquire);
        let gone = match owner.state {
            State::Free => false,
            State::Corrupt => true,
            // Its start time may not be written yet, so a claimer counts as gone only when its pid is.
            State::Claiming => process::start_time(owner.pid).is_none(),
            State::Reserved => !process::is_alive(owner.pid, cold(Cold::ClaimerStart)),
            State::Active => !process::is_alive(owner.pid, cold(Cold::StartTime)),
        };
        let free = Owner {
            state: State::Free,
            pid: 0,
            ..owner
        };
        // `old` keeps the bits of a corrupt word as they are.
        let old = if owner.state == State::Corrupt {
            word.load(Ordering::Acquire)
        } else {
            owner.pack()
        };
        gone && word
            .compare_exchange(old, free.pack(), Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// Name of a user's table; `PROCCTL_TABLE` adds a suffix for private tables.
fn name_of(uid: u32) -> String {
    match suffix() {
        Some(suffix) => format!("procctl-heartbeat-{uid}-{suffix}"),
        None => format!("procctl-heartbeat-{uid}"),
    }
}

/// The suffix in `PROCCTL_TABLE`, stripped of everything that could leave the folder.
fn suffix() -> Option<String> {
    let value = std::env::var("PROCCTL_TABLE").ok()?;
    let clean: String = value
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        .collect();
    (!clean.is_empty()).then(|| clean.chars().take(100).collect())
}

/// The users that have a table.
pub(crate) fn uids() -> Result<Vec<u32>, Error> {
    let entries =
        fs::read_dir(shm::folder()).map_err(|error| Error::io("list", shm::folder(), error))?;
    let uid = |name: &str| -> Option<u32> {
        let rest = name.strip_prefix("procctl-heartbeat-")?;
        let uid: u32 = rest.split('-').next()?.parse().ok()?;
        (name_of(uid) == name).then_some(uid)
    };
    Ok(entries
        .filter_map(|entry| uid(entry.ok()?.file_name().to_str()?))
        .collect())
}

/// Builds a table under a name of its own, then renames it into place: nobody ever sees a half-built one.
fn build(name: &str, uid: u32, flags: RenameFlags) -> Result<Table, Error> {
    let draft = format!("{name}.{}-{}", std::process::id(), monotonic_ns());
    let path = shm::path(&draft);
    let failed = |error: io::Error| Error::io("make heartbeat table", &path, error);
    let mapping = Mapping::create(&draft, layout::BYTES).map_err(failed)?;
    let finish = || -> io::Result<()> {
        mapping.reserve(layout::header_range())?;
        rustix::fs::fchmod(mapping.file(), Mode::RUSR | Mode::WUSR)?;
        write_header(mapping.words(), uid);
        if mapping.file().metadata()?.uid() != uid {
            std::os::unix::fs::fchown(mapping.file(), Some(uid), None)?;
        }
        Ok(rustix::fs::renameat_with(
            CWD,
            &path,
            CWD,
            shm::path(name),
            flags,
        )?)
    };
    if let Err(error) = finish() {
        // The draft has never had another user: taking its name away harms nobody.
        fs::remove_file(&path).ok();
        return Err(failed(error));
    }
    Ok(Table {
        shared: Arc::new(Shared {
            mapping,
            uid,
            name: name.to_owned(),
        }),
    })
}

fn write_header(words: &[AtomicU64], uid: u32) {
    let (boot_high, boot_low) = process::boot_id();
    let constants = [
        (header::MAGIC, layout::MAGIC),
        (header::VERSION, layout::VERSION),
        (header::SLOTS, u64::from(SLOTS)),
        (header::BYTES, layout::BYTES as u64),
        (header::UID, u64::from(uid)),
        (header::BOOT_HIGH, boot_high),
        (header::BOOT_LOW, boot_low),
        (header::CREATED, monotonic_ns()),
    ];
    for (word, value) in constants {
        words[word].store(value, Ordering::Release);
    }
    words[header::CHECKSUM].store(sum(words), Ordering::Release);
}

fn sum(words: &[AtomicU64]) -> u64 {
    layout::checksum(
        words[..header::CHECKSUM]
            .iter()
            .map(|word| word.load(Ordering::Acquire)),
    )
}

/// What to do about a name that cannot be opened: a link of ours is taken away, all else is an error.
fn refuse(path: &std::path::Path, uid: u32, error: io::Error) -> Result<(), Error> {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    let us = rustix::process::geteuid().as_raw();
    if meta.is_symlink() && (us == 0 || us == meta.uid()) && fs::remove_file(path).is_ok() {
        log::warn!(
            "heartbeat table {} was a symbolic link: removed",
            path.display()
        );
        return Ok(());
    }
    if meta.uid() != uid {
        return Err(Error::Foreign {
            path: path.to_path_buf(),
            uid,
            owner: meta.uid(),
        });
    }
    Err(Error::io("open heartbeat table", path, error))
}

/// Is the header that of a table of this user, layout and boot?
fn inspect(words: &[AtomicU64], uid: u32) -> Result<(), Flaw> {
    let bad = |why: &str| Err(Flaw::Bad(why.to_owned()));
    let word = |position: usize| words[position].load(Ordering::Acquire);
    if word(header::MAGIC) != layout::MAGIC {
        return bad("wrong magic");
    }
    if word(header::CHECKSUM) != sum(words) {
        return bad("wrong checksum");
    }
    if word(header::VERSION) > layout::VERSION {
        return Err(Flaw::Newer(word(header::VERSION)));
    }
    let sizes = (
        word(header::VERSION),
        word(header::SLOTS),
        word(header::BYTES),
    );
    if sizes != (layout::VERSION, u64::from(SLOTS), layout::BYTES as u64) {
        return bad("another layout");
    }
    if word(header::UID) != u64::from(uid) {
        return bad("made for another user");
    }
    if (word(header::BOOT_HIGH), word(header::BOOT_LOW)) != process::boot_id() {
        return bad("made before the last boot");
    }
    if word(header::RETIRED) != 0 {
        return bad("retired");
    }
    Ok(())
}

/// Maps an object if its facts and header are right; replaces it if not and if we may.
fn check(object: Object, name: &str, uid: u32) -> Result<Table, Error> {
    let path = shm::path(name);
    let facts = object.facts();
    let lock = object
        .file()
        .try_clone()
        .map_err(|error| Error::io("open heartbeat table", &path, error))?;
    let flaw = if facts.mode & libc::S_IFMT != libc::S_IFREG {
        Flaw::Bad("not a plain file".to_owned())
    } else if facts.uid != uid {
        Flaw::Foreign(facts.uid)
    } else if facts.size != layout::BYTES as u64 {
        Flaw::Bad(format!("{} bytes instead of {}", facts.size, layout::BYTES))
    } else if facts.mode & 0o077 != 0 {
        Flaw::Bad(format!("open to others (mode {:o})", facts.mode & 0o777))
    } else {
        let mapping = object
            .map()
            .map_err(|error| Error::io("map heartbeat table", &path, error))?;
        let result = inspect(mapping.words(), uid);
        if matches!(result, Err(Flaw::Bad(_))) {
            mapping.words()[header::RETIRED].store(1, Ordering::Release);
        }
        match result {
            Ok(()) => {
                return Ok(Table {
                    shared: Arc::new(Shared {
                        mapping,
                        uid,
                        name: name.to_owned(),
                    }),
                });
            }
            Err(flaw) => flaw,
        }
    };
    let why = match flaw {
        Flaw::Bad(why) => why,
        Flaw::Newer(found) => {
            return Err(Error::Newer {
                path,
                found,
                known: layout::VERSION,
            });
        }
        Flaw::Foreign(owner) if !rustix::process::geteuid().is_root() => {
            return Err(Error::Foreign { path, uid, owner });
        }
        Flaw::Foreign(owner) => format!("belongs to uid {owner}"),
    };
    replace(&lock, facts.inode, name, uid, why)
}

/// Puts a new table in place of a bad one, once, however many processes find it bad at the same time.
fn replace(old: &File, inode: u64, name: &str, uid: u32, why: String) -> Result<Table, Error> {
    let path = shm::path(name);
    let unsettled = |why: String| Error::Unsettled {
        path: path.clone(),
        why,
    };
    // The lock is on the bad file itself; who gets it later finds that the name means another file by then.
    if rustix::fs::flock(old, FlockOperation::NonBlockingLockExclusive).is_err() {
        std::thread::sleep(Duration::from_millis(20));
        return Err(unsettled(why));
    }
    if fs::symlink_metadata(&path).map(|meta| meta.ino()).ok() != Some(inode) {
        return Err(unsettled(why));
    }
    let table = build(name, uid, RenameFlags::empty())?;
    log::warn!(
        "heartbeat table {} was bad ({why}): retired and replaced",
        path.display()
    );
    Ok(table)
}
