//! A job that declares a step: it beats, says that it will be busy for two heartbeats, is busy, and says so in a file.
//! usage: stepper FILE    (with a heartbeat of one second)

use std::io::Write;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: stepper FILE")?;
    let name = std::env::var("PROCCTL_JOB").unwrap_or_else(|_| "stepper".to_owned());
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    let pulse = checkproc::Pulse::attach_or_claim(
        &name,
        Some(Duration::from_secs(1)),
        Duration::from_secs(2),
    )?;
    loop {
        pulse.beat();
        pulse.step("counting", Duration::from_secs(10));
        let until = Instant::now() + Duration::from_secs(2);
        let mut counted: u64 = 0;
        while Instant::now() < until {
            counted = std::hint::black_box(counted + 1);
        }
        pulse.step_done();
        writeln!(file, "step done")?;
    }
}
