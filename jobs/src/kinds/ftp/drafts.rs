//! Names of files on their way: they tell the version of the source, so that a run that follows an interruption goes on with the
//! right bytes, or none. The machine's boot is part of it: what a power cut left of a draft is not to be trusted.
//!
//! On the server the name also tells the try: a name is stored to from its first byte once only. So a STOR that a server carries out
//! late, when its client has long been cut off or killed, cannot empty the file that a later try is writing.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::Path;

use crate::context::Context;
use crate::publish::{Author, MARK, SUFFIX};

/// In whose name the draft of this version is written. `version` is all that tells it from others.
pub(super) fn author(cx: &Context, version: &[&str]) -> Author {
    let mut hasher = blake3::Hasher::new();
    for part in version {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    let mut number = [0; 8];
    number.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    Author {
        job: cx.author().job,
        run: u64::from_le_bytes(number),
    }
}

/// Bits of a draft's number that tell the tries of one version apart.
const TRY: u64 = (1 << 24) - 1;

/// The author of another try of the same version.
pub(super) fn at_try(author: &Author, number: u32) -> Author {
    Author {
        job: author.job.clone(),
        run: author.run & !TRY | u64::from(number) & TRY,
    }
}

/// A number for a try, not likely to be one that an earlier run drew.
pub(super) fn any_try() -> u32 {
    let drawn = RandomState::new().build_hasher().finish();
    u32::try_from(drawn & TRY).expect("TRY has 24 bits")
}

/// A draft's name without the number of the try: the same for every try of one version.
pub(super) fn version_of(draft: &str) -> Option<String> {
    let (head, tail) = draft.rsplit_once(MARK)?;
    let number: u64 = tail.strip_suffix(SUFFIX)?.parse().ok()?;
    Some(format!("{head}{MARK}{}", number & !TRY))
}

/// What tells this run of the machine from others; where nothing does, this process.
pub(super) fn boot() -> String {
    let told = std::fs::read_to_string(Path::new("/proc/sys/kernel/random/boot_id"));
    told.unwrap_or_else(|_| std::process::id().to_string())
}

/// Cuts a list into batches: of at most so many items, and bytes, but of as many items as there are hands in any case.
pub(super) fn batches<T>(
    items: Vec<T>,
    most: usize,
    hands: usize,
    size: impl Fn(&T) -> u64,
) -> Vec<Vec<T>> {
    const BYTES: u64 = 256 << 20;
    let mut batches = Vec::new();
    let (mut batch, mut bytes) = (Vec::new(), 0_u64);
    for item in items {
        let full = batch.len() >= most || bytes >= BYTES && batch.len() >= hands;
        if full {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes = bytes.saturating_add(size(&item));
        batch.push(item);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_and_lose_nothing() {
        let cut = |sizes: Vec<u64>| {
            batches(sizes, 1000, 4, |size| *size)
                .iter()
                .map(Vec::len)
                .collect::<Vec<_>>()
        };
        assert_eq!(cut(vec![1; 2500]), [1000, 1000, 500]);
        assert_eq!(cut(vec![1 << 30; 6]), [4, 2]);
        assert_eq!(cut(vec![]), Vec::<usize>::new());
    }

    #[test]
    fn another_version_has_another_draft() {
        let dir = tempfile::tempdir().unwrap();
        let cx = Context::fake(dir.path());
        let name = |parts: &[&str]| author(&cx, parts).draft("a.xml");
        assert_eq!(name(&["a", "b"]), name(&["a", "b"]));
        assert_ne!(name(&["a", "b"]), name(&["ab", ""]));
        assert!(author(&cx, &["x"]).wrote(&name(&["a", "b"])));
    }

    #[test]
    fn tries_of_a_version_have_names_of_their_own_and_are_known_by_it() {
        let dir = tempfile::tempdir().unwrap();
        let cx = Context::fake(dir.path());
        let (one, other) = (author(&cx, &["a"]), author(&cx, &["b"]));
        let name = |author: &Author, number| at_try(author, number).draft("a.xml");
        assert_ne!(name(&one, 1), name(&one, 2));
        assert_eq!(version_of(&name(&one, 1)), version_of(&name(&one, 2)));
        assert_ne!(version_of(&name(&one, 1)), version_of(&name(&other, 1)));
        assert!(one.wrote(&name(&one, 77)));
        assert_eq!(version_of("a.xml"), None);
    }
}
