//! A memory for tests: on the power supply of a fake disk, atomic and durable at once. When the power fails at a commit,
//! the reboot's seed tells whether that commit happened.

use std::collections::BTreeMap;

use super::{Each, Store};
use crate::{disk::FakeDisk, error::Error};

pub(super) struct Fake {
    disk: FakeDisk,
    prefix: String,
}

impl Fake {
    pub(super) fn new(disk: &FakeDisk, name: &str) -> Fake {
        Fake {
            disk: disk.clone(),
            prefix: format!("{name}/"),
        }
    }

    fn values(&self) -> Result<BTreeMap<String, String>, Error> {
        let kept = self.disk.kept().map_err(Error::io("read", &self.prefix))?;
        let own = |(name, value): (String, String)| {
            Some((name.strip_prefix(&self.prefix)?.to_owned(), value))
        };
        Ok(kept.into_iter().filter_map(own).collect())
    }
}

impl Store for Fake {
    fn load(&self, name: &str) -> Result<Option<String>, Error> {
        Ok(self.values()?.remove(name))
    }

    fn list(&self) -> Result<Vec<(String, String)>, Error> {
        Ok(self.values()?.into_iter().collect())
    }

    fn each(&self, prefix: &str, each: &mut Each<'_>) -> Result<(), Error> {
        let values = self.values()?;
        let own = values.range(prefix.to_owned()..);
        own.take_while(|(name, _)| name.starts_with(prefix))
            .try_for_each(|(name, text)| each(name, text))
    }

    fn apply(&mut self, changes: &[(String, Option<String>)]) -> Result<(), Error> {
        let named = |(name, value): &(String, Option<String>)| {
            (format!("{}{name}", self.prefix), value.clone())
        };
        self.disk
            .keep(changes.iter().map(named).collect())
            .map_err(Error::io("write", &self.prefix))
    }
}
