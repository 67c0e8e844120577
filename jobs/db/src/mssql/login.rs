//! From a URL to a session: hosts in turn, TLS, password, settings.

use super::fault::{Trouble, fault};
use super::link::{Link, Wire};
use super::stop::Stopper;
use crate::{Error, ErrorKind, Host, Options, Result, Tls, Url};
use std::sync::Arc;
use std::time::Duration;
use tiberius::error::Error as Driver;
use tiberius::{AuthMethod, Client, Config, EncryptionLevel};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_util::compat::TokioAsyncWriteCompatExt;

const PORT: u16 = 1433;
/// Larger packets than the usual 4,096 bytes halve the time of a load; what goes by TLS stays below one of its records.
const PACKET: u32 = 16_000;
/// What servers take.
const PACKETS: std::ops::RangeInclusive<u32> = 512..=32_767;
/// How often a server may send us on to another one.
const MOVES: usize = 3;

/// A session with the first of the URL's hosts that takes it, ready for statements.
pub(super) fn open(url: &Url, options: &Options, busy: Duration) -> Result<Link> {
    let plan = Plan::read(url, options)?;
    crate::tls::install_provider();
    url.first_host(|host| {
        enter(&plan, options, busy, host).map_err(|trouble| {
            let at = format!("connecting to {url} at {host}");
            fault(at, ErrorKind::Timeout, trouble)
        })
    })
}

/// What of the URL goes into every attempt.
struct Plan {
    user: String,
    password: String,
    database: String,
    tls: Tls,
    ca: Option<Vec<u8>>,
    packet: u32,
}

impl Plan {
    fn read(url: &Url, options: &Options) -> Result<Self> {
        let wrong = |why: &'static str| {
            Error::new(ErrorKind::Invalid, format!("connecting to {url}")).because(why)
        };
        let user = url
            .user
            .clone()
            .ok_or_else(|| wrong("the URL names no account"))?;
        let packet = match url.param("packet-size") {
            None => PACKET,
            Some(text) => text
                .parse()
                .ok()
                .filter(|size| PACKETS.contains(size))
                .ok_or_else(|| wrong("packet-size is a number from 512 to 32767"))?,
        };
        let ca = url.param("ca").map(|ca| {
            let path = options.base.join(ca);
            std::fs::read(&path).map_err(|error| {
                let action = format!("reading certificates in {}", path.display());
                Error::new(ErrorKind::Invalid, action).because(error)
            })
        });
        Ok(Plan {
            user,
            password: url.password.clone().unwrap_or_default(),
            database: url.database.clone(),
            tls: url.tls,
            ca: ca.transpose()?,
            packet,
        })
    }

    fn config(&self, host: &str, port: u16, options: &Options) -> Config {
        let mut config = Config::new();
        config.host(host);
        config.port(port);
        if !self.database.is_empty() {
            config.database(&self.database);
        }
        config.authentication(AuthMethod::sql_server(&self.user, &self.password));
        config.application_name(&options.program);
        config.packet_size(self.packet);
        config.encryption(match self.tls {
            Tls::None => EncryptionLevel::NotSupported,
            Tls::Prefer => EncryptionLevel::On,
            Tls::Require | Tls::Verify => EncryptionLevel::Required,
        });
        match (&self.ca, self.tls) {
            (Some(ca), Tls::Verify) => config.trust_cert_ca_bundle(ca.clone()),
            (None, Tls::Verify) => {}
            _ => config.trust_cert(),
        }
        // the deadlines are ours, also in words
        config.command_timeout(None);
        config.handshake_timeout(None);
        config
    }
}

fn reach(options: &Options) -> Duration {
    options.connect_timeout.max(Duration::from_millis(1))
}

fn enter(plan: &Plan, options: &Options, busy: Duration, host: &Host) -> Result<Link, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Trouble::Broken(ErrorKind::Other, error.into()))?;
    let client = reach_client(plan, options, host, &runtime)?;
    let stopper = Stopper::new(reach(options));
    let mut link = Link {
        runtime,
        client: Some(client),
        stopper: Arc::new(stopper),
    };
    link.say(&settings(busy))?;
    link.stopper.limit(options.statement_timeout);
    Ok(link)
}

fn reach_client(
    plan: &Plan,
    options: &Options,
    host: &Host,
    runtime: &Runtime,
) -> Result<Wire, Trouble> {
    let limit = reach(options);
    runtime.block_on(async {
        let entering = timeout(limit, async {
            let (mut name, mut port) = (host.name.clone(), host.port.unwrap_or(PORT));
            for _ in 0..MOVES {
                match greet(plan.config(&name, port, options)).await {
                    Err(Driver::Routing {
                        host: other,
                        port: its,
                    }) => (name, port) = (other, its),
                    greeted => return Ok(greeted?),
                }
            }
            let why = "servers send the connection on and on";
            Err(Trouble::Broken(ErrorKind::Other, why.into()))
        });
        entering.await.unwrap_or_else(|_| {
            let why = "no answer within the connect timeout";
            Err(Trouble::Broken(ErrorKind::Connect, why.into()))
        })
    })
}

async fn greet(config: Config) -> Result<Wire, Driver> {
    let socket = TcpStream::connect(config.get_addr()).await?;
    socket.set_nodelay(true)?;
    Client::connect(config, socket.compat_write()).await
}

/// What a session must be told for exact values, and for errors that undo no more than their statement.
fn settings(busy: Duration) -> String {
    let wait = i32::try_from(busy.as_millis()).unwrap_or(i32::MAX);
    format!(
        "SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON; \
         SET NUMERIC_ROUNDABORT, XACT_ABORT, IMPLICIT_TRANSACTIONS, NOCOUNT OFF; \
         SET LANGUAGE us_english; SET DATEFORMAT ymd; SET TEXTSIZE 2147483647; SET LOCK_TIMEOUT {wait}; \
         SET TRANSACTION ISOLATION LEVEL READ COMMITTED;"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;
    use std::time::Instant;

    fn refused(url: &str) -> Error {
        let options = Options {
            connect_timeout: Duration::from_millis(1500),
            ..Options::default()
        };
        let begun = Instant::now();
        let error = open(&Url::parse(url).unwrap(), &options, Duration::ZERO).unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        error
    }

    fn cause(error: &Error) -> String {
        std::error::Error::source(error)
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// A peer that does with its first connection what `act` says; its address.
    fn peer(act: impl FnOnce(std::net::TcpStream) + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || act(listener.accept().unwrap().0));
        format!("mssql://sa:hunter2@{address}/db")
    }

    #[test]
    fn a_port_that_nobody_listens_on() {
        let error = refused("mssql://sa:hunter2@127.0.0.1:1,[::1]:1/db");
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert!(
            error.is_transient() && error.to_string().contains("[::1]:1"),
            "{error}"
        );
    }

    #[test]
    fn a_peer_that_says_nothing() {
        let (kept, keep) = std::sync::mpsc::channel::<()>();
        let url = peer(move |stream| {
            // held open until the test is over
            keep.recv().ok();
            drop(stream);
        });
        let error = refused(&url);
        assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
        assert_eq!(cause(&error), "no answer within the connect timeout");
        drop(kept);
    }

    #[test]
    fn a_peer_that_speaks_nonsense() {
        let url = peer(|mut stream| {
            let mut asked = [0; 64];
            assert!(stream.read(&mut asked).unwrap() > 0);
            stream
                .write_all(b"220 ftp.example.org ready\r\n".repeat(20).as_slice())
                .unwrap();
        });
        let error = refused(&url);
        assert!(!cause(&error).is_empty(), "{error:?}");
    }

    #[test]
    fn a_peer_that_goes_away_after_its_first_answer() {
        let url = peer(|mut stream| {
            let mut asked = [0; 512];
            assert!(stream.read(&mut asked).unwrap() > 0);
            // a pre-login answer: version 16, no encryption
            let options = [
                0_u8, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 16, 0, 0, 0, 0, 0, 2,
            ];
            let mut answer = vec![4, 1, 0, 8 + 18, 0, 0, 1, 0];
            answer.extend_from_slice(&options);
            stream.write_all(&answer).unwrap();
        });
        let error = refused(&format!("{url}?tls=none"));
        assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
    }

    #[test]
    fn what_makes_no_sense_is_told_before_anything_is_sent() {
        for (url, word) in [
            ("mssql://127.0.0.1:1/db", "account"),
            (
                "mssql://sa:hunter2@127.0.0.1:1/db?packet-size=9",
                "packet-size",
            ),
            (
                "mssql://sa:hunter2@127.0.0.1:1/db?tls=verify&ca=/nowhere.pem",
                "No such file",
            ),
        ] {
            let error = refused(url);
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(cause(&error).contains(word), "{error:?}");
        }
    }
}
