//! Compression of files: gzip and Zstandard, chosen by a name's ending, as streams.

use std::io::{self, Read, Write};

use flate2::Compression as Level;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Logarithm of the memory that a Zstandard stream may make its reader hold: 32 MiB, what levels up to 20 ask for.
const WINDOW: u32 = 25;

/// How a file's bytes are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952, `.gz`.
    Gzip,
    /// RFC 8878, `.zst`.
    Zstd,
}

impl Compression {
    /// What a name's ending says, and the name without that ending.
    #[must_use]
    pub fn of(name: &str) -> (Compression, &str) {
        if let Some(plain) = name.strip_suffix(".gz") {
            (Compression::Gzip, plain)
        } else if let Some(plain) = name.strip_suffix(".zst") {
            (Compression::Zstd, plain)
        } else {
            (Compression::None, name)
        }
    }

    /// What its files' names end with, dot included; empty for none.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
        }
    }

    /// Refuses what begins otherwise than such a stream. Nothing at all is left to the decompressor, which knows it for too short.
    fn recognize(self, head: &[u8]) -> io::Result<()> {
        let (known, name) = match self {
            Compression::None => return Ok(()),
            Compression::Gzip => (head.starts_with(&[0x1f, 0x8b]), "gzip"),
            // a frame, or one to be passed over
            Compression::Zstd => (
                head == [0x28, 0xb5, 0x2f, 0xfd] || matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18]),
                "Zstandard",
            ),
        };
        if known || head.is_empty() {
            return Ok(());
        }
        let reason = format!("it is not packed by {name}, as its name says");
        Err(io::Error::new(io::ErrorKind::InvalidData, reason))
    }

    /// Unpacks a stream. Several members or frames one after the other are one stream, as `cat a.gz b.gz` makes them.
    ///
    /// # Errors
    /// When the decompressor cannot be set up.
    pub fn unpack(self, input: Box<dyn Read>) -> io::Result<Box<dyn Read>> {
        let marked = Marked {
            input,
            head: None,
            compression: self,
        };
        Ok(match self {
            Compression::None => marked.input,
            Compression::Gzip => Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(
                64 << 10,
                marked,
            ))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(marked)?;
                decoder.window_log_max(WINDOW)?;
                Box::new(decoder)
            }
        })
    }
}

/// A packed stream that is refused in plain words if it does not begin as one.
struct Marked {
    input: Box<dyn Read>,
    /// What has been read ahead; `None` before the first reading.
    head: Option<Vec<u8>>,
    compression: Compression,
}

impl Read for Marked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let head = match &mut self.head {
            Some(head) => head,
            none => {
                let mut head = Vec::new();
                self.input.by_ref().take(4).read_to_end(&mut head)?;
                self.compression.recognize(&head)?;
                none.insert(head)
            }
        };
        if head.is_empty() {
            return self.input.read(buffer);
        }
        let count = head.len().min(buffer.len());
        buffer[..count].copy_from_slice(&head[..count]);
        head.drain(..count);
        Ok(count)
    }
}

/// A stream that packs what is written to it. The same input gives the same bytes: no time stamps, no host names.
pub enum Packer<W: Write> {
    /// Passes bytes on.
    None(W),
    /// gzip, level 6.
    Gzip(GzEncoder<W>),
    /// Zstandard, level 3, with a checksum.
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Packer<W> {
    /// Packs into `output`.
    ///
    /// # Errors
    /// When the compressor cannot be set up.
    pub fn new(output: W, compression: Compression) -> io::Result<Packer<W>> {
        Ok(match compression {
            Compression::None => Packer::None(output),
            Compression::Gzip => Packer::Gzip(GzEncoder::new(output, Level::default())),
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(output, 3)?;
                encoder.include_checksum(true)?;
                Packer::Zstd(encoder)
            }
        })
    }

    /// Writes the end of the packed stream and gives the output back.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Packer::None(output) => Ok(output),
            Packer::Gzip(encoder) => encoder.finish(),
            Packer::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Packer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Packer::None(output) => output.write(bytes),
            Packer::Gzip(encoder) => encoder.write(bytes),
            Packer::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Packer::None(output) => output.flush(),
            Packer::Gzip(encoder) => encoder.flush(),
            Packer::Zstd(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_and_unpacks_and_joins() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let mut packed = Vec::new();
            for part in ["one ", "two"] {
                let mut packer = Packer::new(Vec::new(), compression).unwrap();
                packer.write_all(part.as_bytes()).unwrap();
                packed.extend(packer.finish().unwrap());
            }
            let mut text = String::new();
            compression
                .unpack(Box::new(io::Cursor::new(packed)))
                .unwrap()
                .read_to_string(&mut text)
                .unwrap();
            assert_eq!(text, "one two");
        }
    }

    #[test]
    fn a_cut_stream_is_an_error() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let mut packer = Packer::new(Vec::new(), compression).unwrap();
            packer.write_all(&[7; 100_000]).unwrap();
            let mut packed = packer.finish().unwrap();
            packed.truncate(packed.len() - 3);
            let read = compression
                .unpack(Box::new(io::Cursor::new(packed)))
                .unwrap()
                .read_to_end(&mut Vec::new());
            assert!(read.is_err());
        }
    }

    #[test]
    fn what_is_not_packed_is_called_so() {
        for (compression, word) in [
            (Compression::Gzip, "gzip"),
            (Compression::Zstd, "Zstandard"),
        ] {
            for text in ["a", "a,b\n1,2\n3,4\n5,6\n"] {
                let mut unpacked = compression.unpack(Box::new(text.as_bytes())).unwrap();
                let error = unpacked.read_to_end(&mut Vec::new()).unwrap_err();
                let want = format!("it is not packed by {word}, as its name says");
                assert_eq!(error.to_string(), want, "{text}");
            }
        }
    }
}
