//! The workers of a pass: one in the job's own thread, or several in threads of their own for which the job's thread answers.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use super::pass::{Outcome, Pass, Shared};
use crate::context::{Context, Crew, Link};
use crate::error::Error;

/// How long the job's thread sleeps between two looks at its workers.
const LOOK: Duration = Duration::from_millis(50);

/// Does all that waits, with so many workers. Connections come from `links` and go back there.
pub(super) fn work(
    cx: &Context,
    shared: &Shared<'_>,
    workers: usize,
    links: &mut Vec<Link>,
) -> Outcome {
    let workers = workers.min(shared.queue().len());
    if workers < 2 {
        let mut pass = Pass::new(cx, shared, links.pop());
        pass.work();
        links.extend(pass.link);
        return pass.outcome;
    }
    let mut crew = Crew::default();
    let together = Mutex::new((Outcome::default(), Vec::new()));
    thread::scope(|scope| {
        let foreman = thread::current();
        let mut threads = Vec::with_capacity(workers);
        for number in 1..=workers {
            let (worker, link) = (cx.worker(&mut crew), links.pop());
            let (foreman, together) = (foreman.clone(), &together);
            let body = move || {
                let cx = worker.context();
                let mut pass = Pass::new(&cx, shared, link);
                pass.work();
                let mut together = together
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                together.0.add(pass.outcome);
                together.1.extend(pass.link);
                drop(together);
                foreman.unpark();
            };
            let named = thread::Builder::new().name(format!("worker {number}"));
            match named.spawn_scoped(scope, body) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    shared.queue().close();
                    let error = Error::Internal(format!("start a thread: {error}"));
                    let mut together = together
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                    together.0.ended = Some(error);
                    break;
                }
            }
        }
        while threads.iter().any(|thread| !thread.is_finished()) {
            cx.answer_for(&mut crew);
            thread::park_timeout(LOOK);
        }
        cx.answer_for(&mut crew);
    });
    let (outcome, kept) = together
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    links.extend(kept);
    outcome
}
