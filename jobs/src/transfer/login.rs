//! The login: hello, welcome, proof, counter-proof. After it both sides know that the other one has the account's key, and
//! every frame is sealed. A side that breaks the order is given up.

use std::time::{Duration, Instant};

use super::{
    fields::Malformed,
    host::Host,
    link::{self, Frame, Incoming, Outgoing},
    message::{Code, Message, Refusal, VERSIONS},
    proof::{Key, Proofs, Side, nonce},
};
use crate::error::Error;

/// How long a login may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// What an account may do, as the server says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights {
    pub(crate) get: bool,
    pub(crate) put: bool,
}

/// A host for a login: ticks as the other one does, and ends with the time for a login.
struct Hurry<'a> {
    host: &'a dyn Host,
    begun: Instant,
    peer: String,
}

impl Host for Hurry<'_> {
    fn tick(&self) -> Result<(), Error> {
        if self.begun.elapsed() > LIMIT {
            return Err(Error::Unreachable {
                what: format!("{} did not log in within {} s", self.peer, LIMIT.as_secs()),
                source: None,
            });
        }
        self.host.tick()
    }
}

fn random() -> Result<[u8; 32], Error> {
    nonce().map_err(|error| Error::Internal(format!("draw random bytes: {error}")))
}

/// Logs in to a server.
///
/// # Errors
/// [`Error::Permission`] when the account or the key is refused, or the server cannot prove that it knows the key.
pub(crate) fn log_in(
    incoming: &mut Incoming,
    outgoing: &Outgoing,
    account: &str,
    key: &Key,
    host: &dyn Host,
) -> Result<Rights, Error> {
    let peer = outgoing.wire().peer().to_owned();
    let host = &Hurry {
        host,
        begun: Instant::now(),
        peer: peer.clone(),
    };
    let hello = Message::Hello {
        versions: VERSIONS,
        nonce: random()?,
        account: account.to_owned(),
    };
    let mut said = Vec::new();
    let kind = hello.encode(&mut said);
    outgoing.send_raw(kind, &said, host)?;
    let Message::Welcome { version, .. } = incoming.message(host)? else {
        return Err(incoming.broken(Malformed("no welcome after the hello")));
    };
    if !(VERSIONS.0..=VERSIONS.1).contains(&version) {
        return Err(incoming.broken(Malformed("a version that was not offered")));
    }
    let proofs = Proofs::new(key, &said, incoming.payload(), &outgoing.wire().session()?);
    outgoing.send(
        &Message::Login {
            proof: proofs.of(Side::Client),
        },
        host,
    )?;
    let Message::Accepted { proof, get, put } = incoming.message(host)? else {
        return Err(incoming.broken(Malformed("no answer to the login")));
    };
    if !proofs.holds(Side::Server, &proof) {
        return Err(Error::Permission(format!(
            "{peer} does not know the key of account {account}: it is not the server"
        )));
    }
    outgoing.seal(proofs.seal(Side::Client));
    incoming.seal(proofs.seal(Side::Server));
    Ok(Rights { get, put })
}

/// Who knocks: the result of [`greet`], to be answered by [`Knock::admit`] or [`Knock::refuse`].
pub(crate) struct Knock {
    /// The account that is claimed.
    pub(crate) account: String,
    hello: Vec<u8>,
    welcome: Vec<u8>,
    shown: [u8; 32],
}

/// A server's part of the login up to the client's proof, which is not judged yet.
///
/// # Errors
/// When the client does not come to the point in time, or speaks no version that this side speaks.
pub(crate) fn greet(
    incoming: &mut Incoming,
    outgoing: &Outgoing,
    host: &dyn Host,
) -> Result<Knock, Error> {
    let host = &Hurry {
        host,
        begun: Instant::now(),
        peer: outgoing.wire().peer().to_owned(),
    };
    let Frame::Message(Message::Hello {
        versions: (lowest, highest),
        account,
        ..
    }) = incoming.next(host)?
    else {
        return Err(incoming.broken(Malformed("no hello at the beginning")));
    };
    let hello = incoming.payload().to_vec();
    let version = highest.min(VERSIONS.1);
    if version < lowest.max(VERSIONS.0) {
        let reason = format!(
            "this server speaks versions {} to {}",
            VERSIONS.0, VERSIONS.1
        );
        outgoing.give_up(Refusal::new(Code::Version, reason), host);
        return Err(incoming.broken(Malformed("no version in common")));
    }
    let mut welcome = Vec::new();
    let kind = Message::Welcome {
        version,
        nonce: random()?,
    }
    .encode(&mut welcome);
    outgoing.send_raw(kind, &welcome, host)?;
    let Message::Login { proof } = incoming.message(host)? else {
        return Err(incoming.broken(Malformed("no proof after the welcome")));
    };
    Ok(Knock {
        account,
        hello,
        welcome,
        shown: proof,
    })
}

impl Knock {
    /// Lets the client in if its proof is that of the key; `false` when it is not, and nothing was said yet.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(crate) fn admit(
        &self,
        key: &Key,
        rights: Rights,
        incoming: &mut Incoming,
        outgoing: &Outgoing,
        host: &dyn Host,
    ) -> Result<bool, Error> {
        let proofs = Proofs::new(key, &self.hello, &self.welcome, &outgoing.wire().session()?);
        if !proofs.holds(Side::Client, &self.shown) {
            return Ok(false);
        }
        let accepted = Message::Accepted {
            proof: proofs.of(Side::Server),
            get: rights.get,
            put: rights.put,
        };
        outgoing.send(&accepted, host)?;
        outgoing.seal(proofs.seal(Side::Server));
        incoming.seal(proofs.seal(Side::Client));
        Ok(true)
    }

    /// Turns the client away, without saying what was wrong.
    pub(crate) fn refuse(&self, outgoing: &Outgoing, host: &dyn Host) -> Error {
        let refusal = Refusal::new(
            Code::Login,
            "login refused: no such account, or not its key",
        );
        outgoing.give_up(refusal.clone(), host);
        link::given_up(outgoing.wire().peer(), &refusal)
    }
}
