//! Where a server is, and how what runs there is cancelled: on a connection of its own, until the server has taken note.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long a cancel request may take that nobody waits for otherwise.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a server listens.
#[derive(Debug, Clone)]
pub(super) enum Address {
    /// The name that its certificate must bear, and one of its addresses.
    Tcp(String, SocketAddr),
    /// The folder of the socket, and the port in its name.
    Unix(PathBuf, u16),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(name, at) if *name == at.ip().to_string() => write!(f, "{at}"),
            Address::Tcp(name, at) => write!(f, "{name} ({at})"),
            Address::Unix(folder, port) => write!(f, "{}/.s.PGSQL.{port}", folder.display()),
        }
    }
}

/// What a cancel request needs.
pub(super) struct Key {
    pub(super) address: Address,
    pub(super) token: CancelToken,
    pub(super) tls: MakeRustlsConnect,
}

type Failed = Box<dyn StdError + Send + Sync>;

impl Key {
    /// Asks the server to end what runs; comes back when the server has taken note, so that the request cannot meet a
    /// later statement.
    pub(super) async fn cancel(&self) -> Result<(), Failed> {
        match &self.address {
            Address::Tcp(name, at) => {
                let stream = TcpStream::connect(at).await?.into_std()?;
                let rest = TcpStream::from_std(stream.try_clone()?)?;
                let mut tls = self.tls.clone();
                let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls, name)?;
                let stream = TcpStream::from_std(stream)?;
                self.token.cancel_query_raw(stream, tls).await?;
                until_closed(rest).await?;
            }
            Address::Unix(folder, port) => {
                let path = folder.join(format!(".s.PGSQL.{port}"));
                let stream = UnixStream::connect(path).await?.into_std()?;
                let rest = UnixStream::from_std(stream.try_clone()?)?;
                let stream = UnixStream::from_std(stream)?;
                self.token.cancel_query_raw(stream, NoTls).await?;
                until_closed(rest).await?;
            }
        }
        Ok(())
    }

    /// The same from any thread, on a runtime of its own.
    pub(super) fn cancel_now(&self) -> Result<(), Failed> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let within = async { tokio::time::timeout(PATIENCE, self.cancel()).await };
        match runtime.block_on(within) {
            Ok(ended) => ended,
            Err(_) => Err(Box::new(io::Error::from(io::ErrorKind::TimedOut))),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.address)
    }
}

/// The server closes the connection when it has signalled.
async fn until_closed(mut stream: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut rest = [0; 64];
    loop {
        match stream.read(&mut rest).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
