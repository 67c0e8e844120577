//! COPY from this side to a table: begun, fed in pieces while the caller makes more, ended with the server's verdict.
//! Knows no savepoints and no rows.

use super::fault::Trouble;
use super::session::Session;
use futures_util::SinkExt;
use futures_util::future::join;
use std::pin::Pin;
use tokio_postgres::{CopyInSink, Statement};

/// What one message carries at most.
const PIECE: usize = 256 * 1024;

/// The driver's own buffer type.
type Bytes = std::io::Cursor<Vec<u8>>;

/// A COPY under way. Dropped unended, it takes its rows back.
pub(super) struct Copy(Pin<Box<CopyInSink<Bytes>>>);

impl Copy {
    /// Begins a COPY, `first` (such as a savepoint) going before it. The driver cannot go on after a COPY that the server
    /// refuses before it takes rows (<https://github.com/sfackler/rust-postgres/issues/789>): the connection is given up.
    pub(super) fn begin(
        session: &Session,
        first: &str,
        statement: &Statement,
    ) -> Result<Self, Trouble> {
        let begun = session.wait(async {
            let before = session.also(!first.is_empty(), first);
            let (before, sink) = join(before, session.client().copy_in(statement)).await;
            before.and(sink)
        });
        begun
            .map(|sink| Copy(Box::pin(sink)))
            .inspect_err(|_| session.break_off())
    }

    /// Sends text of rows. Comes back when it is on its way, not when the server has taken it; what the server refuses is
    /// told at the end.
    pub(super) fn send(&mut self, session: &Session, text: &[u8]) -> Result<(), Trouble> {
        session.wait(async {
            for piece in text.chunks(PIECE) {
                self.0.send(Bytes::new(piece.to_vec())).await?;
            }
            // the connection's task has its turn, so that the server works while the caller does
            tokio::task::yield_now().await;
            Ok(())
        })
    }

    /// Ends it: how many rows the server took.
    pub(super) fn end(mut self, session: &Session) -> Result<u64, Trouble> {
        session.wait(self.0.as_mut().finish())
    }

    /// As [`Copy::end`], with a statement behind it in the same exchange.
    pub(super) fn end_with(mut self, session: &Session, then: &str) -> Result<u64, Trouble> {
        session.wait(async {
            let ended = self.0.as_mut().finish();
            let (copied, after) = join(ended, session.client().batch_execute(then)).await;
            let copied = copied?;
            after.map(|()| copied)
        })
    }
}

impl std::fmt::Debug for Copy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Copy")
    }
}
