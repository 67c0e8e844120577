//! LOAD DATA LOCAL: the server asks for a file by name, and gets the rows that our own running statement offers under that
//! name. Any other name, and any request when nothing is offered, is refused and ends the connection: a hostile server
//! may ask for any file at any time. No file is ever opened.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use mysql_async::{InfileData, LocalInfileError, prelude::GlobalHandler};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// How much goes out in one packet.
const PIECE: usize = 256 << 10;

/// What the running statement offers.
#[derive(Debug, Default)]
pub(super) struct Offer {
    rows: Mutex<Option<(String, Bytes)>>,
}

impl Offer {
    /// Offers `rows` under `name`, once; `None` takes an offer back that was not asked for.
    pub(super) fn put(&self, rows: Option<(String, Bytes)>) {
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }

    fn take(&self, name: &[u8]) -> Option<Bytes> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.take_if(|(offered, _)| offered.as_bytes() == name)
            .map(|(_, rows)| rows)
    }
}

/// What the driver asks for a file.
#[derive(Debug)]
pub(super) struct Answer(pub(super) Arc<Offer>);

impl GlobalHandler for Answer {
    fn handle(&self, name: &[u8]) -> BoxFuture<'static, Result<InfileData, LocalInfileError>> {
        let answer = match self.0.take(name) {
            Some(rows) => Ok(pieces(rows)),
            None => Err(LocalInfileError::other(io::Error::other(
                "the server asked for a file that nobody offered it",
            ))),
        };
        std::future::ready(answer).boxed()
    }
}

fn pieces(mut rows: Bytes) -> InfileData {
    let next = move || {
        let piece = rows.split_to(rows.len().min(PIECE));
        Some(Ok(piece))
            .filter(|piece: &io::Result<Bytes>| piece.as_ref().is_ok_and(|piece| !piece.is_empty()))
    };
    stream::iter(std::iter::from_fn(next)).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_offered_is_given_and_only_once() {
        let offer = Arc::new(Offer::default());
        let answer = Answer(Arc::clone(&offer));
        let ask = |name: &str| {
            let given = answer
                .handle(name.as_bytes())
                .now_or_never()
                .unwrap()
                .ok()?;
            let pieces: Vec<Bytes> = given.map(Result::unwrap).collect().now_or_never().unwrap();
            Some(pieces.concat())
        };
        assert_eq!(ask("rows-1"), None);
        let rows = vec![7; PIECE * 2 + 1];
        offer.put(Some(("rows-1".to_owned(), rows.clone().into())));
        assert_eq!(ask("/etc/passwd"), None);
        assert_eq!(ask("rows-1"), Some(rows));
        assert_eq!(ask("rows-1"), None);
    }
}
