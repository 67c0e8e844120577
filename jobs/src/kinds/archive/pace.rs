//! How fast rows may leave: rests between batches, waits while the server suffers, the end of the window and of the longest run.

use std::time::Duration;

use super::gauge::Gauge;
use super::params::Params;
use crate::context::Context;
use crate::error::Error;
use crate::hours::Shift;

/// The rest between two looks at a server that suffers; it doubles.
const SHORT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(30);

/// The pace of one pass.
pub(super) struct Pace {
    shift: Shift,
    gauge: Option<Gauge>,
}

impl Pace {
    pub(super) fn begin(cx: &Context, params: &Params) -> Result<Pace, Error> {
        let gauge = match &params.throttle {
            Some(throttle) => Some(Gauge::open(cx, &params.database.url, throttle)?),
            None => None,
        };
        Ok(Pace {
            shift: cx.hours().begin(cx.now()),
            gauge,
        })
    }

    /// Whether the pass has to end here, with nothing lost; before that it waits while the server suffers.
    pub(super) fn is_over(&mut self, cx: &Context) -> Result<bool, Error> {
        cx.checkpoint()?;
        if self.is_past(cx) {
            return Ok(true);
        }
        let Some(gauge) = &mut self.gauge else {
            return Ok(false);
        };
        let (mut rest, mut told) = (SHORT, false);
        while let Some(strain) = gauge.look(cx)? {
            if !told {
                log::info!("waiting: {strain}");
                told = true;
            }
            cx.phase(&format!("waiting: {strain}"));
            cx.wait(rest)?;
            rest = (rest * 2).min(LONG);
            if let Some(why) = self.shift.over(cx.now()) {
                log::info!("{why}: the rest stays for the next run");
                return Ok(true);
            }
        }
        if told {
            log::info!("going on");
        }
        Ok(false)
    }

    fn is_past(&mut self, cx: &Context) -> bool {
        let Some(why) = self.shift.over(cx.now()) else {
            return false;
        };
        log::info!("{why}: the rest stays for the next run");
        true
    }

    /// The rest after a batch of so many rows.
    pub(super) fn rest(
        &self,
        cx: &Context,
        pause: Duration,
        rows: u64,
        doing: &str,
    ) -> Result<(), Error> {
        cx.progress(rows, 0);
        cx.phase(doing);
        if pause.is_zero() {
            return Ok(());
        }
        cx.wait(pause)
    }
}
