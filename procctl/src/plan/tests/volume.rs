//! Many jobs: each event touches its own job only, and a job costs little memory.

use std::time::Instant;

use super::*;
use crate::plan::job::{Job, Run};

#[test]
fn a_job_is_small() {
    let bytes = size_of::<Job>() + size_of::<JobSpec>() + size_of::<Run>();
    assert!(bytes < 1024, "{bytes} bytes");
}

#[test]
fn five_thousand_jobs_cost_no_more_a_piece_than_fifty() {
    let cost = |count: usize| {
        let jobs: Vec<_> = (0..count)
            .map(|i| exec(&format!("j{i}"), "backoff='0'"))
            .collect();
        let mut w = World::unbooted("");
        w.load_all(&jobs);
        let boot = Instant::now();
        assert_eq!(w.event(Event::Booted).len(), count);
        let boot = boot.elapsed();
        let runs: Vec<_> = w.state.runs.keys().copied().collect();
        let begin = Instant::now();
        for run in &runs {
            let event = Event::Ended {
                run: *run,
                exit: Exit::Signal(9),
                words: LastWords::default(),
                usage: Usage::default(),
                rest: false,
            };
            let actions = plan(&mut w.state, event, w.now);
            assert!(actions.iter().any(|a| matches!(a, Action::Start { .. })));
        }
        (boot, begin.elapsed() / u32::try_from(count).unwrap())
    };
    let (_, few) = cost(50);
    let (boot, many) = cost(5000);
    // generous: shared machines and debug builds; a scan of all jobs would be a hundredfold
    assert!(
        many < few * 20 + Duration::from_micros(200),
        "{few:?} {many:?}"
    );
    assert!(boot < Duration::from_secs(10), "{boot:?}");
}

#[test]
fn a_handover_of_five_thousand_is_quick_and_small() {
    let jobs: Vec<_> = (0..5000)
        .map(|i| exec(&format!("j{i}"), "every='30s'"))
        .collect();
    let w = World::with(&jobs);
    let begin = Instant::now();
    let text = w.state.snapshot().unwrap();
    let state = State::restore(&text).unwrap();
    assert_eq!(state.runs.len(), 5000);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(
        text.len() < 5000 * 3000,
        "{} bytes a job",
        text.len() / 5000
    );
}
