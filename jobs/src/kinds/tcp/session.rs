//! A connection with a server, logged in; and the job as the host of what happens on it.

use std::{
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use super::params::Params;
use crate::{
    context::Context,
    error::Error,
    stop::Stop,
    transfer::{
        fields::Malformed,
        host::Host,
        link::{self, Incoming, Outgoing},
        login::{self, Rights},
        message::{Message, Refusal},
        proof::Key,
        sender::Ends,
        tls::ClientTls,
        wire::{QUIET, Wire},
    },
};

/// How long one address may take to answer.
const CONNECT: Duration = Duration::from_secs(10);
/// How long finding and reaching the server may take altogether before the job counts as hung.
const REACH: Duration = Duration::from_secs(60);

/// A connection that is logged in.
pub(super) struct Session {
    incoming: Incoming,
    outgoing: Outgoing,
    stop: Stop,
    /// What the account may do.
    pub(super) rights: Rights,
}

impl Session {
    /// Connects and logs in.
    pub(super) fn open(cx: &Context, params: &Params) -> Result<Session, Error> {
        let server = &params.server;
        cx.phase(&format!("connecting to {}", server.host));
        let step = cx.step("connect", REACH);
        let socket = connect(&server.host)?;
        drop(step);
        let waiting = Waiting(cx);
        let mut wire = Wire::new(socket, server.host.as_str(), QUIET)?;
        if let Some(tls) = &params.tls {
            let host = server
                .host
                .rsplit_once(':')
                .map_or(server.host.as_str(), |(host, _)| host);
            let name = tls.name.as_deref().unwrap_or(host.trim_matches(['[', ']']));
            let ca = tls.ca.as_ref().map(|ca| cx.path(ca));
            let connection = ClientTls::new(ca.as_deref(), name)?.begin()?;
            wire = wire.secure(connection, CONNECT, &waiting)?;
        }
        let (mut incoming, outgoing) = link::open(wire);
        let rights = login::log_in(
            &mut incoming,
            &outgoing,
            &server.account,
            &Key::new(&server.key),
            &waiting,
        )?;
        Ok(Session {
            incoming,
            outgoing,
            stop: cx.stop().clone(),
            rights,
        })
    }

    /// The server, as the job file calls it.
    pub(super) fn peer(&self) -> &str {
        self.outgoing.wire().peer()
    }

    /// Begins an operation; the server may refuse it, which leaves the connection as it is.
    pub(super) fn begin(
        &mut self,
        cx: &Context,
        operation: &Message,
    ) -> Result<Result<(), Refusal>, Error> {
        let host = self.host(cx);
        self.outgoing.send(operation, &host)?;
        match self.incoming.message(&host)? {
            Message::Ready(None) => Ok(Ok(())),
            Message::Ready(Some(refusal)) => Ok(Err(refusal)),
            _ => Err(self.incoming.broken(Malformed("no answer to an operation"))),
        }
    }

    /// The two ends, for an operation.
    pub(super) fn ends(&mut self) -> Ends<'_> {
        Ends {
            incoming: &mut self.incoming,
            outgoing: &self.outgoing,
            stop: &self.stop,
        }
    }

    /// The job as the host of an operation on this connection.
    pub(super) fn host<'a>(&self, cx: &'a Context) -> Working<'a> {
        Working {
            cx,
            outgoing: self.outgoing.clone(),
        }
    }
}

fn connect(host: &str) -> Result<TcpStream, Error> {
    let unreachable = |source: std::io::Error| Error::Unreachable {
        what: format!("connect to {host}"),
        source: Some(source.into()),
    };
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for address in host.to_socket_addrs().map_err(unreachable)? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(unreachable(last))
}

/// The job before it is logged in.
struct Waiting<'a>(&'a Context);

impl Host for Waiting<'_> {
    fn tick(&self) -> Result<(), Error> {
        self.0.checkpoint()
    }
}

/// The job at work: it beats, hears a stop, shows its progress, and lets the server know that it is there.
pub(super) struct Working<'a> {
    cx: &'a Context,
    outgoing: Outgoing,
}

impl Host for Working<'_> {
    fn tick(&self) -> Result<(), Error> {
        self.cx.checkpoint()?;
        self.outgoing.keep_alive(self)
    }

    fn moved(&self, files: u64, bytes: u64) {
        self.cx.progress(files, bytes);
    }

    fn doing(&self, what: &str) {
        self.cx.phase(what);
    }
}
