//! What a job remembers between runs: names with JSON values, one SQLite file a job (`state/JOB.db`).
//!
//! **Guarantee**: [`State::commit`] is atomic, and durable when it returns. What is remembered belongs to the job's name.
//! A file that cannot be read is an error, never an empty memory: a cursor that starts anew would do everything twice.

mod fake;
mod file;

use std::{collections::BTreeMap, path::Path};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    disk::{Disk, FakeDisk, folder},
    error::Error,
};

/// What a reset puts in the place of all that is forgotten: names with JSON values. A job that keeps something elsewhere too (a cursor in a
/// database) finds there that it has to be put back. It stays over resets.
pub const AFTER_RESET: &str = "after-reset";

/// A job's memory.
pub struct State(Box<dyn Store>);

/// What looks at names and values one by one.
type Each<'a> = dyn FnMut(&str, &str) -> Result<(), Error> + 'a;

/// Where a memory is kept.
trait Store: Send {
    fn load(&self, name: &str) -> Result<Option<String>, Error>;
    fn list(&self) -> Result<Vec<(String, String)>, Error>;
    fn each(&self, prefix: &str, each: &mut Each<'_>) -> Result<(), Error>;
    fn apply(&mut self, changes: &[(String, Option<String>)]) -> Result<(), Error>;
}

/// What a reset did.
#[derive(Debug, PartialEq, Eq)]
pub struct Reset {
    /// How many values are gone.
    pub forgotten: usize,
    /// What the next run finds, and has to do itself.
    pub orders: BTreeMap<String, Value>,
}

/// Changes that happen all together or not at all.
#[derive(Debug, Default)]
pub struct Changes(Vec<(String, Option<String>)>);

impl Changes {
    /// None yet.
    #[must_use]
    pub fn new() -> Changes {
        Changes::default()
    }

    /// Sets a value.
    ///
    /// # Errors
    /// When the value has no JSON form (a map with keys that are no strings).
    pub fn set(mut self, name: &str, value: &impl Serialize) -> Result<Changes, Error> {
        let text = serde_json::to_string(value).map_err(|error| {
            Error::Internal(format!("the state {name} has no JSON form: {error}"))
        })?;
        self.0.push((name.to_owned(), Some(text)));
        Ok(self)
    }

    /// Forgets a value.
    #[must_use]
    pub fn delete(mut self, name: &str) -> Changes {
        self.0.push((name.to_owned(), None));
        self
    }
}

impl State {
    /// Opens a job's memory, making the file if it is not there.
    ///
    /// # Errors
    /// When the file cannot be opened, is no state file, or is of a layout that this program does not know.
    pub fn open(path: &Path, disk: &dyn Disk) -> Result<State, Error> {
        let fresh = disk.look(path)?.is_none();
        if fresh {
            disk.create_dirs(folder(path))?;
        }
        let store = file::File::open(path)?;
        if fresh {
            disk.sync_dir(folder(path))?;
        }
        Ok(State(Box::new(store)))
    }

    /// A memory for tests, on the power supply of a fake disk. It outlives the job as a file would: the same disk
    /// with the same `name` gives the same memory.
    #[must_use]
    pub fn fake(disk: &FakeDisk, name: &str) -> State {
        State(Box::new(fake::Fake::new(disk, name)))
    }

    /// The value of this name.
    ///
    /// # Errors
    /// When the memory cannot be read, or holds something of another shape.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let Some(text) = self.0.load(name)? else {
            return Ok(None);
        };
        serde_json::from_str(&text).map(Some).map_err(|error| {
            Error::Data(format!(
                "the state {name} is not what this job writes: {error}; see `jobs state`"
            ))
        })
    }

    /// Shows every name that begins with `prefix`, and its value as JSON, in name order, one at a time: for memories that
    /// hold very many.
    ///
    /// # Errors
    /// When the memory cannot be read, and what `each` gives.
    pub fn each(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(&str, &str) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.0.each(prefix, each)
    }

    /// Sets one value, durably.
    ///
    /// # Errors
    /// When it cannot be made durable.
    pub fn set(&mut self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        self.commit(Changes::new().set(name, value)?)
    }

    /// Forgets one value, durably.
    ///
    /// # Errors
    /// When that cannot be made durable.
    pub fn delete(&mut self, name: &str) -> Result<(), Error> {
        self.commit(Changes::new().delete(name))
    }

    /// Makes changes, all together, durably.
    ///
    /// # Errors
    /// When they cannot be made durable. Then all of them happened or none, and only reading tells.
    pub fn commit(&mut self, changes: Changes) -> Result<(), Error> {
        self.0.apply(&changes.0)
    }

    /// Everything, in name order, for operators.
    ///
    /// # Errors
    /// When the memory cannot be read. A value that is no JSON shows as text.
    pub fn all(&self) -> Result<Vec<(String, Value)>, Error> {
        let values = self.0.list()?.into_iter();
        Ok(values
            .map(|(name, text)| {
                (
                    name,
                    serde_json::from_str(&text).unwrap_or(Value::String(text)),
                )
            })
            .collect())
    }

    /// Forgets everything, durably, but for [`AFTER_RESET`] and what that says.
    ///
    /// # Errors
    /// When that cannot be made durable, or what is to stay cannot be read.
    pub fn reset(&mut self) -> Result<Reset, Error> {
        let orders: BTreeMap<String, Value> = self.get(AFTER_RESET)?.unwrap_or_default();
        let names = self.0.list()?.into_iter().map(|(name, _)| name);
        let forgotten: Vec<String> = names.filter(|name| name != AFTER_RESET).collect();
        let mut changes = Changes::new();
        for name in &forgotten {
            changes = changes.delete(name);
        }
        for (name, value) in &orders {
            changes = changes.set(name, value)?;
        }
        self.commit(changes)?;
        Ok(Reset {
            forgotten: forgotten.len(),
            orders,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    fn behaves(mut open: impl FnMut() -> State) {
        let mut state = open();
        assert_eq!(state.get::<u64>("cursor").unwrap(), None);
        state.set("cursor", &7_u64).unwrap();
        state
            .commit(
                Changes::new()
                    .set("plan", &("a", 1))
                    .unwrap()
                    .delete("cursor")
                    .set("站", &"x")
                    .unwrap(),
            )
            .unwrap();
        drop(state);
        let mut state = open();
        assert_eq!(state.get::<u64>("cursor").unwrap(), None);
        assert_eq!(
            state.get::<(String, u8)>("plan").unwrap(),
            Some(("a".to_owned(), 1))
        );
        assert!(matches!(state.get::<u64>("plan"), Err(Error::Data(_))));
        let names: Vec<String> = state
            .all()
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["plan", "站"]);
        let mut seen = Vec::new();
        let mut see = |name: &str, text: &str| {
            seen.push((name.to_owned(), text.to_owned()));
            Ok(())
        };
        state.each("pl", &mut see).unwrap();
        state.each("q", &mut see).unwrap();
        state.each("站", &mut see).unwrap();
        assert_eq!(
            seen,
            [("plan", r#"["a",1]"#), ("站", r#""x""#)].map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
        state.delete("plan").unwrap();
        assert_eq!(state.reset().unwrap().forgotten, 1);
        assert_eq!(state.all().unwrap(), []);
        let orders = BTreeMap::from([("from".to_owned(), Value::from("start"))]);
        state.set(AFTER_RESET, &orders).unwrap();
        state.set("upto", &7).unwrap();
        for forgotten in [1, 1] {
            let reset = Reset {
                forgotten,
                orders: orders.clone(),
            };
            assert_eq!(state.reset().unwrap(), reset);
            let names: Vec<_> = state.all().unwrap().into_iter().map(|one| one.0).collect();
            assert_eq!(names, [AFTER_RESET, "from"]);
        }
        state
            .commit(Changes::new().delete(AFTER_RESET).delete("from"))
            .unwrap();
    }

    #[test]
    fn file_and_fake_behave_alike() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state/job.db");
        behaves(|| State::open(&path, &RealDisk).unwrap());
        let disk = FakeDisk::new();
        behaves(|| State::fake(&disk, "job"));
        assert_eq!(State::fake(&disk, "other").all().unwrap(), []);
    }

    #[test]
    fn a_file_of_another_layout_or_none_at_all_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let (garbage, newer) = (home.path().join("garbage.db"), home.path().join("newer.db"));
        std::fs::write(&garbage, vec![b'x'; 5000]).unwrap();
        assert!(State::open(&garbage, &RealDisk).is_err());
        drop(State::open(&newer, &RealDisk).unwrap());
        let connection = rusqlite::Connection::open(&newer).unwrap();
        connection.execute_batch("PRAGMA user_version=99").unwrap();
        let error = State::open(&newer, &RealDisk).err().unwrap();
        assert!(error.to_string().contains("layout 99"), "{error}");
    }

    #[test]
    fn two_processes_may_look_at_one_memory() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("job.db");
        let mut one = State::open(&path, &RealDisk).unwrap();
        let other = State::open(&path, &RealDisk).unwrap();
        one.set("cursor", &1).unwrap();
        assert_eq!(other.get::<u8>("cursor").unwrap(), Some(1));
    }
}
