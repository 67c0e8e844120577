//! How much the server suffers: the lag of its replicas, sessions that wait for locks, and what the job asks for. By connections of its own.

use std::fmt;
use std::time::{Duration, Instant};

use db::{Connection, ErrorKind};

use super::params::Throttle;
use crate::context::Context;
use crate::error::Error;
use crate::link::Link;
use crate::statement::STATEMENT;

/// The lag of the farthest replica, in seconds, as PostgreSQL's primary sees it.
const PG_LAGS: &str =
    "SELECT COALESCE(EXTRACT(EPOCH FROM max(replay_lag)), 0) FROM pg_catalog.pg_stat_replication";
/// The lag of this replica, in seconds: none where it has replayed all that it has.
const PG_LAG: &str = "SELECT CASE WHEN NOT pg_is_in_recovery() OR pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 \
    ELSE COALESCE(EXTRACT(EPOCH FROM now() - pg_last_xact_replay_timestamp()), 0) END";
const PG_WAITS: &str = "SELECT count(DISTINCT pid) FROM pg_catalog.pg_locks WHERE NOT granted";
/// Old servers know the second only.
const MY_LAG: [&str; 2] = ["SHOW REPLICA STATUS", "SHOW SLAVE STATUS"];
const MY_LAG_COLUMNS: [&str; 2] = ["Seconds_Behind_Source", "Seconds_Behind_Master"];
const MY_WAITS: &str = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'";

/// What is measured.
#[derive(Debug, Clone)]
enum Measure {
    /// The lag of all replicas of this server.
    Lags,
    /// The lag of this server.
    Lag,
    /// Sessions that wait for locks.
    Waits,
    /// What a query of the job gives.
    Load(String),
}

struct Probe {
    link: usize,
    measure: Measure,
    limit: f64,
}

/// Something is above its limit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Strain {
    what: &'static str,
    found: f64,
    limit: f64,
}

impl fmt::Display for Strain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Strain { what, found, limit } = self;
        if found.is_infinite() {
            return write!(f, "{what}: replication does not run");
        }
        write!(f, "{what}: {found}, at most {limit}")
    }
}

/// Looks at the server now and then.
pub(super) struct Gauge {
    links: Vec<Link>,
    probes: Vec<Probe>,
    every: Duration,
    looked: Option<Instant>,
    strained: bool,
}

impl Gauge {
    pub(super) fn open(cx: &Context, url: &str, throttle: &Throttle) -> Result<Gauge, Error> {
        let mut gauge = Gauge {
            links: vec![cx.connect_source(url)?],
            probes: Vec::new(),
            every: throttle.every.0,
            looked: None,
            strained: false,
        };
        if let Some(lag) = throttle.max_lag {
            let limit = lag.0.as_secs_f64();
            if throttle.replicas.is_empty() {
                gauge.add(0, Measure::Lags, limit);
            }
            for replica in &throttle.replicas {
                gauge.links.push(cx.connect_source(&replica.url)?);
                gauge.add(gauge.links.len() - 1, Measure::Lag, limit);
            }
        }
        if let Some(waits) = throttle.max_lock_waits {
            // far below the numbers that a float cannot hold
            let limit = u32::try_from(waits).map_or(f64::INFINITY, f64::from);
            gauge.add(0, Measure::Waits, limit);
        }
        for load in &throttle.max_loads {
            let sql = load.sql.trim().trim_end_matches(';').to_owned();
            gauge.add(0, Measure::Load(sql), load.limit);
        }
        Ok(gauge)
    }

    fn add(&mut self, link: usize, measure: Measure, limit: f64) {
        self.probes.push(Probe {
            link,
            measure,
            limit,
        });
    }

    /// The first thing above its limit, if it is time to look; while something is, it always is.
    pub(super) fn look(&mut self, cx: &Context) -> Result<Option<Strain>, Error> {
        let due = self.looked.is_none_or(|last| last.elapsed() >= self.every);
        if !due && !self.strained {
            return Ok(None);
        }
        let _step = cx.step("look at the server's load", STATEMENT);
        let strain = self.measure()?;
        self.strained = strain.is_some();
        self.looked = Some(Instant::now());
        Ok(strain)
    }

    /// Measures all; the first that is above its limit.
    pub(super) fn measure(&mut self) -> Result<Option<Strain>, Error> {
        for probe in &self.probes {
            let db = &mut *self.links[probe.link];
            let found = probe.measure.take(db).map_err(|error| match error {
                Error::Database(error) => {
                    let action = format!("asking for the throttle's {}", probe.measure.name());
                    db::Error::new(error.kind(), action).because(error).into()
                }
                other => other,
            })?;
            if found > probe.limit {
                return Ok(Some(Strain {
                    what: probe.measure.name(),
                    found,
                    limit: probe.limit,
                }));
            }
        }
        Ok(None)
    }
}

impl Measure {
    fn name(&self) -> &'static str {
        match self {
            Measure::Lags => "lag of the replicas in seconds",
            Measure::Lag => "lag of a replica in seconds",
            Measure::Waits => "sessions that wait for locks",
            Measure::Load(_) => "max-load",
        }
    }

    fn take(&self, db: &mut dyn Connection) -> Result<f64, Error> {
        let untold = || {
            let name = db.dialect().name();
            Error::Invalid(format!(
                "{name} does not tell the {}: use <max-load>",
                self.name()
            ))
        };
        let sql = match (self, db.dialect().name()) {
            (Measure::Load(sql), _) => sql.as_str(),
            (Measure::Lags, "postgres") => PG_LAGS,
            (Measure::Lag, "postgres") => PG_LAG,
            (Measure::Waits, "postgres") => PG_WAITS,
            (Measure::Waits, "mysql") => MY_WAITS,
            (Measure::Lag, "mysql") => return mysql_lag(db),
            _ => return Err(untold()),
        };
        let mut rows = db.query(sql, &[])?;
        let last = rows.columns().len().saturating_sub(1);
        let row = rows.fetch()?;
        let text = row
            .and_then(|row| row.cell(last))
            .map(String::from_utf8_lossy);
        let number = text
            .as_deref()
            .and_then(|text| text.trim().parse::<f64>().ok());
        number.ok_or_else(|| {
            let shown = text.as_deref().unwrap_or("nothing");
            Error::Data(format!(
                "{}: the query gives {shown}, which is no number",
                self.name()
            ))
        })
    }
}

fn mysql_lag(db: &mut dyn Connection) -> Result<f64, Error> {
    let told = match replica_status(db, MY_LAG[0]) {
        Err(Error::Database(error)) if error.kind() == ErrorKind::Syntax => {
            replica_status(db, MY_LAG[1])
        }
        told => told,
    };
    told?.ok_or_else(|| Error::Invalid("<replica>: the server is no replica".to_owned()))
}

/// Seconds that a replica is behind; infinite while it does not replicate; `None` if it is none.
fn replica_status(db: &mut dyn Connection, sql: &str) -> Result<Option<f64>, Error> {
    let mut rows = db.query(sql, &[])?;
    let is_lag = |name: &str| MY_LAG_COLUMNS.contains(&name);
    let place = rows
        .columns()
        .iter()
        .position(|column| is_lag(&column.name));
    let Some(row) = rows.fetch()? else {
        return Ok(None);
    };
    let text = place
        .and_then(|place| row.cell(place))
        .map(String::from_utf8_lossy);
    let seconds = text.and_then(|text| text.parse().ok());
    Ok(Some(seconds.unwrap_or(f64::INFINITY)))
}
