//! Packets of Oracle's network protocol, as far as a relay must know them: where one ends, what sort it is, and what a listener
//! says before it lets a client in. What is inside packets of data is the driver's affair.
//!
//! A packet begins with its length (two bytes until the server has accepted, four from then on), its sort in byte 4 and flags in
//! byte 5. The driver trusts lengths and sorts blindly, so they are checked here.

use bytes::{BufMut, Bytes, BytesMut};

/// Sorts of packets.
pub(super) const ACCEPT: u8 = 2;
pub(super) const REFUSE: u8 = 4;
pub(super) const REDIRECT: u8 = 5;
pub(super) const DATA: u8 = 6;
pub(super) const RESEND: u8 = 11;
const MARKER: u8 = 12;
const CONTROL: u8 = 14;

/// What the marker that interrupts a statement says.
const INTERRUPT: [u8; 3] = [1, 0, 3];

/// The header's length.
const HEADER: usize = 8;
/// No packet is longer: the greatest session data unit there is.
const LONGEST: usize = 2 << 20;
/// With [`RESEND`]: TLS begins anew on this connection.
const TLS_ANEW: u8 = 0x08;
/// In the flags of [`ACCEPT`]: the server insists on an encryption of its own making.
const NATIVE_ENCRYPTION: u8 = 0x10;

/// Bytes that are no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Foreign;

/// One packet, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet(Bytes);

impl Packet {
    pub(super) fn sort(&self) -> u8 {
        self.0[4]
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What follows the header.
    pub(super) fn body(&self) -> &[u8] {
        &self.0[HEADER..]
    }

    /// Whether the server wants TLS to begin anew before the client sends its request again.
    pub(super) fn renews_tls(&self) -> bool {
        self.sort() == RESEND && self.0[5] & TLS_ANEW != 0
    }

    /// The same request to send again, without the wish for a new TLS.
    pub(super) fn without_tls(&self) -> Packet {
        let mut bytes = BytesMut::from(self.bytes());
        bytes[5] &= !TLS_ANEW;
        Packet(bytes.freeze())
    }

    /// Whether this [`ACCEPT`] comes with the condition that everything be encrypted by the server's own means.
    pub(super) fn insists_on_encryption(&self) -> bool {
        let flags = self.body().get(14);
        self.sort() == ACCEPT && flags.is_some_and(|flags| flags & NATIVE_ENCRYPTION != 0)
    }

    /// Why the listener refuses: the number of its error, where it names one, and its words.
    pub(super) fn refusal(&self) -> (Option<u32>, String) {
        let words = self.body().get(4..).unwrap_or_default();
        let words = String::from_utf8_lossy(words).trim().to_owned();
        let number = |mark: &str| {
            let at = words.find(mark)? + mark.len();
            let digits = words[at..].split(')').next()?;
            digits.trim().parse::<u32>().ok().filter(|code| *code != 0)
        };
        (number("(ERR=").or_else(|| number("(CODE=")), words)
    }

    /// A packet of two-byte length.
    pub(super) fn narrow(sort: u8, body: &[u8]) -> Result<Packet, Foreign> {
        let length = u16::try_from(HEADER + body.len()).map_err(|_| Foreign)?;
        let mut bytes = BytesMut::with_capacity(usize::from(length));
        bytes.put_u16(length);
        bytes.put_slice(&[0, 0, sort, 0, 0, 0]);
        bytes.put_slice(body);
        Ok(Packet(bytes.freeze()))
    }

    /// The packet that asks the server to end what it does.
    pub(super) fn interrupt() -> Packet {
        let mut bytes = BytesMut::with_capacity(HEADER + INTERRUPT.len());
        bytes.put_u32(11);
        bytes.put_slice(&[MARKER, 0, 0, 0]);
        bytes.put_slice(&INTERRUPT);
        Packet(bytes.freeze())
    }
}

/// Cuts a stream into packets.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    /// What has come and is not cut yet.
    pub(super) rest: BytesMut,
    /// Lengths have four bytes.
    pub(super) wide: bool,
}

impl Cutter {
    /// The next packet that has come whole.
    pub(super) fn cut(&mut self) -> Result<Option<Packet>, Foreign> {
        let Some(header) = self.rest.get(..HEADER) else {
            return Ok(None);
        };
        let length = if self.wide {
            u32::from_be_bytes([header[0], header[1], header[2], header[3]])
        } else {
            u32::from(u16::from_be_bytes([header[0], header[1]]))
        };
        let shortest = match header[4] {
            1..=5 | RESEND | CONTROL => HEADER,
            DATA => HEADER + 2,
            MARKER => HEADER + INTERRUPT.len(),
            _ => return Err(Foreign),
        };
        let length = usize::try_from(length).map_err(|_| Foreign)?;
        if !(shortest..=LONGEST).contains(&length) {
            return Err(Foreign);
        }
        if self.rest.len() < length {
            return Ok(None);
        }
        Ok(Some(Packet(self.rest.split_to(length).freeze())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cutter(bytes: &[u8], wide: bool) -> Cutter {
        Cutter {
            rest: bytes.into(),
            wide,
        }
    }

    #[test]
    fn packets_are_cut_where_they_end() {
        let first = Packet::narrow(REFUSE, b"abc").unwrap();
        let mut bytes = first.bytes().to_vec();
        bytes.extend_from_slice(&first.bytes()[..5]);
        let mut cutter = cutter(&bytes, false);
        assert_eq!(cutter.cut().unwrap().unwrap().body(), b"abc");
        assert_eq!(cutter.cut(), Ok(None));
        let stop = Packet::interrupt();
        let mut wide = self::cutter(stop.bytes(), true);
        assert_eq!(wide.cut().unwrap().unwrap().body(), INTERRUPT);
    }

    #[test]
    fn what_is_no_packet_is_told() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request"[..],
            &[0, 0, 0, 0, DATA, 0, 0, 0],
            &[0, 9, 0, 0, DATA, 0, 0, 0, 0],
            &[0, 10, 0, 0, MARKER, 0, 0, 0, 1, 0],
            &[0, 8, 0, 0, 99, 0, 0, 0],
        ] {
            assert_eq!(cutter(bytes, false).cut(), Err(Foreign), "{bytes:?}");
        }
        assert_eq!(
            cutter(&[255, 0, 0, 0, DATA, 0, 0, 0], true).cut(),
            Err(Foreign)
        );
    }

    #[test]
    fn a_refusal_names_its_number_or_none() {
        let of = |text: &str| {
            let body = [b"\x22\0\0\0", text.as_bytes()].concat();
            Packet::narrow(REFUSE, &body).unwrap().refusal().0
        };
        let said =
            "(DESCRIPTION=(TMP=)(VSNNUM=0)(ERR=12514)(ERROR_STACK=(ERROR=(CODE=12514)(EMFI=4))))";
        assert_eq!(of(said), Some(12514));
        assert_eq!(of("(ERR=0)(CODE=12505)"), Some(12505));
        assert_eq!((of("(ERR=abc)"), of("")), (None, None));
    }

    #[test]
    fn conditions_of_the_server_are_seen() {
        let accept = |flags| {
            let mut body = vec![0; 24];
            body[14] = flags;
            Packet::narrow(ACCEPT, &body)
                .unwrap()
                .insists_on_encryption()
        };
        assert!(accept(0x1d) && !accept(0x4d));
        let mut bytes = BytesMut::from(Packet::narrow(RESEND, b"").unwrap().bytes());
        bytes[5] = TLS_ANEW | 1;
        let packet = Packet(bytes.freeze());
        assert!(packet.renews_tls() && !packet.without_tls().renews_tls());
        assert_eq!(packet.without_tls().bytes()[5], 1);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes: Vec<u8>, wide: bool) {
            let mut cutter = cutter(&bytes, wide);
            while let Ok(Some(packet)) = cutter.cut() {
                prop_assert_ne!(packet.refusal().0, Some(0));
                prop_assert!(packet.bytes().len() >= HEADER);
            }
        }
    }
}
