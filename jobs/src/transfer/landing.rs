//! A file on its way in: its temporary name, its bytes as they come, its hash.
//!
//! The temporary name says whose file it is (name, size and time), so what a broken transfer left is found again and
//! continued. What is there of it is not trusted: its hashes, at points on the way, go to the sender, which begins behind
//! the last one that is right.

use std::{
    fs::File,
    io::{self, Write},
    os::{fd::OwnedFd, unix::fs::FileExt},
    sync::Arc,
};

use blake3::Hasher;

use super::{
    content::hash_range,
    host::Host,
    message::{Code, Offer, Refusal},
    name::Name,
    proof::Digest,
    refused::{Refused, io_refusal, refusal},
    tree::{Tree, written_at},
};
use crate::error::Error;

/// Files up to so many bytes go packed together, larger ones by themselves.
pub(crate) const SMALL: u64 = 64 << 10;

/// A file as both sides know it: by name, size and time.
pub(crate) type Identity = [u8; 16];

/// Where an offered file goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) id: u32,
    /// Below the root of the tree.
    pub(crate) name: Name,
    /// As it was offered, below the folder of the operation.
    pub(crate) offered: String,
    pub(crate) size: u64,
    pub(crate) mtime: i64,
    pub(crate) mode: u16,
}

impl Target {
    pub(crate) fn new(offer: &Offer, name: Name) -> Target {
        Target {
            id: offer.id,
            name,
            offered: offer.name.clone(),
            size: offer.size,
            mtime: offer.mtime,
            mode: offer.mode,
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        identity(self.name.as_str(), self.size, self.mtime)
    }

    /// The temporary name, in the file's own folder.
    pub(crate) fn temporary(&self) -> String {
        temporary(self.name.leaf(), &self.identity())
    }
}

/// What a file is known by.
pub(crate) fn identity(name: &str, size: u64, mtime: i64) -> Identity {
    let mut hasher = Hasher::new();
    hasher.update(name.as_bytes()).update(&[0]);
    hasher
        .update(&size.to_le_bytes())
        .update(&mtime.to_le_bytes());
    let mut identity = [0; 16];
    identity.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    identity
}

/// The temporary name of a file.
pub(crate) fn temporary(leaf: &str, identity: &Identity) -> String {
    let mark = blake3::Hash::from_bytes({
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(identity);
        bytes
    });
    let mark = &mark.to_hex()[..16];
    let name = format!(".{leaf}~{mark}.part");
    if name.len() <= 255 {
        name
    } else {
        format!(
            ".{}~{mark}.part",
            &blake3::hash(leaf.as_bytes()).to_hex()[..32]
        )
    }
}

/// Whether a name is one of our temporary names.
pub(crate) fn is_temporary(leaf: &str) -> bool {
    leaf.strip_prefix('.')
        .and_then(|name| name.strip_suffix(".part"))
        .and_then(|name| name.rsplit_once('~'))
        .is_some_and(|(_, mark)| {
            mark.len() == 16 && mark.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
}

/// A file whose bytes have all come and have the hash that was promised; it is not published yet.
pub(crate) struct Landed {
    pub(crate) target: Target,
    pub(crate) temporary: String,
    pub(crate) hash: Digest,
    /// Still open where the file is large, for a sync of its own.
    pub(crate) file: Option<File>,
}

/// Takes in a small file that came whole.
pub(crate) fn land_small(
    tree: &Tree,
    target: Target,
    bytes: &[u8],
    promised: &Digest,
) -> Refused<Landed> {
    if u64::try_from(bytes.len()).ok() != Some(target.size)
        || blake3::hash(bytes).as_bytes() != promised
    {
        return Err(mismatch());
    }
    let temporary = target.temporary();
    let mut file = create(tree, &target, &temporary, true)?;
    let written = file.write_all(bytes).and_then(|()| dress(&file, &target));
    if let Err(error) = written {
        drop_temporary(tree, &target, &temporary);
        return Err(io_refusal("write", &error));
    }
    Ok(Landed {
        target,
        temporary,
        hash: *promised,
        file: None,
    })
}

fn mismatch() -> Refusal {
    Refusal::new(
        Code::Mismatch,
        "what came is not what was promised; the file changed on the way",
    )
}

fn create(tree: &Tree, target: &Target, temporary: &str, fresh: bool) -> Refused<File> {
    let open = |folder: Arc<OwnedFd>| tree.write(&folder, temporary, target.mode, fresh);
    let folder = || {
        tree.make_folder(target.name.folder())
            .map_err(|error| refusal(&error))
    };
    match open(folder()?) {
        // somebody removed the folder since we know it
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tree.forget_folders();
            open(folder()?).map_err(|error| io_refusal("create", &error))
        }
        opened => opened.map_err(|error| io_refusal("create", &error)),
    }
}

fn dress(file: &File, target: &Target) -> io::Result<()> {
    Ok(rustix::fs::futimens(file, &written_at(target.mtime))?)
}

/// Removes a temporary file, as far as that can be done.
pub(crate) fn drop_temporary(tree: &Tree, target: &Target, temporary: &str) {
    let path = super::name::join(target.name.folder(), temporary);
    if let Err(error) = tree.remove(&path) {
        log::warn!("{}", error.chain());
    }
}

/// A large file that is coming in.
pub(crate) struct Landing {
    pub(crate) target: Target,
    temporary: String,
    file: File,
    /// Of what came so far.
    hasher: Box<Hasher>,
    at: u64,
    begun: bool,
}

impl Landing {
    /// Opens the temporary file; what a broken transfer left in it stays for now.
    pub(crate) fn open(tree: &Tree, target: Target) -> Refused<Landing> {
        let temporary = target.temporary();
        let file = create(tree, &target, &temporary, false)?;
        Ok(Landing {
            target,
            temporary,
            file,
            hasher: Box::default(),
            at: 0,
            begun: false,
        })
    }

    /// The next bytes are for this offset: where the file ends so far, or at first some point behind what is there already.
    pub(crate) fn expect(
        &mut self,
        offset: u64,
        length: usize,
        host: &dyn Host,
    ) -> Result<Refused<()>, Error> {
        if !self.begun {
            self.begun = true;
            if let Err(error) = self.begin(offset, host)? {
                return Ok(Err(io_refusal("continue", &error)));
            }
        }
        let end = u64::try_from(length)
            .ok()
            .and_then(|length| offset.checked_add(length));
        if offset != self.at || end.is_none_or(|end| end > self.target.size) {
            return Ok(Err(Refusal::new(
                Code::Protocol,
                "bytes that are not the next ones",
            )));
        }
        Ok(Ok(()))
    }

    fn begin(&mut self, offset: u64, host: &dyn Host) -> Result<io::Result<()>, Error> {
        if offset > 0 {
            let hashed = hash_range(&self.file, offset, &mut self.hasher, host, &mut |_, _| {})?;
            if hashed.is_err() {
                return Ok(hashed);
            }
            log::info!("{}: continued at {} MiB", self.target.name, offset >> 20);
        }
        self.at = offset;
        Ok(self.file.set_len(offset))
    }

    /// Takes the next bytes: hashed and written while the processor still has them at hand. A thread beside, for either of the
    /// two, costs more in passing them on than it saves.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Refused<()> {
        self.hasher.update(bytes);
        self.file
            .write_all_at(bytes, self.at)
            .map_err(|error| io_refusal("write", &error))?;
        self.at += u64::try_from(bytes.len()).unwrap_or(0);
        Ok(())
    }

    /// All bytes have come: holds them against the promised hash. What does not match is removed.
    pub(crate) fn finish(
        mut self,
        tree: &Tree,
        size: u64,
        promised: Digest,
        host: &dyn Host,
    ) -> Result<Refused<Landed>, Error> {
        // a file of which everything was there already comes without bytes
        if !self.begun {
            self.begun = true;
            if let Err(error) = self.begin(size, host)? {
                return Ok(Err(io_refusal("continue", &error)));
            }
        }
        let whole = size == self.target.size && self.at == size;
        let Landing {
            target,
            temporary,
            file,
            hasher,
            ..
        } = self;
        if !whole || *hasher.finalize().as_bytes() != promised {
            drop_temporary(tree, &target, &temporary);
            return Ok(Err(mismatch()));
        }
        if let Err(error) = dress(&file, &target) {
            return Ok(Err(io_refusal("set the time of", &error)));
        }
        Ok(Ok(Landed {
            target,
            temporary,
            hash: promised,
            file: Some(file),
        }))
    }

    /// Gives the file up for good.
    pub(crate) fn discard(self, tree: &Tree) {
        drop_temporary(tree, &self.target, &self.temporary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        stop::Stop,
        transfer::{
            content::{checkpoints, copy},
            frame::BLOCK,
            host::Silent,
        },
    };

    fn target(size: u64) -> Target {
        Target {
            id: 1,
            name: Name::new("a/b").unwrap(),
            offered: "b".to_owned(),
            size,
            mtime: 5_000_000_000,
            mode: 0o640,
        }
    }

    fn host() -> Silent {
        Silent(Stop::new().unwrap())
    }

    #[test]
    fn temporary_names_are_known_again() {
        for leaf in ["a.xml", &"x".repeat(255), "站"] {
            let name = temporary(leaf, &identity(leaf, 1, 2));
            assert!(
                name.len() <= 255 && name.starts_with('.') && is_temporary(&name),
                "{name}"
            );
        }
        assert_ne!(
            temporary("a", &identity("a", 1, 2)),
            temporary("a", &identity("a", 1, 3))
        );
        for other in ["a.part", ".a.part", ".a~1.part", ".a~zzzzzzzzzzzzzzzz.part"] {
            assert!(!is_temporary(other));
        }
    }

    #[test]
    fn a_small_file_has_to_be_what_was_promised() {
        let home = tempfile::tempdir().unwrap();
        let tree = Tree::open(home.path()).unwrap();
        let hash = *blake3::hash(b"xyz").as_bytes();
        assert!(land_small(&tree, target(3), b"xyy", &hash).is_err());
        assert!(land_small(&tree, target(4), b"xyz", &hash).is_err());
        let landed =
            land_small(&tree, target(3), b"xyz", &hash).unwrap_or_else(|_| panic!("refused"));
        let stat = tree
            .look(&format!("a/{}", landed.temporary))
            .unwrap()
            .unwrap();
        assert_eq!((stat.size, stat.mtime), (3, 5_000_000_000));
        assert!(tree.look("a/b").unwrap().is_none());
    }

    #[test]
    fn a_large_file_goes_on_behind_its_last_whole_block() {
        let home = tempfile::tempdir().unwrap();
        let tree = Tree::open(home.path()).unwrap();
        let content: Vec<u8> = (0..3 * BLOCK + 100)
            .map(|n| u8::try_from(n % 251).unwrap())
            .collect();
        let size = u64::try_from(content.len()).unwrap();
        let hash = *blake3::hash(&content).as_bytes();
        let mut landing = Landing::open(&tree, target(size)).unwrap_or_else(|_| panic!("refused"));
        landing.expect(0, 1, &host()).unwrap().unwrap();
        landing.write(&content[..2 * BLOCK + 50]).unwrap();
        drop(landing);
        let found = checkpoints(&tree, &target(size), &host()).unwrap();
        let at = 2 * BLOCK;
        let expected = [BLOCK, at].map(|at| {
            (
                u64::try_from(at).unwrap(),
                *blake3::hash(&content[..at]).as_bytes(),
            )
        });
        assert_eq!(found, expected);
        let mut landing = Landing::open(&tree, target(size)).unwrap_or_else(|_| panic!("refused"));
        landing
            .expect(found[1].0, content.len() - at, &host())
            .unwrap()
            .unwrap();
        landing.write(&content[at..]).unwrap();
        assert!(
            landing.expect(7, 1, &host()).unwrap().is_err(),
            "bytes out of order"
        );
        let landed = landing.finish(&tree, size, hash, &host()).unwrap();
        assert!(landed.is_ok());
        let copied = copy(
            &tree,
            &format!("a/{}", target(size).temporary()),
            Target {
                mtime: 1,
                ..target(size)
            },
            &hash,
            &host(),
        );
        assert!(copied.unwrap().is_ok());
    }

    #[test]
    fn what_does_not_match_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let tree = Tree::open(home.path()).unwrap();
        let mut landing =
            Landing::open(&tree, target(100_000)).unwrap_or_else(|_| panic!("refused"));
        landing.expect(0, 100_000, &host()).unwrap().unwrap();
        landing.write(&[7; 100_000]).unwrap();
        assert!(
            landing
                .finish(&tree, 100_000, [0; 32], &host())
                .unwrap()
                .is_err()
        );
        assert_eq!(tree.list("a").unwrap().leaf(0), None);
    }
}
