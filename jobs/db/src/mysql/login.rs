//! From a socket to a session: greeting, TLS, password, settings.

use super::auth::{proof, sealed};
use super::fault::{Complaint, Trouble, foreign};
use super::lengths::write_number;
use super::wire::{Stopper, Wire};
use crate::net::{Address, Guard, Socket, Watch};
use crate::{Options, Tls, Url};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Long passwords, long flags, database, LOCAL, protocol 4.1, transactions, secure authentication, several results also of
/// prepared statements, plug-ins of authentication.
const ABILITIES: u32 =
    0x1 | 0x4 | 0x80 | 0x200 | 0x2000 | 0x8000 | 0x2_0000 | 0x4_0000 | 0x8_0000 | 0x20_0000;
const WITH_DATABASE: u32 = 0x8;
const WITH_TLS: u32 = 0x800;
const CHARSET: u8 = 45;

/// Who logs in where.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) address: Address,
    pub(super) guard: Guard,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) database: String,
    pub(super) timeout: Duration,
}

/// What the server says first.
#[derive(Debug, Default, PartialEq, Eq)]
struct Greeting {
    thread: u32,
    abilities: u32,
    salt: Vec<u8>,
    plugin: String,
}

impl Login {
    pub(super) fn new(url: &Url, options: &Options, guard: &Guard, address: &Address) -> Self {
        Login {
            address: address.clone(),
            guard: guard.clone(),
            user: url.user.clone().unwrap_or_default(),
            password: url.password.clone().unwrap_or_default(),
            database: url.database.clone(),
            timeout: options.connect_timeout,
        }
    }

    /// A session, ready for statements.
    pub(super) fn open(&self, limit: Duration, busy: Duration) -> Result<Wire, Trouble> {
        let (mut wire, thread) = self.enter(Arc::new(Watch::new(limit)))?;
        // LOCK waits are counted in whole seconds; slow readers and slow makers of rows are no reason to hang up
        let seconds = busy.as_millis().div_ceil(1000).clamp(1, 1_000_000);
        let settings = format!(
            "SET NAMES utf8mb4, time_zone = '+00:00', autocommit = 1, innodb_lock_wait_timeout = {seconds}, \
             lock_wait_timeout = {seconds}, net_write_timeout = 3600, net_read_timeout = 3600, \
             sql_mode = CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'STRICT_ALL_TABLES', 'NO_AUTO_VALUE_ON_ZERO')"
        );
        wire.command(3, &[settings.as_bytes()])?;
        wire.done()?;
        let other = self.clone();
        wire.stopper = Arc::new(Stopper::new(move || {
            let stop = || -> Result<(), Trouble> {
                let (mut wire, _) = other.enter(Arc::default())?;
                wire.command(3, &[format!("KILL QUERY {thread}").as_bytes()])?;
                match wire.done() {
                    // 1094: the connection is gone, and its statement with it
                    Ok(_) | Err(Trouble::Refused(Complaint { code: 1094, .. })) => Ok(()),
                    Err(trouble) => Err(trouble),
                }
            };
            stop().map_err(|trouble| match trouble {
                Trouble::Broken(error) => error,
                Trouble::Refused(complaint) => io::Error::other(complaint),
                Trouble::Senseless(why) => io::Error::other(why),
            })
        }));
        Ok(wire)
    }

    fn enter(&self, watch: Arc<Watch>) -> Result<(Wire, u32), Trouble> {
        let mut wire = Wire::new(Socket::open(&self.address, self.timeout)?, watch);
        let packet = wire.answer()?;
        let greeting = Greeting::read(wire.body(&packet))
            .ok_or_else(|| foreign("a greeting that is not MySQL's"))?;
        let mut abilities = ABILITIES & (greeting.abilities | 0x1);
        if !self.database.is_empty() {
            abilities |= WITH_DATABASE;
        }
        let Address::Tcp(host, _) = &self.address else {
            self.authenticate(&mut wire, abilities, &greeting)?;
            return Ok((wire, greeting.thread));
        };
        if self.guard.tls != Tls::None {
            if greeting.abilities & WITH_TLS != 0 {
                abilities |= WITH_TLS;
                wire.send(&head(abilities))?;
                wire.socket.protect(&self.guard, host)?;
            } else if self.guard.tls != Tls::Prefer {
                return Err(
                    io::Error::new(io::ErrorKind::Unsupported, "the server offers no TLS").into(),
                );
            }
        }
        self.authenticate(&mut wire, abilities, &greeting)?;
        Ok((wire, greeting.thread))
    }

    fn authenticate(
        &self,
        wire: &mut Wire,
        abilities: u32,
        greeting: &Greeting,
    ) -> Result<(), Trouble> {
        let secret_line = wire.socket.is_tls() || wire.socket.is_unix();
        let (mut plugin, mut salt) = (greeting.plugin.clone(), greeting.salt.clone());
        // what is not known here may still be switched to something that is
        let first = proof(&plugin, &self.password, &salt, secret_line).unwrap_or_default();
        let mut answer = head(abilities);
        put_text(&mut answer, &self.user);
        write_number(&mut answer, first.len());
        answer.extend_from_slice(&first);
        if abilities & WITH_DATABASE != 0 {
            put_text(&mut answer, &self.database);
        }
        put_text(&mut answer, &plugin);
        wire.send(&answer)?;
        loop {
            let packet = wire.answer()?;
            let body = wire.body(&packet).to_vec();
            match *body.as_slice() {
                [0, ..] => {
                    return wire
                        .read_done(&packet)
                        .map(drop)
                        .ok_or_else(|| foreign("a torn answer to a login"));
                }
                [0xfe, ref rest @ ..] => {
                    let mut parts = rest.splitn(2, |byte| *byte == 0);
                    plugin = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
                    let data = parts.next().unwrap_or_default();
                    salt = data.strip_suffix(&[0]).unwrap_or(data).to_vec();
                    let again = proof(&plugin, &self.password, &salt, secret_line)
                        .ok_or_else(|| Trouble::Refused(unknown(&plugin)))?;
                    wire.send(&again)?;
                }
                // the server knows the password's hash by now
                [1, 3] => {}
                [1, 4] if secret_line => wire.send(&[self.password.as_bytes(), b"\0"].concat())?,
                [1, 4] => wire.send(&[2])?,
                [1, ref key @ ..] if plugin == "caching_sha2_password" => {
                    let sealed = sealed(&self.password, &salt, key)?;
                    wire.send(&sealed)?;
                }
                _ => return Err(foreign("an answer that is none to a login")),
            }
        }
    }
}

impl Greeting {
    fn read(body: &[u8]) -> Option<Self> {
        let rest = body.strip_prefix(&[10])?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        let rest = &rest[end + 1..];
        let (thread, rest) = rest.split_first_chunk::<4>()?;
        let (salt, rest) = rest.split_first_chunk::<8>()?;
        // filler, low abilities, character set, status, high abilities, length of the salt, filler
        let fixed = rest.first_chunk::<19>()?;
        let abilities = u32::from_le_bytes([fixed[1], fixed[2], fixed[6], fixed[7]]);
        let rest = &rest[19..];
        let more = usize::from(fixed[8])
            .saturating_sub(8)
            .max(13)
            .min(rest.len());
        let mut salt = salt.to_vec();
        salt.extend_from_slice(rest[..more].strip_suffix(&[0]).unwrap_or(&rest[..more]));
        let plugin = rest[more..]
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        Some(Greeting {
            thread: u32::from_le_bytes(*thread),
            abilities,
            salt,
            plugin: String::from_utf8_lossy(plugin).into_owned(),
        })
    }
}

fn head(abilities: u32) -> Vec<u8> {
    let mut head = abilities.to_le_bytes().to_vec();
    head.extend_from_slice(&(1_u32 << 30).to_le_bytes());
    head.push(CHARSET);
    head.extend_from_slice(&[0; 23]);
    head
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.split('\0').next().unwrap_or_default().as_bytes());
    out.push(0);
}

/// Our own refusal, in the server's number for it.
fn unknown(plugin: &str) -> Complaint {
    Complaint {
        code: 1045,
        message: format!("the account logs in by {plugin}, which is not known here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_greeting() {
        let mut body =
            b"\x0a5.5.5-10.11\0\x07\0\0\0abcdefgh\0\xfe\xf7\x2d\x02\0\xff\x81\x15".to_vec();
        body.extend_from_slice(&[0; 10]);
        body.extend_from_slice(b"ijklmnopqrst\0mysql_native_password\0");
        let greeting = Greeting::read(&body).unwrap();
        assert_eq!(
            (greeting.thread, greeting.salt.as_slice()),
            (7, &b"abcdefghijklmnopqrst"[..])
        );
        assert_eq!(
            (greeting.plugin.as_str(), greeting.abilities),
            ("mysql_native_password", 0x81ff_f7fe)
        );
        assert!(Greeting::read(&body[..30]).is_none() && Greeting::read(b"").is_none());
    }
}
