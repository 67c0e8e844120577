//! File names in the server's encoding. Names that have no form in it are not sent; names that are none in it are not taken.

use std::io;

use encoding_rs::Encoding;

/// The encoding of names on one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words(pub(super) &'static Encoding);

impl Words {
    /// What the server's bytes say, if they say anything in this encoding.
    pub(super) fn read(self, bytes: &[u8]) -> Option<String> {
        let text = self
            .0
            .decode_without_bom_handling_and_without_replacement(bytes)?;
        Some(text.into_owned())
    }
}

impl suppaftp::Encoding for Words {
    fn decode(&self, bytes: &[u8]) -> String {
        self.0.decode_without_bom_handling(bytes).0.into_owned()
    }

    fn encode(&self, text: &str) -> io::Result<Vec<u8>> {
        let (bytes, _, lossy) = self.0.encode(text);
        if lossy {
            let why = format!("the name has no form in {}", self.0.name());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(bytes.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use suppaftp::Encoding as _;

    #[test]
    fn gbk_goes_both_ways_and_nothing_is_lost() {
        let words = Words(encoding_rs::GBK);
        let bytes = words.encode("站号.csv").unwrap();
        assert_eq!(bytes, [0xd5, 0xbe, 0xba, 0xc5, b'.', b'c', b's', b'v']);
        assert_eq!(words.read(&bytes).as_deref(), Some("站号.csv"));
        assert_eq!(words.read(&[0xff, 0xff]), None);
        assert!(Words(encoding_rs::WINDOWS_1252).encode("站").is_err());
    }
}
