//! The line to the server: a relay between the driver, which calls a port of this machine, and the server.
//!
//! It is here because the driver alone waits for ever for a listener that says nothing, cannot be interrupted, knows no TLS but with
//! the certificates that it carries itself, and breaks down at bytes that are no packets. The relay passes whole packets both ways and
//! changes nothing but the address of a redirect. One thread, one small runtime; both end with the connection.

use super::fault::End;
use super::frame::{ACCEPT, Cutter, DATA, Foreign, Packet, REDIRECT, REFUSE};
use super::gate::{Duty, Gate};
use super::redirect::Redirect;
use crate::Host;
use futures_util::future::{Either, pending, select};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The usual ports of a listener, without TLS and with it.
const PORT: u16 = 1521;
const TLS_PORT: u16 = 2484;

/// A relay at work.
#[derive(Debug)]
pub(super) struct Wire {
    /// The port of this machine that the driver calls.
    pub(super) port: u16,
    gate: Arc<Gate>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    /// Calls the server, and waits for nothing but that it takes the call. The gate's patience counts.
    pub(super) fn lay(
        host: &Host,
        tls: Option<Arc<ClientConfig>>,
        gate: Arc<Gate>,
    ) -> Result<Wire, End> {
        let (tell, told) = mpsc::channel();
        let (host, shared) = (host.clone(), Arc::clone(&gate));
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return gate.cut(error.into()),
            };
            runtime.block_on(relay(&host, tls.as_ref(), &gate, &tell));
            // a name that is still being looked up is not waited for
            runtime.shutdown_background();
            drop(tell);
        };
        let thread = std::thread::Builder::new()
            .name("oracle-wire".to_owned())
            .spawn(work)?;
        let mut wire = Wire {
            port: 0,
            gate: shared,
            thread: Some(thread),
        };
        match told.recv() {
            Ok(port) => wire.port = port,
            Err(mpsc::RecvError) => return Err(wire.gate.end().unwrap_or(End::Closed)),
        }
        Ok(wire)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.gate.cut(End::Closed);
        let ended = self.thread.take().map(JoinHandle::join);
        if let Some(Err(_)) = ended {
            log::debug!("the relay to an Oracle server broke down");
        }
    }
}

async fn relay(
    host: &Host,
    tls: Option<&Arc<ClientConfig>>,
    gate: &Gate,
    tell: &mpsc::Sender<u16>,
) {
    let (stop, stops) = unbounded_channel();
    let carried = carry(host, tls, gate, tell, stops);
    select(pin!(carried), pin!(watch(gate, &stop))).await;
}

/// Hands on requests to stop, until the line is to be cut.
async fn watch(gate: &Gate, stop: &UnboundedSender<()>) {
    while gate.next().await == Duty::Stop {
        if stop.send(()).is_err() {
            return;
        }
    }
}

/// Carries packets until the line ends. Why it ended is known before the driver sees that it did.
async fn carry(
    host: &Host,
    tls: Option<&Arc<ClientConfig>>,
    gate: &Gate,
    tell: &mpsc::Sender<u16>,
    stops: UnboundedReceiver<()>,
) {
    let mut pump = None;
    match try_carry(host, tls, gate, tell, stops, &mut pump).await {
        Ok(never) => match never {},
        Err(end) => gate.cut(end),
    }
}

async fn try_carry(
    host: &Host,
    tls: Option<&Arc<ClientConfig>>,
    gate: &Gate,
    tell: &mpsc::Sender<u16>,
    mut stops: UnboundedReceiver<()>,
    held: &mut Option<Pump>,
) -> Result<std::convert::Infallible, End> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    let mut host = host.clone();
    let mut line = Line::dial(&host, tls).await?;
    if tell.send(port).is_err() {
        return Err(End::Closed);
    }
    loop {
        let (client, _) = listener.accept().await?;
        client.set_nodelay(true)?;
        let pump = held.insert(Pump::new(client, port));
        let redirect = loop {
            let passed = match &mut line {
                Line::Plain(server) => pump.run(server, gate, &mut stops).await?,
                Line::Secret(server) => pump.run(&mut **server, gate, &mut stops).await?,
            };
            match passed {
                Passed::TlsAnew(packet) => {
                    line = line.renew(&host, tls).await?;
                    pump.client.write_all(packet.bytes()).await?;
                }
                Passed::On(redirect) => break redirect,
            }
        };
        if redirect.tls != tls.is_some() {
            return Err(End::OtherTls(redirect.tls));
        }
        host = redirect.host;
        line = Line::dial(&host, tls).await?;
    }
}

/// The connection to the server.
enum Line {
    Plain(TcpStream),
    Secret(Box<TlsStream<TcpStream>>),
}

impl Line {
    /// Tries each address of the host.
    async fn dial(host: &Host, tls: Option<&Arc<ClientConfig>>) -> Result<Line, End> {
        let usual = if tls.is_some() { TLS_PORT } else { PORT };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for at in lookup_host((host.name.as_str(), host.port.unwrap_or(usual))).await? {
            match call(at).await {
                Ok(stream) => return Line::protect(stream, host, tls).await,
                Err(error) => last = error,
            }
        }
        Err(last.into())
    }

    async fn protect(
        stream: TcpStream,
        host: &Host,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Line, End> {
        let Some(config) = tls else {
            return Ok(Line::Plain(stream));
        };
        let name = ServerName::try_from(host.name.clone())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "no name for TLS"))?;
        let connector = TlsConnector::from(Arc::clone(config));
        let secret = connector.connect(name, stream).await?;
        Ok(Line::Secret(Box::new(secret)))
    }

    /// TLS begins anew: the listener has handed the connection to the process that serves it.
    async fn renew(self, host: &Host, tls: Option<&Arc<ClientConfig>>) -> Result<Line, End> {
        match self {
            Line::Plain(_) => Err(End::Foreign),
            Line::Secret(secret) => Line::protect(secret.into_inner().0, host, tls).await,
        }
    }
}

async fn call(at: SocketAddr) -> io::Result<TcpStream> {
    let socket = match at {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // a server that vanished without a word is noticed also without a statement timeout
    socket.set_keepalive(true)?;
    socket.set_nodelay(true)?;
    socket.connect(at).await
}

/// Why packets stop to pass for now.
enum Passed {
    /// TLS begins anew, then this packet goes to the driver.
    TlsAnew(Packet),
    /// The driver calls again, for another server.
    On(Redirect),
}

/// What a pump waits for.
enum Event {
    /// Bytes of the driver.
    Sent,
    /// Bytes of the server.
    Answered,
    Stop,
}

/// Packets between the driver and one server.
struct Pump {
    client: TcpStream,
    port: u16,
    sent: Cutter,
    answered: Cutter,
    /// The server has got all of a request and said nothing yet: it may be interrupted.
    waiting: bool,
    /// The next packet of data says where to go.
    redirected: bool,
}

impl Pump {
    fn new(client: TcpStream, port: u16) -> Self {
        Pump {
            client,
            port,
            sent: Cutter::default(),
            answered: Cutter::default(),
            waiting: false,
            redirected: false,
        }
    }

    async fn run<S>(
        &mut self,
        server: &mut S,
        gate: &Gate,
        stops: &mut UnboundedReceiver<()>,
    ) -> Result<Passed, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            match self.next(server, stops).await? {
                Event::Sent => {
                    while let Some(packet) = self.sent.cut()? {
                        server.write_all(packet.bytes()).await?;
                        self.waiting = true;
                    }
                }
                Event::Answered => {
                    while let Some(packet) = self.answered.cut()? {
                        self.waiting = false;
                        if let Some(passed) = self.answer(packet).await? {
                            return Ok(passed);
                        }
                    }
                }
                // one that comes too late is not meant for the next statement
                Event::Stop if gate.wants_stop() => {
                    server.write_all(Packet::interrupt().bytes()).await?;
                    gate.told();
                }
                Event::Stop => {}
            }
            server.flush().await?;
        }
    }

    /// Waits for bytes of either side, or for a request to stop where that can be heard.
    async fn next<S>(
        &mut self,
        server: &mut S,
        stops: &mut UnboundedReceiver<()>,
    ) -> Result<Event, End>
    where
        S: AsyncRead + Unpin,
    {
        let waiting = self.waiting;
        let sent = pin!(self.client.read_buf(&mut self.sent.rest));
        let answered = pin!(server.read_buf(&mut self.answered.rest));
        let stop = pin!(async {
            match waiting {
                true => stops.recv().await,
                false => pending().await,
            }
        });
        let (read, event, end) = match select(select(sent, answered), stop).await {
            Either::Left((Either::Left((read, _)), _)) => (read, Event::Sent, End::Closed),
            Either::Left((Either::Right((read, _)), _)) => (read, Event::Answered, End::Hung),
            Either::Right(_) => return Ok(Event::Stop),
        };
        match read? {
            0 => Err(end),
            _ => Ok(event),
        }
    }

    /// Passes a packet of the server on, or does what it says.
    async fn answer(&mut self, packet: Packet) -> Result<Option<Passed>, End> {
        match packet.sort() {
            REFUSE => {
                let (code, words) = packet.refusal();
                return Err(End::Refused(code, words));
            }
            ACCEPT if packet.insists_on_encryption() => return Err(End::Encryption),
            ACCEPT => {
                self.sent.wide = true;
                self.answered.wide = true;
            }
            REDIRECT => {
                self.redirected = true;
                return Ok(None);
            }
            DATA if std::mem::take(&mut self.redirected) => {
                let data = packet.body().get(2..).unwrap_or_default();
                let redirect = Redirect::read(data).ok_or(Foreign)?;
                let data = redirect.through(self.port);
                let length = u16::try_from(data.len()).map_err(|_| Foreign)?;
                let first = Packet::narrow(REDIRECT, &length.to_be_bytes())?;
                let second = Packet::narrow(DATA, &[&[0, 0], data.as_slice()].concat())?;
                self.client.write_all(first.bytes()).await?;
                self.client.write_all(second.bytes()).await?;
                return Ok(Some(Passed::On(redirect)));
            }
            _ if packet.renews_tls() => return Ok(Some(Passed::TlsAnew(packet.without_tls()))),
            _ => {}
        }
        self.client.write_all(packet.bytes()).await?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(60);
    const ACCEPTED: &[u8] = &[0, 32, 0, 0, ACCEPT, 0, 0, 0];
    /// A packet of data with a length of four bytes.
    const WIDE: &[u8] = &[0, 0, 0, 11, DATA, 0, 0, 0, 0, 0, b'?'];

    fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// A line over which a server has accepted: relay, gate, the driver's end and the server's.
    fn line() -> (Wire, Arc<Gate>, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = Host {
            name: "127.0.0.1".to_owned(),
            port: Some(listener.local_addr().unwrap().port()),
        };
        let gate = Arc::new(Gate::new(Duration::ZERO));
        gate.begin_or_cut(PATIENCE);
        let wire = Wire::lay(&host, None, Arc::clone(&gate)).unwrap();
        let mut driver = TcpStream::connect(("127.0.0.1", wire.port)).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let request = Packet::narrow(1, b"hello").unwrap();
        driver.write_all(request.bytes()).unwrap();
        assert_eq!(read(&mut server, 13), request.bytes());
        let accepted = [ACCEPTED, &[0; 24]].concat();
        server.write_all(&accepted).unwrap();
        assert_eq!(read(&mut driver, 32), accepted);
        gate.rest();
        (wire, gate, driver, server)
    }

    #[test]
    fn a_statement_is_interrupted_between_packets() {
        let (_wire, gate, mut driver, mut server) = line();
        gate.begin();
        driver.write_all(&WIDE[..6]).unwrap();
        gate.cancel();
        driver.write_all(&WIDE[6..]).unwrap();
        assert_eq!(read(&mut server, WIDE.len()), WIDE);
        assert_eq!(read(&mut server, 11), Packet::interrupt().bytes());
        server.write_all(WIDE).unwrap();
        assert_eq!(read(&mut driver, WIDE.len()), WIDE);
        assert!(gate.rest());
        // nothing of it reaches the next one
        gate.begin();
        driver.write_all(WIDE).unwrap();
        assert_eq!(read(&mut server, WIDE.len()), WIDE);
        server.write_all(WIDE).unwrap();
        assert_eq!(read(&mut driver, WIDE.len()), WIDE);
        assert!(!gate.rest() && gate.end().is_none());
    }

    #[test]
    fn a_server_that_does_not_even_stop_is_cut_off() {
        let (_wire, gate, mut driver, mut server) = line();
        gate.limit(Duration::from_millis(100));
        gate.begin();
        driver.write_all(WIDE).unwrap();
        read(&mut server, WIDE.len() + 11);
        driver.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(driver.read(&mut [0; 1]).unwrap(), 0);
        assert!(matches!(gate.end(), Some(End::Silent)));
        assert_eq!(gate.verdict(), crate::ErrorKind::Timeout);
    }

    #[test]
    fn bytes_that_are_no_packets_do_not_pass() {
        let (_wire, gate, mut driver, mut server) = line();
        gate.begin();
        driver.write_all(WIDE).unwrap();
        read(&mut server, WIDE.len());
        server.write_all(&[0, 0, 0, 0, DATA, 0, 0, 0]).unwrap();
        driver.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(driver.read(&mut [0; 1]).unwrap(), 0);
        assert!(matches!(gate.end(), Some(End::Foreign)));
    }
}
