//! The delivers that run, and those that should: a changed job file moves the one towards the other while senders go on.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jobfile::Home;
use ureq::tls::RootCerts;

use super::{
    deliver::{Engine, Figures, Reading, dead},
    params::{Deliver, Params},
    spool::Shelf,
    trouble::Trouble,
    vitals::Vitals,
};
use crate::{context::Context, error::Error, roots};

/// All delivers.
pub(super) struct Engines {
    home: Home,
    params: Params,
    shelf: Arc<Shelf>,
    vitals: Arc<Vitals>,
    trouble: Arc<Trouble>,
    running: Vec<Engine>,
    /// Numbers go on over a restart of a deliver.
    figures: HashMap<String, Arc<Figures>>,
}

impl Engines {
    /// Starts all delivers.
    ///
    /// # Errors
    /// When one cannot be started.
    pub(super) fn start(
        home: &Home,
        params: &Params,
        shelf: &Arc<Shelf>,
        vitals: &Arc<Vitals>,
        trouble: &Arc<Trouble>,
    ) -> Result<Engines, Error> {
        for deliver in &params.delivers {
            // nothing goes before each has said where it stands
            shelf.hold(&deliver.name, 0);
        }
        let mut engines = Engines {
            home: home.clone(),
            params: params.clone(),
            shelf: Arc::clone(shelf),
            vitals: Arc::clone(vitals),
            trouble: Arc::clone(trouble),
            running: Vec::new(),
            figures: HashMap::new(),
        };
        engines.tend()?;
        Ok(engines)
    }

    /// Takes over what has changed in the job file. What a running job cannot take over waits for the next start.
    pub(super) fn look(&mut self, cx: &Context) {
        let params = cx.changed_file().and_then(|file| {
            let Some(file) = file else { return Ok(None) };
            let params: Params = file.params()?;
            params
                .check()
                .map_err(|invalid| file.problem_at(&invalid.at, &invalid.message))?;
            for deliver in &params.delivers {
                trusted(&self.home, deliver)?;
            }
            Ok(Some(params))
        });
        match params {
            Ok(None) => {}
            Ok(Some(params)) if params == self.params => {}
            Ok(Some(params)) => {
                if (&params.listen, &params.spool) != (&self.params.listen, &self.params.spool) {
                    log::warn!(
                        "a change of <listen> or <spool> takes effect when the job starts again"
                    );
                }
                log::info!("the job file has changed: its <deliver> is taken over");
                for deliver in &params.delivers {
                    if !self
                        .params
                        .delivers
                        .iter()
                        .any(|old| old.name == deliver.name)
                    {
                        self.shelf.hold(&deliver.name, 0);
                    }
                }
                self.params.delivers = params.delivers;
            }
            Err(error) => {
                log::error!(
                    "the job file has changed and is not valid: {}",
                    error.chain()
                );
            }
        }
    }

    /// Stops what should not run, starts what should, as far as what stops has ended.
    ///
    /// # Errors
    /// When one cannot be started.
    pub(super) fn tend(&mut self) -> Result<(), Error> {
        for engine in &self.running {
            if !self.params.delivers.contains(engine.deliver()) {
                engine.stop();
            }
        }
        let wanted = &self.params.delivers;
        let named = |name: &str| wanted.iter().any(|deliver| deliver.name == name);
        for engine in self.running.iter().filter(|engine| engine.is_over()) {
            let name = &engine.deliver().name;
            if !named(name) {
                log::info!("{name}: delivers no more");
                self.shelf.release(name);
                self.trouble.over(&dead::trouble(name));
            }
            self.trouble.over(name);
        }
        self.running.retain(|engine| !engine.is_over());
        for deliver in wanted.clone() {
            let runs = |engine: &Engine| engine.deliver().name == deliver.name;
            if !self.running.iter().any(runs) {
                let engine = self.start_one(&deliver)?;
                self.running.push(engine);
            }
        }
        Ok(())
    }

    fn start_one(&mut self, deliver: &Deliver) -> Result<Engine, Error> {
        let figures = self.figures.entry(deliver.name.clone()).or_default();
        Engine::start(
            deliver,
            trusted(&self.home, deliver)?,
            self.params.spool.keep.0,
            &self.shelf,
            &self.vitals,
            &self.trouble,
            Arc::clone(figures),
        )
    }

    /// Name and numbers of each.
    pub(super) fn readings(&self) -> Vec<(String, Reading)> {
        let reading = |deliver: &Deliver| {
            let figures = self.figures.get(&deliver.name)?;
            Some((deliver.name.clone(), figures.read()))
        };
        self.params.delivers.iter().filter_map(reading).collect()
    }

    /// Asks all to stop; waits so long at most until they have.
    pub(super) fn stop(&self, long: Duration) {
        self.running.iter().for_each(Engine::stop);
        let end = std::time::Instant::now() + long;
        let mut seen = 0;
        while !self.running.iter().all(Engine::is_over) {
            let left = end.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return;
            }
            self.shelf
                .news
                .wait(&mut seen, left.min(Duration::from_millis(10)));
        }
    }
}

/// The authorities that a deliver trusts.
///
/// # Errors
/// When its file of them cannot be read.
pub(super) fn trusted(home: &Home, deliver: &Deliver) -> Result<RootCerts, Error> {
    roots::trusted(deliver.ca.as_ref().map(|ca| home.path(ca)).as_deref())
}
