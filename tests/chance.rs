//! How often a story breaks things, and at which moments. Every moment comes from a seed, so that a failure can be played again.

use std::io::Write;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::lab::{PATIENCE, wait_for};

/// Whether the long version of each story is asked for, by `FULL=1`.
pub(crate) fn full() -> bool {
    std::env::var_os("FULL").is_some()
}

/// A number of the short version, or that of the long one.
pub(crate) fn count(short: u64, long: u64) -> u64 {
    if full() { long } else { short }
}

/// How many rounds a story of misfortunes has: a modest number, or as many as it takes to be sure.
pub(crate) fn rounds(modest: u64) -> u64 {
    count(modest, 200)
}

/// Numbers that look random: xorshift.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From `SEED`, or a fixed one; shown by the test runner beside a failure.
    pub(crate) fn thrown() -> Dice {
        let told = std::env::var("SEED").ok();
        let seed = told.and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or(20_261_121);
        let _unseen = writeln!(std::io::stderr(), "SEED={seed}");
        Dice::new(seed)
    }

    /// A number below `sides`.
    pub(crate) fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    /// A moment within a length of time.
    pub(crate) fn part_of(&mut self, length: Duration) -> Duration {
        length * u32::try_from(self.throw(1000)).expect("below 1000") / 1000
    }
}

/// Lets time pass: the length of a load, or the moment of a kill, is no condition that could be waited for.
pub(crate) fn pass(time: Duration) {
    let begun = Instant::now();
    wait_for("the moment", time + PATIENCE, || {
        (begun.elapsed() >= time).then_some(())
    });
}

/// Lets time pass, or less where the child ends by itself.
pub(crate) fn pass_beside(child: &mut Child, time: Duration) {
    let begun = Instant::now();
    wait_for("the moment", time + PATIENCE, || {
        let ended = child.try_wait().expect("asking for the child").is_some();
        (ended || begun.elapsed() >= time).then_some(())
    });
}

/// Kills the child with SIGKILL after a while, unless it has ended by itself.
pub(crate) fn kill_after(mut child: Child, time: Duration) {
    pass_beside(&mut child, time);
    // it may have ended by itself
    let _ended = child.kill();
    child.wait().expect("reaping the child");
}
