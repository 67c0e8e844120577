//! How each side proves that it knows an account's key, without showing it, and the keys of the frames that follow. Pure.
//!
//! All of it is BLAKE3 in its keyed and key-deriving modes (BLAKE3 specification, section 2). Proofs and keys are bound to
//! both nonces, the account, the versions and, where there is TLS, to that very session by its exporter (RFC 9266 in spirit):
//! what was heard on one connection is worth nothing on another.

use super::frame::{HEADER, TAG};

/// What makes our keys ours.
const CONTEXT: &str = "procctl file transfer v1 account key";

/// A hash, a key, a nonce.
pub(crate) type Digest = [u8; 32];

/// An account's key as it is used. Never shown.
#[derive(Clone)]
pub(crate) struct Key(Digest);

impl Key {
    /// The key of an account by its secret's text; blanks and line ends round it do not count.
    pub(crate) fn new(secret: &str) -> Key {
        Key(blake3::derive_key(CONTEXT, secret.trim().as_bytes()))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(***)")
    }
}

/// What both sides derive from the key and from everything that was said so far.
pub(crate) struct Proofs {
    root: Digest,
}

/// Which way frames go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Proofs {
    /// `hello` and `welcome` are the whole payloads as they went over the wire; `session` is the exporter of the TLS session,
    /// empty where there is none.
    pub(crate) fn new(key: &Key, hello: &[u8], welcome: &[u8], session: &[u8]) -> Proofs {
        let mut hasher = blake3::Hasher::new_keyed(&key.0);
        for part in [hello, welcome, session] {
            hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(part);
        }
        Proofs {
            root: *hasher.finalize().as_bytes(),
        }
    }

    /// What a side shows to prove that it knows the key.
    pub(crate) fn of(&self, side: Side) -> Digest {
        self.derive(match side {
            Side::Client => "client proof",
            Side::Server => "server proof",
        })
    }

    /// Whether what a side has shown is its proof; takes as long whether it is or not.
    pub(crate) fn holds(&self, side: Side, shown: &Digest) -> bool {
        blake3::Hash::from_bytes(self.of(side)) == blake3::Hash::from_bytes(*shown)
    }

    /// The seal of the frames that a side sends.
    pub(crate) fn seal(&self, side: Side) -> Seal {
        Seal {
            key: self.derive(match side {
                Side::Client => "client frames",
                Side::Server => "server frames",
            }),
            count: 0,
        }
    }

    fn derive(&self, purpose: &str) -> Digest {
        *blake3::keyed_hash(&self.root, purpose.as_bytes()).as_bytes()
    }
}

/// Tags of frames in one direction, in their order: none can be changed, left out, repeated or moved.
pub(crate) struct Seal {
    key: Digest,
    count: u64,
}

impl Seal {
    /// The tag of the next frame.
    pub(crate) fn next(&mut self, header: &[u8; HEADER], payload: &[u8]) -> [u8; TAG] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&self.count.to_le_bytes());
        hasher.update(header);
        hasher.update(payload);
        self.count += 1;
        let mut tag = [0; TAG];
        tag.copy_from_slice(&hasher.finalize().as_bytes()[..TAG]);
        tag
    }

    /// Whether this is the tag of the next frame.
    pub(crate) fn holds(
        &mut self,
        header: &[u8; HEADER],
        payload: &[u8],
        shown: [u8; TAG],
    ) -> bool {
        let expected = self.next(header, payload);
        // as long for a good guess as for a bad one
        let apart = expected
            .iter()
            .zip(shown)
            .fold(0, |sum, (one, other)| sum | (one ^ other));
        std::hint::black_box(apart) == 0
    }
}

/// Fresh random bytes, of the system's own source.
pub(crate) fn nonce() -> std::io::Result<Digest> {
    let mut bytes = [0; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        filled +=
            rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_hang_on_everything_that_was_said() {
        let key = Key::new("secret\n");
        let base = Proofs::new(&key, b"hello", b"welcome", b"");
        assert!(base.holds(
            Side::Client,
            &Proofs::new(&Key::new("secret"), b"hello", b"welcome", b"").of(Side::Client)
        ));
        assert!(!base.holds(Side::Server, &base.of(Side::Client)));
        for other in [
            Proofs::new(&Key::new("secret2"), b"hello", b"welcome", b""),
            Proofs::new(&key, b"hellp", b"welcome", b""),
            Proofs::new(&key, b"hello", b"welcomf", b""),
            Proofs::new(&key, b"hello", b"welcome", b"tls"),
            Proofs::new(&key, b"hellow", b"elcome", b""),
        ] {
            assert!(!base.holds(Side::Client, &other.of(Side::Client)));
        }
        assert!(!format!("{key:?}").contains("secret"));
    }

    #[test]
    fn tags_hold_in_order_only() {
        let proofs = Proofs::new(&Key::new("k"), b"", b"", b"");
        let (mut out, mut back) = (proofs.seal(Side::Client), proofs.seal(Side::Client));
        let header = [1; HEADER];
        let (one, two) = (out.next(&header, b"one"), out.next(&header, b"two"));
        assert!(back.holds(&header, b"one", one));
        assert!(!back.holds(&header, b"one", one), "a repeated frame");
        let mut back = proofs.seal(Side::Client);
        assert!(!back.holds(&header, b"two", two), "a frame was left out");
        let mut other = proofs.seal(Side::Server);
        assert!(!other.holds(&header, b"one", one), "a frame was sent back");
    }
}
