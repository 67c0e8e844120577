//! Where a listener sends a client on to: the listeners of a cluster name the node that is to serve it. Pure text.

use crate::Host;

/// Another place to call, and what to say there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redirect {
    pub(super) host: Host,
    /// The place speaks TLS.
    pub(super) tls: bool,
    /// What the client is to say there, after the address and a zero byte.
    said: Vec<u8>,
}

impl Redirect {
    /// Reads `(ADDRESS=(PROTOCOL=tcp)(HOST=node2)(PORT=1521))`, a zero byte, and the words to say there; `None` if it is something else.
    pub(super) fn read(data: &[u8]) -> Option<Redirect> {
        let zero = data.iter().position(|byte| *byte == 0)?;
        let address = std::str::from_utf8(&data[..zero]).ok()?;
        let name = part(address, "HOST")?;
        let name = name.trim_start_matches('[').trim_end_matches(']');
        Some(Redirect {
            host: Host {
                name: name.to_owned(),
                port: Some(part(address, "PORT")?.parse().ok()?),
            },
            tls: part(address, "PROTOCOL")?.eq_ignore_ascii_case("tcps"),
            said: data[zero..].to_vec(),
        })
    }

    /// The same, with this port of the own machine as the place.
    pub(super) fn through(&self, port: u16) -> Vec<u8> {
        let mut data =
            format!("(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT={port}))").into_bytes();
        data.extend_from_slice(&self.said);
        data
    }
}

/// The value of `(NAME=value)`.
fn part<'a>(address: &'a str, name: &str) -> Option<&'a str> {
    let upper = address.to_ascii_uppercase();
    let at = upper.find(&format!("({name}="))? + name.len() + 2;
    let value = address[at..].split(')').next()?.trim();
    Some(value).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_read_and_replaced() {
        let data = b"(ADDRESS=(Protocol=TCP)(host=node2.example)(PORT=1522))\0(DESCRIPTION=(CONNECT_DATA=))";
        let redirect = Redirect::read(data).unwrap();
        assert_eq!(
            (
                redirect.host.name.as_str(),
                redirect.host.port,
                redirect.tls
            ),
            ("node2.example", Some(1522), false)
        );
        assert_eq!(
            String::from_utf8_lossy(&redirect.through(4000)),
            "(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=4000))\0(DESCRIPTION=(CONNECT_DATA=))"
        );
        let six = b"(ADDRESS=(PROTOCOL=tcps)(HOST=[::1])(PORT=2484))\0";
        let redirect = Redirect::read(six).unwrap();
        assert!(redirect.tls && redirect.host.name == "::1");
    }

    #[test]
    fn anything_else_is_no_place() {
        for data in [
            &b""[..],
            b"(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1))",
            b"(ADDRESS=(PROTOCOL=tcp)(HOST=)(PORT=1))\0",
            b"(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=99999))\0",
            b"\xff\xfe\0",
        ] {
            assert_eq!(Redirect::read(data), None);
        }
    }
}
