//! One connection of a sender, from its first byte to its last.

use std::{io, time::Instant};

use super::{
    desk::{Desk, Talk},
    framing::{self, Refusal},
    wire::{Got, Wire},
};

/// Where a connection is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// It speaks.
    Open,
    /// Nothing more comes from it, or is taken; it waits for its acknowledgements, and then is told why it ends.
    Ending(Option<Refusal>),
    /// Everything is told; what it still says is thrown away until it goes, so that it hears the last word.
    Leaving,
    /// It can go.
    Over,
}

/// A connection.
pub(super) struct Connection {
    pub(super) peer: String,
    pub(super) wire: Wire,
    pub(super) talk: Talk,
    pub(super) stage: Stage,
    /// What it said that is no whole piece yet.
    rest: Vec<u8>,
    /// When it last got on.
    pub(super) since: Instant,
    /// What epoll was told to look for.
    pub(super) watched: (bool, bool),
}

/// What a turn of reading left.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Turn {
    /// It may have more at once.
    pub(super) again: bool,
    /// The connection whose session it took over.
    pub(super) displaced: Option<u64>,
}

impl Connection {
    pub(super) fn new(peer: String, wire: Wire, talk: Talk) -> Connection {
        Connection {
            peer,
            wire,
            talk,
            stage: Stage::Open,
            rest: Vec::new(),
            since: Instant::now(),
            watched: (true, false),
        }
    }

    /// Bytes of an unfinished piece.
    pub(super) fn held(&self) -> usize {
        self.rest.len()
    }

    /// Whether it has begun something that it must go on with.
    pub(super) fn owes(&self, desk: &Desk) -> bool {
        self.stage == Stage::Open && (!self.rest.is_empty() || self.talk.is_new(&desk.rules))
    }

    /// Takes what it says, until it has said so many bytes that others should get their turn.
    pub(super) fn read(&mut self, desk: &mut Desk, buffer: &mut [u8], most: usize) -> Turn {
        let mut turn = Turn::default();
        let mut taken = 0;
        loop {
            match self.wire.read(buffer) {
                Ok(Got::Bytes(bytes)) => {
                    taken += bytes;
                    self.since = Instant::now();
                    match self.stage {
                        Stage::Open => self.hear(desk, &buffer[..bytes], &mut turn),
                        // thrown away, and not without end
                        _ => turn.again = false,
                    }
                    let whole = bytes == buffer.len() || self.wire.is_tls();
                    if !whole || self.stage != Stage::Open {
                        return turn;
                    }
                    if taken >= most {
                        turn.again = self.wire.is_tls();
                        return turn;
                    }
                }
                Ok(Got::Later) => return turn,
                Ok(Got::End) => {
                    self.hear_end();
                    return turn;
                }
                Err(error) => {
                    self.fail(&error);
                    return turn;
                }
            }
        }
    }

    fn hear(&mut self, desk: &mut Desk, bytes: &[u8], turn: &mut Turn) {
        let (displaced, outcome) = if self.rest.is_empty() {
            let (used, displaced, outcome) = desk.take(&mut self.talk, bytes);
            self.rest.extend_from_slice(&bytes[used..]);
            (displaced, outcome)
        } else {
            self.rest.extend_from_slice(bytes);
            let (used, displaced, outcome) = desk.take(&mut self.talk, &self.rest);
            self.rest.drain(..used);
            (displaced, outcome)
        };
        if self.rest.is_empty() {
            // an idle connection costs next to nothing
            self.rest = Vec::new();
        }
        turn.displaced = turn.displaced.or(displaced);
        if let Err(refusal) = outcome {
            self.refuse(refusal);
        }
    }

    fn hear_end(&mut self) {
        match self.stage {
            Stage::Open => {
                if !self.rest.is_empty() {
                    log::warn!(
                        "{}: ended in the middle of a record; these {} bytes are no record",
                        self.peer,
                        self.rest.len()
                    );
                    self.rest = Vec::new();
                }
                self.stage = Stage::Ending(None);
            }
            Stage::Ending(_) => {}
            Stage::Leaving | Stage::Over => self.stage = Stage::Over,
        }
    }

    fn fail(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::InvalidData {
            self.refuse(Refusal::Tls(error.to_string()));
            self.stage = Stage::Over;
            return;
        }
        log::debug!("{}: {error}", self.peer);
        self.stage = Stage::Over;
    }

    /// Sends it away, once what it is owed is told.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        if self.stage == Stage::Open {
            log::warn!("{}: refused: {refusal}", self.peer);
            self.rest = Vec::new();
            self.since = Instant::now();
            self.stage = Stage::Ending(Some(refusal));
        }
    }

    /// Writes what is to be told, and goes on in its life.
    pub(super) fn write(&mut self, desk: &Desk) {
        loop {
            self.talk.acknowledge(&desk.rules);
            if let Err(error) = self.flush() {
                log::debug!("{}: {error}", self.peer);
                self.stage = Stage::Over;
                return;
            }
            if !self.talk.out.is_empty() || self.wire.wants_write() {
                return;
            }
            match &mut self.stage {
                Stage::Ending(refusal) if self.talk.is_settled() => match refusal.take() {
                    Some(refusal) => {
                        framing::put_refusal(&mut self.talk.out, desk.rules.framing, &refusal);
                        self.stage = Stage::Ending(None);
                    }
                    None => {
                        self.wire.finish();
                        self.since = Instant::now();
                        self.stage = Stage::Leaving;
                        return;
                    }
                },
                _ => return,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.talk.out.is_empty() || self.wire.wants_write() {
            let taken = self.wire.write(&self.talk.out)?;
            self.talk.out.drain(..taken);
            if taken == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What epoll should look for: something to read, room to write.
    pub(super) fn wants(&self) -> (bool, bool) {
        let reads = matches!(self.stage, Stage::Open | Stage::Leaving);
        let writes = !self.talk.out.is_empty() || self.wire.wants_write();
        (reads, writes)
    }
}
