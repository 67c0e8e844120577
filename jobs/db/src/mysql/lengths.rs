//! Numbers of variable length, and the texts behind them. Pure.
//! Format: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_dt_integers.html>.

/// Reads a number of variable length and steps over it; `None` for NULL's mark or where it breaks off.
pub(super) fn read_number(body: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = body.split_first()?;
    let size = match first {
        0..=0xfa => {
            *body = rest;
            return Some(u64::from(first));
        }
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        _ => return None,
    };
    let digits = rest.get(..size)?;
    *body = &rest[size..];
    Some(
        digits
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    )
}

/// Reads text of variable length and steps over it.
pub(super) fn read_text<'b>(body: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = usize::try_from(read_number(body)?).ok()?;
    let text = body.get(..length)?;
    *body = &body[length..];
    Some(text)
}

/// Writes a number of variable length.
pub(super) fn write_number(out: &mut Vec<u8>, number: usize) {
    let bytes = u64::try_from(number).unwrap_or(u64::MAX).to_le_bytes();
    match number {
        0..=0xfa => out.push(bytes[0]),
        0xfb..=0xffff => {
            out.push(0xfc);
            out.extend_from_slice(&bytes[..2]);
        }
        0x1_0000..=0xff_ffff => {
            out.push(0xfd);
            out.extend_from_slice(&bytes[..3]);
        }
        _ => {
            out.push(0xfe);
            out.extend_from_slice(&bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_lengths_come_back() {
        for number in [0, 250, 251, 65_535, 65_536, 16_777_215, 16_777_216, 1 << 40] {
            let mut out = Vec::new();
            write_number(&mut out, number);
            let mut rest = out.as_slice();
            assert_eq!(read_number(&mut rest), u64::try_from(number).ok());
            assert!(rest.is_empty());
            for end in 0..out.len() {
                assert_eq!(read_number(&mut &out[..end]), None);
            }
        }
        assert_eq!(read_text(&mut &b"\x05abc"[..]), None);
        assert_eq!(read_number(&mut &b"\xfb"[..]), None);
    }
}
