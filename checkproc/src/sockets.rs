//! Who a process's TCP sockets speak with, for the evidence of a hang.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Local and remote ends of the TCP sockets in a process's network namespace, by inode.
pub(crate) fn peers(pid: u32) -> HashMap<u64, String> {
    let read = |name| fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default();
    [read("tcp"), read("tcp6")]
        .iter()
        .flat_map(|table| table.lines().filter_map(parse))
        .collect()
}

/// A line of `/proc/net/tcp`: `sl local remote state … inode`.
fn parse(line: &str) -> Option<(u64, String)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, remote) = (address(fields.get(1)?)?, address(fields.get(2)?)?);
    let state = match *fields.get(3)? {
        "01" => "established",
        "02" => "connecting",
        "08" => "closed by the other side",
        "0A" => {
            return Some((
                fields.get(9)?.parse().ok()?,
                format!("tcp listening on {local}"),
            ));
        }
        _ => "closing",
    };
    Some((
        fields.get(9)?.parse().ok()?,
        format!("tcp {local} to {remote}, {state}"),
    ))
}

/// `0100007F:1F90`: the address as 32-bit words in the machine's byte order, the port as a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |n: usize| {
        u32::from_str_radix(address.get(n * 8..n * 8 + 8)?, 16)
            .ok()
            .map(u32::to_ne_bytes)
    };
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for n in 0..4 {
                bytes[n * 4..n * 4 + 4].copy_from_slice(&word(n)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    #[test]
    fn our_own_connection_is_found_by_its_inode() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", stream.as_raw_fd())).unwrap();
        let inode: u64 = link
            .to_str()
            .unwrap()
            .trim_matches(|c: char| !c.is_ascii_digit())
            .parse()
            .unwrap();
        let peers = peers(std::process::id());
        let expected = format!(
            "tcp {} to {}, established",
            stream.local_addr().unwrap(),
            stream.peer_addr().unwrap()
        );
        assert_eq!(peers.get(&inode), Some(&expected));
    }

    #[test]
    fn nonsense_is_passed_over() {
        assert_eq!(parse("sl local_address rem_address st"), None);
        assert_eq!(address("0100007F"), None);
        assert_eq!(address("üüüü:1"), None);
    }
}
