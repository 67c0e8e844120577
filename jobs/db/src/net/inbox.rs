//! The input buffer of a connection: bytes are read in large pieces and lent where they lie.

use super::Socket;
use std::io::{self, Read};
use std::ops::{Index, Range};

/// What is asked of the socket at once, and what the buffer shrinks back to.
const PIECE: usize = 128 * 1024;

/// Bytes that came and are not taken yet, and the taken ones until the next read.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// The bytes that wait.
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Reads until `count` bytes wait. Ranges taken before are void if it had to read. Memory grows as bytes come,
    /// not as a peer promises them.
    pub(crate) fn need(&mut self, socket: &mut Socket, count: usize) -> io::Result<()> {
        while self.len() < count {
            self.make_room(count);
            let read = loop {
                match socket.read(&mut self.bytes[self.end..]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other?,
                }
            };
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.end += read;
        }
        Ok(())
    }

    /// Takes `count` bytes that wait; their place is good until the next [`Inbox::need`].
    pub(crate) fn take(&mut self, count: usize) -> Range<usize> {
        debug_assert!(count <= self.len(), "taken before they came");
        let range = self.start..self.start + count;
        self.start = range.end;
        range
    }

    fn make_room(&mut self, count: usize) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.bytes.len() > 4 * PIECE && count <= PIECE && self.end <= PIECE {
            self.bytes.truncate(PIECE);
            self.bytes.shrink_to_fit();
        }
        if self.bytes.len() - self.end < PIECE / 2 {
            let grown = (self.bytes.len() * 2)
                .max(PIECE)
                .min(self.end + count.max(PIECE));
            self.bytes.resize(grown.max(self.end + PIECE / 2), 0);
        }
    }
}

impl Index<Range<usize>> for Inbox {
    type Output = [u8];

    fn index(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn pieces_of_any_size_come_whole() {
        let (mut peer, own) = UnixStream::pair().unwrap();
        let sent: Vec<u8> = (0..3_000_000_u32)
            .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[2])
            .collect();
        let copy = sent.clone();
        let writer = std::thread::spawn(move || peer.write_all(&copy).unwrap());
        let (mut inbox, mut socket) = (Inbox::default(), Socket::unix_for_tests(own));
        let mut at = 0;
        for size in [1, 5, 70_000, 3, 1_500_000, 20, 1_000_000, 2]
            .into_iter()
            .cycle()
        {
            let size = size.min(sent.len() - at);
            if size == 0 {
                break;
            }
            inbox.need(&mut socket, size).unwrap();
            let range = inbox.take(size);
            assert!(inbox[range] == sent[at..at + size]);
            at += size;
        }
        writer.join().unwrap();
        assert_eq!(
            inbox.need(&mut socket, 1).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
