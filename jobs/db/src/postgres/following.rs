//! A chunk whose doubled keys were set aside before it was sent: it goes to the server while the next one is gathered, a piece
//! for each piece that comes in, and is ended before the keys of that one are asked for.

use super::copy::Copy;
use super::fault::Trouble;
use super::loader::{PostgresLoader, SEND};
use super::session::Session;
use crate::tabbed::Chunk;
use std::collections::VecDeque;
use std::ops::Range;

pub(super) struct Following {
    copy: Copy,
    chunk: Chunk,
    /// The rows that are sent.
    rows: Vec<usize>,
    /// Where the bytes are that are yet to be sent, neighbours together.
    places: VecDeque<Range<usize>>,
    /// How much of the next chunk there was when the last piece was sent.
    pace: usize,
    /// The chunk's own rows to be tried alone, and its rows as they were pushed.
    aside: Chunk,
    pushed_as: Chunk,
}

impl PostgresLoader<'_> {
    /// Begins to send these rows of a chunk, with which goes what was set aside of it.
    pub(super) fn follow(&mut self, chunk: Chunk, rows: Vec<usize>) -> Result<(), Trouble> {
        let following = Following {
            copy: self.begin_copy()?,
            places: chunk.places(&rows).into(),
            chunk,
            rows,
            pace: 0,
            aside: std::mem::take(&mut self.aside),
            pushed_as: std::mem::take(&mut self.pushed_as),
        };
        self.following = Some(following);
        Ok(())
    }

    /// Sends a piece of what follows, if so much of the next chunk has come in since the last one.
    pub(super) fn keep_following(&mut self) -> Result<(), Trouble> {
        let gathered = self.chunk.bytes.len();
        match &mut self.following {
            Some(following) if gathered >= following.pace + SEND => {
                following.pace = gathered;
                following.send(self.session).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Sees what follows through, and what was set aside of it.
    pub(super) fn settle_following(&mut self) -> Result<(), Trouble> {
        let Some(mut following) = self.following.take() else {
            return Ok(());
        };
        while following.send(self.session)? {}
        let Following {
            copy,
            mut chunk,
            rows,
            mut aside,
            mut pushed_as,
            ..
        } = following;
        let refusal = self.end_copy(copy)?.err();
        std::mem::swap(&mut self.aside, &mut aside);
        std::mem::swap(&mut self.pushed_as, &mut pushed_as);
        if refusal.is_some() {
            self.sort_out(&chunk, rows, refusal.as_deref())?;
        }
        self.settle_aside()?;
        if self.orphans.is_full() {
            self.settle_orphans()?;
        }
        self.aside = aside;
        self.pushed_as = pushed_as;
        chunk.clear();
        self.spare = chunk;
        Ok(())
    }
}

impl Following {
    /// Sends a piece; `false` if nothing was left.
    fn send(&mut self, session: &Session) -> Result<bool, Trouble> {
        let mut piece = Vec::with_capacity(SEND);
        while let Some(place) = self.places.front_mut().filter(|_| piece.len() < SEND) {
            let to = place.end.min(place.start + SEND - piece.len());
            piece.extend_from_slice(&self.chunk.bytes[place.start..to]);
            place.start = to;
            if to == place.end {
                self.places.pop_front();
            }
        }
        if piece.is_empty() {
            return Ok(false);
        }
        self.copy.send(session, &piece).map(|()| true)
    }
}
