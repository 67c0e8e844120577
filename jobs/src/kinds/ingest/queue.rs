//! Which files wait for which table, and in which order they may be taken. Pure.
//!
//! A lane holds the files of one table. Where the order of files changes what the table holds in the end, its files are taken
//! one after the other; else several workers take from it at once.

use std::collections::VecDeque;

use super::params::{Mode, Table};
use super::sets;
use crate::input::Input;

/// What is loaded in one transaction: a file, or with `replace` a complete set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    /// The place of its `<table>` in the job file.
    pub(super) table: usize,
    /// The lane that it came from.
    pub(super) lane: usize,
    pub(super) inputs: Vec<Input>,
}

/// What a worker that asks for work gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Task(Task),
    /// What is left has to wait for the end of what others do.
    Wait,
    End,
}

#[derive(Debug, Default)]
struct Lane {
    /// The target table's name.
    name: String,
    ordered: bool,
    busy: bool,
    tasks: VecDeque<Task>,
}

/// All files of a pass.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: Vec<Lane>,
    closed: bool,
}

/// Whether the order of this table's files matters.
pub(super) fn keeps_order(table: &Table) -> bool {
    table.mode != Mode::Insert || table.before_sql.is_some() || table.after_sql.is_some()
}

impl Queue {
    /// Takes in the files of one `<table>`, in the order in which they shall be loaded. Tells of sets that lack parts.
    pub(super) fn add(&mut self, at: usize, table: &Table, inputs: Vec<Input>) -> Vec<String> {
        let found = self.lanes.iter().position(|lane| lane.name == table.name);
        let lane = found.unwrap_or_else(|| {
            self.lanes.push(Lane {
                name: table.name.clone(),
                ..Lane::default()
            });
            self.lanes.len() - 1
        });
        let (units, waiting) = units(table, inputs);
        let tasks = units.into_iter().map(|inputs| Task {
            table: at,
            lane,
            inputs,
        });
        self.lanes[lane].ordered |= keeps_order(table);
        self.lanes[lane].tasks.extend(tasks);
        waiting
    }

    /// From now on the files of the table keep their order, whatever its mode: it has to be made first.
    pub(super) fn keep_order(&mut self, table: &str) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.name == table) {
            lane.ordered = true;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.tasks.is_empty())
    }

    /// How many tasks wait.
    pub(super) fn len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.tasks.len()).sum()
    }

    pub(super) fn take(&mut self) -> Next {
        if self.closed || self.is_empty() {
            return Next::End;
        }
        let free = |lane: &&mut Lane| !(lane.tasks.is_empty() || lane.ordered && lane.busy);
        match self.lanes.iter_mut().find(free) {
            Some(lane) => {
                lane.busy = true;
                lane.tasks.pop_front().map_or(Next::End, Next::Task)
            }
            None => Next::Wait,
        }
    }

    /// The worker is done with a task of this lane.
    pub(super) fn release(&mut self, lane: usize) {
        self.lanes[lane].busy = false;
    }

    /// What is left in the lane waits for the next pass.
    pub(super) fn give_up(&mut self, lane: usize) {
        self.lanes[lane].tasks.clear();
    }

    /// Nobody gets anything any more.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }
}

/// What is loaded together: single files, and with `replace` the complete sets; and which sets lack parts.
fn units(table: &Table, inputs: Vec<Input>) -> (Vec<Vec<Input>>, Vec<String>) {
    if table.mode != Mode::Replace {
        return (
            inputs.into_iter().map(|input| vec![input]).collect(),
            Vec::new(),
        );
    }
    let grouped = sets::group(inputs.iter().map(|input| input.name.clone()).collect());
    let by_name = |name: &String| {
        let place = inputs.iter().position(|input| input.name == *name);
        place.map(|place| inputs[place].clone())
    };
    let units = grouped.ready.iter();
    let units = units.map(|unit| unit.files.iter().filter_map(by_name).collect());
    (units.collect(), grouped.waiting)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::disk::FakeDisk;
    use crate::input::Inbox;

    fn tables(xml: &str) -> Vec<Table> {
        let xml = format!("<ingest><target url=\"sqlite:t.db\"/><input dir=\"in\"/>{xml}</ingest>");
        let file = jobfile::JobFile::from_text("i.xml".as_ref(), xml.as_bytes()).unwrap();
        file.params::<super::super::params::Params>()
            .unwrap()
            .tables
    }

    fn inputs(names: &[&str]) -> Vec<Input> {
        let dir = tempfile::tempdir().unwrap();
        let disk = FakeDisk::new();
        let cx = Context::fake_on(&disk, dir.path());
        for name in names {
            disk.put(&dir.path().join("in").join(name), b"x");
        }
        let inbox = Inbox::new(&cx, "in", None, None, std::time::Duration::ZERO);
        inbox.ready(&cx, |_| true).unwrap()
    }

    fn name(next: &Next) -> &str {
        match next {
            Next::Task(task) => &task.inputs[0].name,
            Next::Wait => "wait",
            Next::End => "end",
        }
    }

    #[test]
    fn order_is_kept_where_it_matters_and_nowhere_else() {
        let all = tables(
            r#"<table match="a*" name="a"/><table match="b*" name="b" mode="upsert"/><table match="c*" name="b"/>"#,
        );
        let mut queue = Queue::default();
        assert!(queue.add(0, &all[0], inputs(&["a1", "a2"])).is_empty());
        queue.add(1, &all[1], inputs(&["b1", "b2"]));
        queue.add(2, &all[2], inputs(&["c1"]));
        let taken: Vec<Next> = (0..4).map(|_| queue.take()).collect();
        let names: Vec<&str> = taken.iter().map(name).collect();
        assert_eq!(names, ["a1", "a2", "b1", "wait"]);
        queue.release(1);
        assert_eq!(name(&queue.take()), "b2");
        queue.release(1);
        assert_eq!(queue.len(), 1);
        assert_eq!(name(&queue.take()), "c1");
        assert_eq!(queue.take(), Next::End);
    }

    #[test]
    fn a_table_that_has_to_be_made_is_made_by_one() {
        let all = tables(r#"<table match="a*" name="a" create="true"/>"#);
        let mut queue = Queue::default();
        queue.add(0, &all[0], inputs(&["a1", "a2"]));
        queue.keep_order("a");
        assert_eq!(name(&queue.take()), "a1");
        assert_eq!(queue.take(), Next::Wait);
        queue.close();
        assert_eq!(queue.take(), Next::End);
    }

    #[test]
    fn a_set_is_one_task() {
        let all = tables(r#"<table match="*" name="a" mode="replace"/>"#);
        let mut queue = Queue::default();
        let waiting = queue.add(
            0,
            &all[0],
            inputs(&["s_1of2.csv", "s_2of2.csv", "t_1of2.csv"]),
        );
        assert_eq!(waiting.len(), 1);
        let Next::Task(task) = queue.take() else {
            panic!("nothing to do")
        };
        assert_eq!(task.inputs.len(), 2);
        assert!(queue.is_empty());
    }
}
