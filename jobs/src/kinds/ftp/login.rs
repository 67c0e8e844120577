//! How a session comes about: connection, TLS, login, and what the server can do.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use suppaftp::types::FileType;
use suppaftp::{FtpError, FtpResult, RustlsConnector, RustlsFtpStream, Status};

use super::data::{PIECE, tick};
use super::dial::dial;
use super::fault::{Fault, Result};
use super::link::Link;
use super::params::{Listing, Mode};
use super::session::{Session, stopped_or};
use super::swift::Ahead;
use crate::context::Context;
use crate::error::Error;

impl Session {
    /// Connects and logs in.
    pub(super) fn open(cx: &Context, link: &Link) -> Result<Session> {
        let first = Session::connect(cx, link, false);
        let refused = |fault: &Fault| link.guard.is_some() && is_version(fault);
        let (ftp, number) = match first {
            Err(fault) if refused(&fault) => Session::connect(cx, link, true)?,
            other => other?,
        };
        let mut session = Session {
            ftp,
            features: HashSet::new(),
            base: String::new(),
            at: None,
            opener: None,
            opened: false,
            ahead: Ahead::default(),
            flexible: link.mode == Mode::Auto,
            timeout: link.timeout,
            number,
            cuts: Arc::clone(&link.cuts),
            broken: false,
            heard: Instant::now(),
            piece: vec![0; link.pace.portion(PIECE)],
            plain_lists: link.listing == Listing::List,
            facts_chosen: false,
            offset: None,
        };
        session.login(cx, link)?;
        Ok(session)
    }

    fn connect(cx: &Context, link: &Link, newest: bool) -> Result<(RustlsFtpStream, u64)> {
        let action = format!("connect to {}", link.place());
        let mut last = io::Error::new(ErrorKind::NotFound, "its name has no address");
        for address in link.addresses(cx)? {
            let step = cx.step("connect", link.timeout + Duration::from_secs(5));
            let stream = dial(address, link.timeout, cx.stop());
            drop(step);
            cx.checkpoint()?;
            match stream {
                Ok(stream) => return Session::greet(cx, link, stream, newest),
                Err(error) => last = error,
            }
        }
        Err(Fault::broken(&action, last))
    }

    /// The greeting, and TLS where it is wanted.
    fn greet(
        cx: &Context,
        link: &Link,
        stream: TcpStream,
        newest: bool,
    ) -> Result<(RustlsFtpStream, u64)> {
        let action = format!("connect to {}", link.place());
        let limits = stream
            .set_read_timeout(Some(link.timeout))
            .and_then(|()| stream.set_write_timeout(Some(link.timeout)))
            .and_then(|()| stream.try_clone());
        let number = link
            .cuts
            .enter(limits.map_err(|error| Fault::broken(&action, error))?);
        let step = cx.step(
            "greet the server",
            link.timeout * 3 + Duration::from_secs(5),
        );
        let greeted = Session::secure(cx, link, stream, newest);
        drop(step);
        greeted.map(|ftp| (ftp, number)).map_err(|error| {
            link.cuts.leave(number);
            stopped_or(cx, Fault::of(&action, error))
        })
    }

    fn secure(
        cx: &Context,
        link: &Link,
        stream: TcpStream,
        newest: bool,
    ) -> FtpResult<RustlsFtpStream> {
        let (limit, stop) = (link.timeout, cx.stop().clone());
        let mut ftp = RustlsFtpStream::connect_with_stream(stream)?.passive_stream_builder(
            move |address: SocketAddr| {
                let stream = dial(address, limit, &stop).map_err(FtpError::ConnectionError)?;
                tick(&stream).map_err(FtpError::ConnectionError)?;
                Ok(stream)
            },
        );
        if link.mode == Mode::Active {
            ftp = ftp.active_mode(limit);
        }
        let Some(guard) = &link.guard else {
            return Ok(ftp);
        };
        let config = guard
            .config(newest)
            .map_err(|error| FtpError::SecureError(error.chain()))?;
        ftp.into_secure(RustlsConnector::from(config), &link.host)
    }

    fn login(&mut self, cx: &Context, link: &Link) -> Result<()> {
        let action = format!("log in to {} as {}", link.place(), link.user);
        let (user, password) = (link.user.as_str(), link.password.as_str());
        self.ftp.set_encoding(link.words);
        self.ask(cx, &action, |ftp| ftp.login(user, password))?;
        self.features = self.ask(cx, &action, features)?;
        if link.words.0 == encoding_rs::UTF_8 && self.can("UTF8") {
            // a server that speaks nothing else may refuse to be told so
            let _fine = self.lenient(cx, "ask for UTF-8", |ftp| ftp.opts("UTF8", Some("ON")))?;
        }
        self.ask(cx, "ask for binary transfers", |ftp| {
            ftp.transfer_type(FileType::Binary)
        })?;
        self.base = self.ask(cx, "ask for the folder", RustlsFtpStream::pwd)?;
        self.choose_mode(link);
        Ok(())
    }

    fn choose_mode(&mut self, link: &Link) {
        let v6 = self
            .ftp
            .get_ref()
            .peer_addr()
            .is_ok_and(|peer| peer.is_ipv6());
        let mode = match link.mode {
            Mode::Auto if v6 || self.can("EPSV") => suppaftp::Mode::ExtendedPassive,
            Mode::Extended => suppaftp::Mode::ExtendedPassive,
            Mode::Auto | Mode::Passive => suppaftp::Mode::Passive,
            Mode::Active => suppaftp::Mode::Active,
        };
        self.opener = match mode {
            suppaftp::Mode::ExtendedPassive => Some("EPSV"),
            suppaftp::Mode::Passive => Some("PASV"),
            suppaftp::Mode::Active => None,
        };
        // what a server says of its address may be wrong, or somebody else's: data come from whom the commands go to
        self.ftp.set_passive_nat_workaround(true);
        self.ftp.set_mode(mode);
    }
}

/// Whether a server did not like the version of TLS.
fn is_version(fault: &Fault) -> bool {
    let Error::Unreachable {
        source: Some(source),
        ..
    } = &fault.error
    else {
        return false;
    };
    let inner = source
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    matches!(
        inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()),
        Some(
            rustls::Error::AlertReceived(
                rustls::AlertDescription::ProtocolVersion
                    | rustls::AlertDescription::HandshakeFailure
            ) | rustls::Error::PeerIncompatible(_)
        )
    )
}

/// The words that the lines of FEAT begin with. A server that does not know the command has none.
fn features(ftp: &mut RustlsFtpStream) -> FtpResult<HashSet<String>> {
    // no reply is expected, so that one of several lines is read to its end before it is handed back
    let body = match ftp.custom_command("FEAT", &[]) {
        Ok(response) => response.body,
        Err(FtpError::UnexpectedResponse(response)) if response.status == Status::System => {
            response.body
        }
        Err(FtpError::UnexpectedResponse(response))
            if (500..=599).contains(&response.status.code()) =>
        {
            Vec::new()
        }
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&body).to_ascii_uppercase();
    let words = text
        .lines()
        .filter(|line| line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next());
    Ok(words.map(str::to_owned).collect())
}
