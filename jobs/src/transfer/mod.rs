//! Our own file transfer, as `jobs/PROTOCOL.md` specifies it: what its server and its client have in common.
//!
//! From the wire inwards: `frame` and `message` are the pure codec, `proof` the pure login, `wire` a socket with
//! deadlines and maybe TLS, `link` frames on it. `sender` and `receiver` are the two ends of an operation, whichever
//! side plays them; `book` is the sender's state machine, `publisher` makes what came durable and visible, `journal`
//! remembers it until the other side has drawn its consequences. `tree` is a folder that nothing leads out of.
//!
//! Which files are wanted, and what becomes of a source, is decided by the kinds `fileserver` and `tcp`. Nothing here
//! knows of accounts or of job files.

pub(crate) mod book;
pub(crate) mod content;
pub(crate) mod disposal;
pub(crate) mod fields;
pub(crate) mod frame;
pub(crate) mod host;
pub(crate) mod journal;
pub(crate) mod landing;
pub(crate) mod leftovers;
pub(crate) mod link;
pub(crate) mod listing;
pub(crate) mod login;
pub(crate) mod message;
pub(crate) mod name;
mod probe;
pub(crate) mod proof;
pub(crate) mod publisher;
pub(crate) mod receiver;
pub(crate) mod refused;
pub(crate) mod scan;
pub(crate) mod sender;
pub(crate) mod tls;
pub(crate) mod tree;
pub(crate) mod wire;

pub use probe::probe;

#[cfg(test)]
mod tests;
