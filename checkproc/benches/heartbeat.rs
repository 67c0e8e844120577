//! What a beat and a scan cost: `cargo bench -p checkproc --bench heartbeat`. Medians of several rounds, one line each.

use std::error::Error;
use std::hint::black_box;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use checkproc::judge::{Moment, judge};
use checkproc::process::{monotonic_ns, suspended_ns};
use checkproc::{Claim, Pulse, Table};

const ROUNDS: usize = 15;
const BEATS: u32 = 200_000;
const SCANS: u32 = 500;
const LIVE: u32 = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    let table = Table::open_private(&format!("bench-{}", std::process::id()))?;
    let result = measure(&table);
    std::fs::remove_file(table.path())?;
    result
}

fn measure(table: &Table) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    let pulse = Pulse::in_table(
        table,
        "bench",
        Some(Duration::from_secs(60)),
        Duration::ZERO,
    )?;
    let slot = pulse.slot();
    let clock = median(|| {
        time(BEATS, || {
            black_box(monotonic_ns());
        })
    });
    writeln!(out, "clock_gettime alone         {:8.1} ns", clock * 1e9)?;
    let beat = median(|| {
        time(BEATS, || {
            black_box(slot.beat());
        })
    });
    writeln!(out, "beat                        {:8.1} ns", beat * 1e9)?;
    let beat = median(|| time(BEATS, || pulse.beat()));
    writeln!(out, "beat with re-attach check   {:8.1} ns", beat * 1e9)?;
    let claim = Claim {
        name: "bench",
        home: 0,
        run: 0,
        pid: Some(std::process::id()),
        heartbeat: Some(Duration::from_secs(60)),
        hang_grace: Duration::ZERO,
        max_step: Duration::ZERO,
    };
    let begun = Instant::now();
    for _ in 1..LIVE {
        table.claim(&claim)?;
    }
    let claims = begun.elapsed().as_secs_f64() / f64::from(LIVE - 1);
    writeln!(
        out,
        "claim (mean of {})        {:8.2} us",
        LIVE - 1,
        claims * 1e6
    )?;
    let scan = median(|| time(SCANS, || drop(black_box(table.look(monotonic_ns(), None)))));
    writeln!(out, "scan of {LIVE} live slots     {:8.2} us", scan * 1e6)?;
    let mut memory = table.memory();
    let whole = median(|| {
        time(SCANS, || {
            let moment = Moment {
                now: monotonic_ns(),
                offset: suspended_ns(),
            };
            let sight = table.look(moment.now, None);
            drop(black_box(judge(
                &mut memory,
                &sight.glance,
                moment,
                1_000_000_000,
            )));
        })
    });
    writeln!(out, "scan and judgement          {:8.2} us", whole * 1e6)?;
    Ok(())
}

/// Seconds a call, over so many calls.
fn time(calls: u32, mut call: impl FnMut()) -> f64 {
    let begun = Instant::now();
    for _ in 0..calls {
        call();
    }
    begun.elapsed().as_secs_f64() / f64::from(calls)
}

fn median(mut round: impl FnMut() -> f64) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}
