//! The intake: TCP in, groups of records to the disk, acknowledgements back. It knows nothing of delivering.

mod connection;
mod desk;
mod directory;
mod ending;
mod framing;
mod handoff;
mod probe;
mod server;
mod tls;
mod wire;
mod writer;

use std::{net::TcpListener, sync::Arc};

pub(crate) use framing::Framing;
pub(crate) use handoff::Handoff;
pub use probe::probe;
pub(crate) use server::Server;
pub(crate) use writer::Writer;

use self::{
    desk::{Desk, Rules},
    server::Limits,
};
use super::{params::Listen, spool::Store};
use crate::{context::Context, error::Error};

/// So many bytes are gathered while a group is on its way to the disk, in a spool that is large enough.
const GROUP: u64 = 8 << 20;

/// Opens the door that the job file describes, to a spool of so many bytes.
///
/// # Errors
/// When the address is taken, or a certificate cannot be read.
pub(crate) fn open(
    cx: &Context,
    listen: &Listen,
    store: &Store,
    quota: u64,
    handoff: &Arc<Handoff>,
) -> Result<Server, Error> {
    let key = listen
        .key
        .as_ref()
        .map(|key| aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.as_bytes()));
    let tls = listen
        .tls
        .as_ref()
        .map(|tls| tls::config(cx, tls))
        .transpose()?;
    let listener = TcpListener::bind(&listen.address)
        .map_err(Error::io("listen on", listen.address.clone()))?;
    let rules = Rules {
        framing: listen.framing,
        ack: listen.ack,
        max: usize::try_from(listen.max_record.0).unwrap_or(usize::MAX),
        key,
    };
    let limits = Limits {
        connections: usize::try_from(listen.connections).unwrap_or(usize::MAX),
        timeout: listen.timeout.0,
        group: usize::try_from(GROUP.min(quota / 8)).unwrap_or(usize::MAX),
    };
    let seal = store.shelf().seal.clone();
    let desk = Desk::new(rules, seal, store.sessions(), store.next());
    Server::new(listener, tls, Arc::clone(handoff), desk, limits)
        .map_err(Error::io("listen on", listen.address.clone()))
}
