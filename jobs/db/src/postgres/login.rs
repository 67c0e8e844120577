//! From a socket to a session: start-up, password, settings.

use super::fault::Trouble;
use super::wire::{Key, Wire, open, put_text};
use crate::net::{Address, Guard, Watch};
use crate::{Options, Url};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A session on one host, ready for statements.
pub(super) fn log_in(
    url: &Url,
    options: &Options,
    guard: &Guard,
    address: &Address,
    busy: Duration,
) -> Result<Wire, Trouble> {
    let timeout = options.connect_timeout;
    let socket = open(address, guard, timeout)?;
    let key = Key {
        address: address.clone(),
        guard: guard.clone(),
        timeout,
        pid: 0,
        secret: Vec::new(),
    };
    let mut wire = Wire::new(socket, key, Arc::new(Watch::new(options.statement_timeout)));
    let user = url.user.as_deref().unwrap_or_default();
    let database = if url.database.is_empty() {
        user
    } else {
        &url.database
    };
    wire.put(0, |out| {
        out.extend_from_slice(&196_608_u32.to_be_bytes());
        for (name, value) in [
            ("user", user),
            ("database", database),
            ("client_encoding", "UTF8"),
            ("application_name", &options.program),
        ] {
            put_text(out, name);
            put_text(out, value);
        }
        out.push(0);
    });
    wire.flush()?;
    authenticate(&mut wire, user, url.password.as_deref())?;
    greet(&mut wire)?;
    // after the start-up, as poolers between refuse what they do not know there
    wire.put_query(&format!(
        "SET DateStyle = 'ISO'; SET TimeZone = 'UTC'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 1; \
         SET bytea_output = 'hex'; SET standard_conforming_strings = on; SET lock_timeout = {}",
        busy.as_millis().clamp(1, 2_147_483_647)
    ));
    wire.flush()?;
    wire.settle(|_, _| {})?;
    Ok(wire)
}

fn authenticate(wire: &mut Wire, user: &str, password: Option<&str>) -> Result<(), Trouble> {
    let mut scram: Option<ScramSha256> = None;
    loop {
        let message = wire.next()?;
        let body = wire.body(message.body).to_vec();
        let (Some(head), b'R') = (body.first_chunk::<4>(), message.tag) else {
            return Err(broken("an answer that is none to a login"));
        };
        let data = &body[4..];
        let secret =
            || password.ok_or_else(|| refused("the server asks for a password, the URL has none"));
        match u32::from_be_bytes(*head) {
            0 => return Ok(()),
            3 => {
                let password = secret()?;
                wire.put(b'p', |out| put_text(out, password));
            }
            5 => {
                let salt = *data
                    .first_chunk::<4>()
                    .ok_or_else(|| broken("a salt of the wrong length"))?;
                let hash = md5_hash(user.as_bytes(), secret()?.as_bytes(), salt);
                wire.put(b'p', |out| put_text(out, &hash));
            }
            10 => {
                if !data
                    .split(|byte| *byte == 0)
                    .any(|name| name == SCRAM_SHA_256.as_bytes())
                {
                    return Err(broken("a way to log in that is not known here"));
                }
                let begun = ScramSha256::new(secret()?.as_bytes(), ChannelBinding::unsupported());
                wire.put(b'p', |out| {
                    put_text(out, SCRAM_SHA_256);
                    out.extend_from_slice(
                        &u32::try_from(begun.message().len())
                            .unwrap_or(0)
                            .to_be_bytes(),
                    );
                    out.extend_from_slice(begun.message());
                });
                scram = Some(begun);
            }
            11 => {
                let scram = scram
                    .as_mut()
                    .ok_or_else(|| broken("a login that answers before it is asked"))?;
                scram.update(data)?;
                wire.put(b'p', |out| out.extend_from_slice(scram.message()));
            }
            12 => scram
                .as_mut()
                .ok_or_else(|| broken("a login that ends before it begins"))?
                .finish(data)?,
            _ => return Err(broken("a way to log in that is not known here")),
        }
        wire.flush()?;
    }
}

/// Takes what the server tells of itself until it is ready.
fn greet(wire: &mut Wire) -> Result<(), Trouble> {
    loop {
        let message = wire.next()?;
        let body = wire.body(message.body);
        match message.tag {
            b'K' => {
                let (pid, secret) = body
                    .split_first_chunk::<4>()
                    .ok_or_else(|| broken("a key without a process"))?;
                let (pid, secret) = (u32::from_be_bytes(*pid), secret.to_vec());
                let known = (*wire.key).clone();
                wire.key = Arc::new(Key {
                    pid,
                    secret,
                    ..known
                });
            }
            b'Z' => return Ok(()),
            _ => return Err(broken("an answer that is none to a login")),
        }
    }
}

fn broken(why: &'static str) -> Trouble {
    Trouble::Broken(io::Error::new(io::ErrorKind::InvalidData, why))
}

/// Our own refusal, in the server's words for it: invalid_authorization_specification.
fn refused(why: &str) -> Trouble {
    Trouble::Refused(Box::new(super::fault::Complaint {
        code: "28000".to_owned(),
        message: why.to_owned(),
        ..Default::default()
    }))
}
