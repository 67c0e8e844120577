//! The passes of a job: one, or as a resident one after the other, so long after the end of the last, inside its
//! windows, or at once when triggered.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant},
};

use jobfile::Root;

use crate::{
    context::Context,
    error::Error,
    job::{Run, Tally},
};

/// How long a resident without `every` waits at a time for its trigger.
const LONG: Duration = Duration::from_secs(3600);

/// Makes one pass, or passes until a stop or a failure.
pub(crate) fn make(
    job: &mut dyn Run,
    cx: &mut Context,
    root: &Root,
    resident: bool,
) -> Result<(), Error> {
    if !resident {
        return pass(job, cx, false);
    }
    let mut due = true;
    loop {
        if !due && !cx.stop().take_trigger() {
            due = wait(cx, root)?;
            continue;
        }
        due = false;
        pass(job, cx, true)?;
    }
}

/// One pass. A resident's pass that found nothing to do is not worth a line.
fn pass(job: &mut dyn Run, cx: &mut Context, resident: bool) -> Result<(), Error> {
    let started = Instant::now();
    let before = cx.moved();
    let tally = job.run(cx).map_err(|error| stopped_or(error, cx))?;
    cx.settle(before, &tally);
    let line = tally.line(cx.job(), started.elapsed());
    if resident && tally == Tally::default() {
        log::debug!("{line}");
    } else {
        log::info!("{line}");
    }
    Ok(())
}

/// A statement that was cancelled because of a stop is a stop.
fn stopped_or(error: Error, cx: &Context) -> Error {
    let cancelled =
        matches!(&error, Error::Database(error) if error.kind() == db::ErrorKind::Cancelled);
    match cx.stop().asked() {
        Some(signal) if cancelled => Error::Stopped(signal),
        _ => error,
    }
}

/// Waits until the next pass is due (`true`) or one is triggered (`false`).
fn wait(cx: &Context, root: &Root) -> Result<bool, Error> {
    cx.phase(&cx.awaited());
    let Some(every) = root.every else {
        return cx.wait_or_trigger(LONG).map(|_| false);
    };
    let delay = every.0 + random_part(root.splay.0);
    if cx.wait_or_trigger(delay)? {
        return Ok(false);
    }
    let now = cx.now();
    let open = root.windows.next_open(now, &root.tz);
    let closed = (open - now).to_std().unwrap_or_default();
    if closed.is_zero() {
        return Ok(true);
    }
    cx.phase("waiting for its window");
    cx.wait_or_trigger(closed).map(|triggered| !triggered)
}

/// A random time up to this long. The hasher's seed is random enough to keep jobs from starting together.
fn random_part(most: Duration) -> Duration {
    let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(RandomState::new().hash_one(()) % millis.saturating_add(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Report;

    /// Counts its passes and asks for a stop at the third.
    struct Counting(u32);

    impl Run for Counting {
        fn run(&mut self, cx: &mut Context) -> Result<Tally, Error> {
            self.0 += 1;
            if self.0 == 3 {
                cx.stop().ask(15);
            }
            Ok(Tally {
                read: 2,
                ..Tally::default()
            })
        }
        fn check(&mut self, _: &mut Context, _: &mut Report) -> Result<(), Error> {
            Ok(())
        }
        fn dry_run(&mut self, _: &mut Context, _: &mut Report) -> Result<(), Error> {
            Ok(())
        }
    }

    fn root(attributes: &str) -> Root {
        let text = format!("<exec {attributes}><command>x</command></exec>");
        jobfile::JobFile::from_text("a.xml".as_ref(), text.as_bytes())
            .unwrap()
            .root
    }

    #[test]
    fn a_resident_makes_passes_until_it_is_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let mut cx = Context::fake(dir.path());
        let mut job = Counting(0);
        let result = make(
            &mut job,
            &mut cx,
            &root("every='1ms' resident='true'"),
            true,
        );
        assert!(matches!(result, Err(Error::Stopped(15))));
        assert_eq!(job.0, 3);
        assert_eq!(cx.moved().0, 6);
    }

    #[test]
    fn others_make_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut cx = Context::fake(dir.path());
        let mut job = Counting(0);
        make(&mut job, &mut cx, &root("every='1h'"), false).unwrap();
        assert_eq!(job.0, 1);
    }

    #[test]
    fn a_trigger_ends_the_wait() {
        let dir = tempfile::tempdir().unwrap();
        let cx = Context::fake(dir.path());
        cx.stop().trigger();
        assert!(!wait(&cx, &root("every='1h'")).unwrap());
        assert!(cx.stop().take_trigger());
    }

    #[test]
    fn a_random_part_is_no_more_than_the_whole() {
        assert_eq!(random_part(Duration::ZERO), Duration::ZERO);
        for _ in 0..100 {
            assert!(random_part(Duration::from_millis(5)) <= Duration::from_millis(5));
        }
    }
}
