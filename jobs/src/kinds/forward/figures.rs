//! What the job tells of itself: rows and bytes for the heartbeat, a status line, alarms, and a line in the log each minute.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    alarms::Alarms,
    deliver::{Reading, dead},
    engines::Engines,
    intake::Server,
    spool::Shelf,
    trouble::Trouble,
};
use crate::{context::Context, job::Bytes};

/// How often the log gets its line.
const MINUTE: Duration = Duration::from_secs(60);

/// How often it is looked whether an operator has taken the dead letters away.
const DEAD_LETTERS: Duration = Duration::from_secs(10);

/// What was told last, and what is to be told.
pub(super) struct Told {
    shelf: Arc<Shelf>,
    trouble: Arc<Trouble>,
    alarms: Alarms,
    /// When it was last looked whether dead letters are still there.
    looked: Instant,
    /// Records and bytes in since the beginning.
    taken: (u64, u64),
    repeated: u64,
    refused: u64,
    /// Records in and out, and when, at the last status line; at the last line of the log.
    status: (u64, u64, Instant),
    line: (u64, u64, Instant),
    confirmed: (u64, u64),
}

impl Told {
    pub(super) fn new(shelf: &Arc<Shelf>, trouble: &Arc<Trouble>) -> Told {
        let now = Instant::now();
        Told {
            shelf: Arc::clone(shelf),
            trouble: Arc::clone(trouble),
            alarms: Alarms::default(),
            looked: now,
            taken: (0, 0),
            repeated: 0,
            refused: 0,
            status: (0, 0, now),
            line: (0, 0, now),
            confirmed: (0, 0),
        }
    }

    /// Tells how it stands. To be called each second.
    pub(super) fn tell(&mut self, cx: &Context, server: &mut Server, engines: &Engines) {
        let (counts, refused) = server.take_counts();
        self.taken.0 += counts.records;
        self.taken.1 += counts.bytes;
        self.repeated += counts.repeated;
        self.refused += refused;
        let readings = engines.readings();
        let out: u64 = readings.iter().map(|(_, r)| r.records).sum();
        let bytes: u64 = readings.iter().map(|(_, r)| r.bytes).sum();
        cx.progress(out - self.confirmed.0, bytes - self.confirmed.1);
        self.confirmed = (out, bytes);
        let now = Instant::now();
        let rate_in = rate(self.taken.0 - self.status.0, now - self.status.2);
        let rate_out = rate(out - self.status.1, now - self.status.2);
        self.status = (self.taken.0, out, now);
        let slowest = readings.iter().min_by_key(|(_, reading)| reading.next);
        let backlog = slowest.map_or_else(String::new, |(_, reading)| self.backlog(reading));
        let mut text = format!("in {rate_in}/s, out {rate_out}/s, backlog {backlog}");
        if let Some(trouble) = self.trouble.newest() {
            text = format!("{text}; {trouble}");
        } else if server.is_paused() {
            text.push_str("; senders wait");
        }
        cx.phase(&text);
        self.alarm(cx, &readings, now);
        if now - self.line.2 >= MINUTE {
            self.write_line(cx, server.senders(), &readings, now);
        }
    }

    /// Operators hear of troubles that last.
    fn alarm(&mut self, cx: &Context, readings: &[(String, Reading)], now: Instant) {
        if now - self.looked >= DEAD_LETTERS {
            self.looked = now;
            for (name, _) in readings {
                let who = dead::trouble(name);
                let gone =
                    self.trouble.has(&who) && dead::is_empty(&self.shelf, name).is_ok_and(|is| is);
                if gone {
                    self.trouble.over(&who);
                }
            }
        }
        self.alarms
            .look(&self.trouble.standing(), |text| cx.alarm(text));
    }

    /// Records, bytes and age of what is not delivered.
    fn backlog(&self, reading: &Reading) -> String {
        let records = self.shelf.durable().saturating_sub(reading.next);
        if records == 0 {
            return "0".to_owned();
        }
        let bytes = Bytes(self.shelf.bytes_from(reading.next));
        let age = age(reading.oldest);
        format!("{records} ({bytes}, {age} s)")
    }

    fn write_line(
        &mut self,
        cx: &Context,
        senders: usize,
        all: &[(String, Reading)],
        now: Instant,
    ) {
        let taken = self.taken.0 - self.line.0;
        let rate_in = rate(taken, now - self.line.2);
        log::info!(
            "{}: {senders} senders, {taken} records in ({rate_in}/s), {} in all ({}), {} repeated, {} refused, spool {}",
            cx.job(),
            self.taken.0,
            Bytes(self.taken.1),
            self.repeated,
            self.refused,
            Bytes(self.shelf.bytes())
        );
        for (name, reading) in all {
            log::info!(
                "{}: {name}: {} records out in all ({}), {} attempts failed, {} dead, backlog {}",
                cx.job(),
                reading.records,
                Bytes(reading.bytes),
                reading.failed,
                reading.dead,
                self.backlog(reading)
            );
        }
        self.line = (self.taken.0, self.confirmed.0, now);
    }

    /// All of the run, in a line: how many shared a sync shows, too.
    pub(super) fn sum(&self) -> String {
        let (syncs, bytes) = self.shelf.synced();
        format!(
            "{} records taken in, {} confirmed; {syncs} syncs for {bytes} bytes",
            self.taken.0, self.confirmed.0
        )
    }
}

/// Seconds since then; 0 when there is no then.
fn age(micros: u64) -> u64 {
    let now = u64::try_from(chrono::Utc::now().timestamp_micros()).unwrap_or(0);
    match micros {
        0 => 0,
        micros => now.saturating_sub(micros) / 1_000_000,
    }
}

fn rate(count: u64, long: Duration) -> u64 {
    let millis = u64::try_from(long.as_millis()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1000) / millis
}
