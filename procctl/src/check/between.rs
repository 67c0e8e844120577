//! What is wrong between the job files of one home though each is right alone: a predecessor that does not exist, a circle of
//! `after`, a pool that the settings do not name. Pure: job files in, problems out.

use std::collections::{HashMap, HashSet};

use jobfile::{JobFile, Problem};

/// The problems of all jobs of a home, each with the place of its job in `jobs`; `pools` are the names that the settings give.
pub(super) fn problems(jobs: &[&JobFile], pools: &HashSet<&str>) -> Vec<(usize, Problem)> {
    let by_name: HashMap<&str, &JobFile> =
        jobs.iter().map(|job| (job.name.as_str(), *job)).collect();
    let mut found = Vec::new();
    for (place, job) in jobs.iter().enumerate() {
        let mut tell = |at: &str, message: String| {
            let problem = Problem::new(&job.path, job.locate(at), message);
            found.push((place, problem));
        };
        match job.root.after.as_deref() {
            Some(after) if !by_name.contains_key(after) => {
                tell("after", format!("`after`: there is no job {after}"));
            }
            Some(_) => {
                if let Some(way) = circle(job, &by_name) {
                    tell("after", format!("`after` goes in a circle: {way}"));
                }
            }
            None => {}
        }
        if let Some(pool) = job
            .root
            .pool
            .as_deref()
            .filter(|pool| !pools.contains(pool))
        {
            let message = format!("`pool`: procctl.xml names no pool {pool}");
            tell("pool", message);
        }
    }
    found
}

/// The circle of `after` that a job is part of, in the order in which its jobs would run.
fn circle(job: &JobFile, by_name: &HashMap<&str, &JobFile>) -> Option<String> {
    let mut way = vec![job.name.as_str()];
    let mut at = job;
    while let Some(before) = at.root.after.as_deref().and_then(|name| by_name.get(name)) {
        if before.name == job.name {
            way.push(&job.name);
            way.reverse();
            return Some(way.join(" → "));
        }
        if way.contains(&before.name.as_str()) {
            return None;
        }
        way.push(&before.name);
        at = before;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn told(files: &[(&str, &str)]) -> Vec<String> {
        let jobs: Vec<JobFile> = files
            .iter()
            .map(|(name, attributes)| {
                let text = format!("<exec {attributes}><command>true</command></exec>");
                let path = format!("{name}.xml");
                JobFile::from_text(Path::new(&path), text.as_bytes()).expect("is a job file")
            })
            .collect();
        let jobs: Vec<&JobFile> = jobs.iter().collect();
        let found = problems(&jobs, &HashSet::from(["db1"]));
        found
            .iter()
            .map(|(_, problem)| problem.to_string())
            .collect()
    }

    #[test]
    fn predecessors_and_pools_must_exist() {
        assert_eq!(
            told(&[("a", "pool='db1'"), ("b", "after='a'")]),
            Vec::<String>::new()
        );
        assert_eq!(
            told(&[("a", "after='x' pool='db2'")]),
            [
                "a.xml:1:7: `after`: there is no job x",
                "a.xml:1:17: `pool`: procctl.xml names no pool db2"
            ]
        );
    }

    #[test]
    fn a_circle_is_told_at_each_of_its_jobs_and_at_no_other() {
        let lines = told(&[("a", "after='b'"), ("b", "after='a'"), ("c", "after='b'")]);
        assert_eq!(
            lines,
            [
                "a.xml:1:7: `after` goes in a circle: a → b → a",
                "b.xml:1:7: `after` goes in a circle: b → a → b"
            ]
        );
    }
}
