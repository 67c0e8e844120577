//! A job file: which kind, under what name, when, and the kind's own parameters.

mod change;
mod read;

pub(crate) use read::read_bytes;

use crate::de;
use crate::interval::Interval;
use crate::node::Node;
use crate::path;
use crate::problem::{Pos, Problem, Problems};
use crate::root::{Heartbeat, Root};
use crate::secrets::Secrets;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::time::Duration;

/// Kinds that are kept running when nothing says when they run. The others wait for a trigger.
pub const SERVICE_KINDS: &[&str] = &["exec", "fileserver", "forward", "api"];

/// Parts of a kind that its running job takes over by itself when its file changes: a change of these alone restarts nothing.
const LIVE_PARTS: &[(&str, &str)] = &[("forward", "deliver")];

/// How long a job may be silent if its file does not say.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// One job as its file says it.
#[derive(Clone, Debug)]
pub struct JobFile {
    /// The file, as it was named.
    pub path: PathBuf,
    /// The root element's name.
    pub kind: String,
    /// The job's name.
    pub name: String,
    /// When it runs and how it is watched.
    pub root: Root,
    /// The root element without what `root` holds: the kind's own parameters.
    pub node: Node,
    /// What `root` was read from.
    head: Node,
    /// The values put in by `resolve`, once it has been called.
    secrets: Option<Secrets>,
}

impl JobFile {
    /// The kind's parameters, or everything that is wrong with them.
    pub fn params<T: DeserializeOwned>(&self) -> Result<T, Problems> {
        de::read(&self.node, &Root::ATTRIBUTES).map_err(|found| Problems::of(&self.path, found))
    }

    /// Where a path such as `table[1].mode` is written; the nearest place above it if it is not.
    pub fn locate(&self, at: &str) -> Pos {
        match path::locate(&self.head, at) {
            Some(pos) if Root::ATTRIBUTES.contains(&at) => pos,
            _ => path::nearest(&self.node, at),
        }
    }

    /// Problems at a path, for what is found wrong after parsing.
    pub fn problem_at(&self, at: &str, message: &str) -> Problem {
        let named = if at.is_empty() {
            message.to_string()
        } else {
            format!("`{at}`: {message}")
        };
        let text = match &self.secrets {
            Some(secrets) => secrets.redact(&named),
            None => named,
        };
        Problem::new(&self.path, self.locate(at), text)
    }

    /// How long it may be silent; none if nobody listens.
    pub fn heartbeat(&self) -> Option<Duration> {
        match self.root.heartbeat {
            Some(Heartbeat::Every(Interval(interval))) => Some(interval),
            Some(Heartbeat::Off) => None,
            None if self.kind == "exec" => None,
            None => Some(HEARTBEAT),
        }
    }

    /// The kind's own parameters without those that a running job takes over by itself.
    pub fn lasting(&self) -> Node {
        let lives = |child: &Node| LIVE_PARTS.contains(&(self.kind.as_str(), child.name.as_str()));
        let mut node = self.node.clone();
        node.children.retain(|child| !lives(child));
        node
    }

    /// True if it is to be kept running: a service kind without a schedule.
    pub fn is_service(&self) -> bool {
        !self.root.has_schedule() && SERVICE_KINDS.contains(&self.kind.as_str())
    }

    /// True if a run of this file and one of the other would be the same process doing the same: they
    /// differ at most in schedule and watching, and a running job need not be restarted.
    pub fn runs_like(&self, other: &JobFile) -> bool {
        let (a, b) = (&self.root, &other.root);
        self.name == other.name
            && self.kind == other.kind
            && self.lasting().says_the_same(&other.lasting())
            && (a.resident, &a.user, &a.group, &a.umask) == (b.resident, &b.user, &b.group, &b.umask)
            && (&a.dir, a.nice, a.memory, a.nofile) == (&b.dir, b.nice, b.memory, b.nofile)
            && a.env == b.env
            // the runner of a resident job waits by itself
            && (!a.resident || a.every == b.every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Exec, Interval, Missed, Overlap, Size, Umask, Zone};
    use std::path::Path;

    fn job(text: &str) -> JobFile {
        JobFile::from_text(Path::new("jobs/a.xml"), text.as_bytes()).unwrap()
    }

    fn wrong(text: &str) -> String {
        let outcome = JobFile::from_text(Path::new("a.xml"), text.as_bytes());
        outcome.unwrap_err().to_string()
    }

    #[test]
    fn everything_but_the_kind_has_a_default() {
        let job = job("<exec><command>true</command></exec>");
        assert_eq!((job.name.as_str(), job.kind.as_str()), ("a", "exec"));
        assert_eq!(job.root, Root::default());
        assert_eq!(job.root.backoff.max, Duration::from_secs(60));
        assert_eq!(
            (job.root.hang_grace, job.root.stop_grace),
            (Interval::secs(2), Interval::secs(10))
        );
        assert!(job.root.enabled && !job.root.resident);
        assert_eq!(job.heartbeat(), None);
        assert!(job.is_service());
    }

    #[test]
    fn every_attribute_is_read() {
        let job = job(
            r#"<sweep name="s.1" cron="0 */5 * * * *" splay="10s" tz="Europe/Berlin" window="22:00-05:30"
                missed="once" overlap="replace-hung" pool="db1" timeout="90s" hang-grace="1s" max-run="1h"
                backoff="0s" stop-grace="5s" resident="true" user="idc" group="1000" umask="027" dir="work"
                nice="-5" memory="64M" nofile="100" enabled="false" own="1">
              <env name="A" value="1"/><files/><env name="B" value="2"/></sweep>"#,
        );
        let root = &job.root;
        assert_eq!(job.name, "s.1");
        assert_eq!(
            root.cron.as_ref().map(ToString::to_string).as_deref(),
            Some("0 */5 * * * *")
        );
        assert_eq!(root.tz, "Europe/Berlin".parse::<Zone>().unwrap());
        assert_eq!(
            (root.missed, root.overlap),
            (Missed::Once, Overlap::ReplaceHung)
        );
        assert_eq!(job.heartbeat(), Some(Duration::from_secs(90)));
        assert_eq!(
            (root.umask, root.nice, root.memory),
            (Some(Umask(0o27)), Some(-5), Some(Size(64 << 20)))
        );
        assert_eq!(
            root.env.0,
            [("A".into(), "1".into()), ("B".into(), "2".into())]
        );
        assert!(!root.enabled && root.resident && !job.is_service());
        let own: Vec<_> = job
            .node
            .attributes
            .iter()
            .map(|a| a.name.as_str())
            .collect();
        assert_eq!((own, job.node.children.len()), (vec!["own"], 1));
    }

    #[test]
    fn what_is_wrong_with_the_root_comes_in_one_go() {
        let found = wrong(
            "<exec name='a/b' every='5x' cron='61 * * * *'\n window='25:00-1:00' nice='20' user=''>\n             <env name='A=' value=''/><env nam='B'/><command>${foo:x}</command></exec>",
        );
        for part in [
            "a.xml:1:7: name `a/b`: `/` is not taken",
            "a.xml:1:18: attribute `every` of <exec>: `5x` has an unknown unit",
            "a.xml:1:29: attribute `cron` of <exec>: minute `61`: expected 0 to 59",
            "a.xml:2:2: attribute `window` of <exec>: `25:00` is not a time of day",
            "a.xml:3:44: unknown attribute `nam` in <env>; did you mean `name`?",
            "unknown reference `${foo:x}`",
        ] {
            assert!(found.contains(part), "lacks {part}\nin {found}");
        }
        let found = wrong(
            "<exec every='5s' cron='@daily' after='b' nice='20' user=' ' timeout='1s' heartbeat='1s'>\n<env name='A=' value=''/></exec>",
        );
        assert!(
            found.contains("`heartbeat` is given twice, under two names"),
            "{found}"
        );
        let found = wrong(
            "<exec every='5s' cron='@daily' nice='20' user=' '>\n<env name='A=' value=''/></exec>",
        );
        for part in [
            "`cron` and `every` exclude each other",
            "expected -20 to 19",
            "`user`: is empty",
            "a.xml:2:1: <env>: `A=`",
        ] {
            assert!(found.contains(part), "lacks {part}\nin {found}");
        }
    }

    #[test]
    fn a_file_with_a_wrong_root_can_still_be_inspected() {
        let text = b"<exec evry='5s' every='5x'/>";
        let (job, problems) = JobFile::inspect(Path::new("a.xml"), text);
        assert_eq!(problems.0.len(), 1);
        let params = job.unwrap().params::<Exec>().unwrap_err().to_string();
        assert!(
            params.contains("a.xml:1:7: unknown attribute `evry` in <exec>; did you mean `every`?"),
            "{params}"
        );
        assert!(
            params.contains("a.xml:1:1: <exec> needs `command`"),
            "{params}"
        );
    }

    #[test]
    fn the_list_of_attributes_is_the_struct() {
        let schema = schemars::schema_for!(Root);
        let properties = schema
            .get("properties")
            .and_then(|p| p.as_object())
            .unwrap();
        let mut known: Vec<&str> = properties
            .keys()
            .map(String::as_str)
            .chain(["timeout"])
            .collect();
        let mut listed = Root::ATTRIBUTES.to_vec();
        known.sort_unstable();
        listed.sort_unstable();
        assert_eq!(known, listed);
        let heartbeat = properties["hang-grace"].as_object().unwrap();
        assert_eq!(heartbeat["default"], "2s");
        assert!(
            heartbeat["description"]
                .as_str()
                .unwrap()
                .contains("SIGTERM")
        );
    }

    #[test]
    fn values_can_be_set() {
        let mut job = job("<exec every='5s'><command>true</command></exec>");
        job.set("every", "1m").unwrap();
        job.set("timeout", "9s").unwrap();
        job.set("heartbeat", "8s").unwrap();
        job.set("name", "b").unwrap();
        job.set("command", "false").unwrap();
        job.set("beat", "output").unwrap();
        job.set("env[1].name", "A").unwrap_err();
        assert_eq!(job.root.every, Some(Interval::secs(60)));
        assert_eq!(
            (job.heartbeat(), job.name.as_str()),
            (Some(Duration::from_secs(8)), "b")
        );
        let exec: Exec = job.params().unwrap();
        assert_eq!(
            (exec.command.0, exec.beat),
            (vec!["false".to_string()], crate::Beat::Output)
        );
        for (path, value) in [
            ("every", "x"),
            ("cron", "@daily"),
            ("name", "a/b"),
            ("a..b", "1"),
            ("dir", "${file:x}"),
        ] {
            assert!(job.set(path, value).is_err(), "{path}");
        }
        assert_eq!(job.root.every, Some(Interval::secs(60)));
        job.set("comand", "x").unwrap();
        let error = job.params::<Exec>().unwrap_err().to_string();
        assert!(
            error.contains("unknown attribute `comand` in <exec>; did you mean `command`?"),
            "{error}"
        );
    }

    #[test]
    fn secrets_are_put_in_and_never_shown() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("pw"), "hunter22\n").unwrap();
        let mut job = job(
            "<fetch><env name='PW' value='${file:pw}'/><get url='https://u:${env:PW}@h/$${x}'/><max>${file:pw}</max></fetch>",
        );
        let secrets = job.resolve(home.path()).unwrap();
        assert_eq!(
            job.node.children[0].attributes[0].value,
            "https://u:hunter22@h/${x}"
        );
        assert_eq!(job.root.env[0].1, "hunter22");
        assert_eq!(secrets.redact("at hunter22!"), "at ***!");
        assert!(!format!("{job:?}{secrets:?}").contains("hunter22"));
        assert_eq!(job.resolve(home.path()), Ok(secrets));

        #[derive(serde::Deserialize, Debug)]
        struct Fetch {
            #[serde(rename = "get")]
            _get: Vec<std::collections::HashMap<String, String>>,
            #[serde(rename = "max")]
            _max: u32,
        }
        let error = job.params::<Fetch>().unwrap_err().to_string();
        assert!(
            error.contains("expected a whole number") && !error.contains("hunter22"),
            "{error}"
        );
    }

    #[test]
    fn secrets_that_are_missing_are_problems() {
        let home = tempfile::tempdir().unwrap();
        let mut job = job(
            "<exec>\n<env name='P' value='${file:none}'/>\n<command>x ${env:P}</command></exec>",
        );
        let error = job.resolve(home.path()).unwrap_err().to_string();
        assert!(error.contains("jobs/a.xml:2:1: cannot read"), "{error}");
        std::fs::write(home.path().join("none"), "two words").unwrap();
        let secrets = job.resolve(home.path()).unwrap();
        let exec: Exec = job.params().unwrap();
        assert_eq!(exec.command.plain(), ["x", "two words"]);
        assert_eq!(secrets.redact("x two words"), "x ***");
    }

    #[test]
    fn places_are_found_for_later_problems() {
        let job =
            job("<ingest every='1s'>\n<table name='a'/>\n<table name='b' mode='c'/></ingest>");
        let problem = job.problem_at("table[2].mode", "is odd");
        assert_eq!(
            problem.to_string(),
            "jobs/a.xml:3:17: `table[2].mode`: is odd"
        );
        assert_eq!(job.locate("every").column, 9);
        assert_eq!(job.locate("table[1].mode").line, 2);
    }

    #[test]
    fn a_change_of_what_a_running_job_takes_over_is_no_other_run() {
        let forward = |dir: &str, url: &str| {
            job(&format!(
                "<forward><spool dir='{dir}'/><deliver url='{url}'/></forward>"
            ))
        };
        assert!(forward("a", "b").runs_like(&forward("a", "c")));
        assert!(!forward("a", "b").runs_like(&forward("b", "b")));
        assert_eq!(forward("a", "b").lasting().children.len(), 1);
    }

    #[test]
    fn a_change_of_schedule_is_no_other_run() {
        let a = job("<exec every='5s'><command>true</command></exec>");
        assert!(a.runs_like(&job(
            "<exec cron='@daily' heartbeat='5s'>\n<command>true</command></exec>"
        )));
        assert!(!a.runs_like(&job(
            "<exec every='5s' nice='1'><command>true</command></exec>"
        )));
        assert!(!a.runs_like(&job("<exec every='5s'><command>false</command></exec>")));
    }
}
