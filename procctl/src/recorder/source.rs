//! What the recorder's loop waits for, packed into the word that epoll gives back.

/// What an epoll event is about, packed into its 64 bits: the run's id and one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Where supervisors connect.
    Listener,
    /// The supervisor.
    Peer,
    /// The writer's troubles have changed.
    Bell,
    /// SIGTERM.
    Signal,
    /// The pipe of a run.
    Output(u64),
    /// The notify socket of a run.
    Notify(u64),
    /// The main process of a run.
    Process(u64),
}

impl Source {
    /// As it is given to epoll.
    pub(super) fn word(self) -> u64 {
        match self {
            Source::Listener => 0,
            Source::Peer => 1 << 2,
            Source::Bell => 2 << 2,
            Source::Signal => 3 << 2,
            Source::Output(run) => run << 2 | 1,
            Source::Notify(run) => run << 2 | 2,
            Source::Process(run) => run << 2 | 3,
        }
    }

    /// As it comes back.
    pub(super) fn from_word(word: u64) -> Source {
        let run = word >> 2;
        match (word & 3, run) {
            (1, run) => Source::Output(run),
            (2, run) => Source::Notify(run),
            (3, run) => Source::Process(run),
            (_, 0) => Source::Listener,
            (_, 1) => Source::Peer,
            (_, 2) => Source::Bell,
            (_, _) => Source::Signal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_survive_their_packing() {
        let run = u64::MAX >> 2;
        for source in [
            Source::Listener,
            Source::Peer,
            Source::Bell,
            Source::Signal,
            Source::Output(run),
            Source::Notify(0),
            Source::Process(7),
        ] {
            assert_eq!(Source::from_word(source.word()), source);
        }
    }
}
