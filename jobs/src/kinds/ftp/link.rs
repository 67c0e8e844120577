//! The way to the server: everything that a connection is made with, the same for all of a job's connections.

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::fault::Fault;
use super::pace::Pace;
use super::params::{Listing, Mode, Server, Tls};
use super::tls::Guard;
use super::words::Words;
use crate::context::Context;
use crate::data::encoding_of;
use crate::error::Error;

/// The way to the server.
pub(super) struct Link {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) guard: Option<Guard>,
    pub(super) mode: Mode,
    pub(super) listing: Listing,
    pub(super) words: Words,
    pub(super) zone: Option<jobfile::Zone>,
    /// How long the server may be silent.
    pub(super) timeout: Duration,
    pub(super) retries: u32,
    pub(super) pace: Pace,
    /// The server takes one command at a time: it did not bear more.
    pub(super) stepwise: AtomicBool,
    pub(super) cuts: Arc<Cuts>,
}

impl Link {
    /// As the parameters say.
    ///
    /// # Errors
    /// When certificates cannot be read.
    pub(super) fn new(cx: &Context, server: &Server) -> Result<Link, Error> {
        let (host, port) = server.place().map_err(Error::Invalid)?;
        let guard = match server.tls {
            Tls::None => None,
            Tls::Explicit => Some(Guard::new(
                server.ca.as_ref().map(|ca| cx.path(ca)).as_deref(),
            )?),
        };
        Ok(Link {
            host: host.to_owned(),
            port,
            user: server.user.clone(),
            password: server.password.clone().unwrap_or_default(),
            guard,
            mode: server.mode,
            listing: server.listing,
            words: Words(
                server
                    .encoding
                    .as_deref()
                    .and_then(encoding_of)
                    .unwrap_or(encoding_rs::UTF_8),
            ),
            zone: server.server_tz,
            timeout: server.timeout.0,
            retries: server.retries,
            pace: Pace::new(server.rate.map(|rate| rate.0)),
            stepwise: AtomicBool::new(false),
            cuts: Arc::default(),
        })
    }

    /// The server as it may be shown.
    pub(super) fn place(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The addresses behind the host's name.
    pub(super) fn addresses(&self, cx: &Context) -> Result<Vec<SocketAddr>, Fault> {
        let action = format!("find the address of {}", self.host);
        let _step = cx.step("resolve a name", Duration::from_secs(60));
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        Ok(found
            .map_err(|error| Fault::broken(&action, error))?
            .collect())
    }
}

/// Control connections, to be cut when a stop cannot wait for their servers.
#[derive(Default)]
pub(super) struct Cuts(Mutex<(u64, HashMap<u64, TcpStream>)>);

impl Cuts {
    /// Enters a connection; tells by what number it is to be let go again.
    pub(super) fn enter(&self, stream: TcpStream) -> u64 {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.0 += 1;
        let number = open.0;
        open.1.insert(number, stream);
        number
    }

    pub(super) fn leave(&self, number: u64) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .remove(&number);
    }

    /// Ends every wait for a server's answer.
    pub(super) fn cut(&self) {
        for stream in self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .values()
        {
            // one that is down already is what is wanted
            let _down = stream.shutdown(Shutdown::Both);
        }
    }
}
