//! A job file: which kind, under what name, when, and the kind's own parameters.

use crate::de;
use crate::interval::Interval;
use crate::node::Node;
use crate::parse::{MAX_SIZE, parse};
use crate::path;
use crate::problem::{Pos, Problem, Problems};
use crate::root::{Heartbeat, Root, check_name, check_root};
use crate::secrets::{Resolver, Secrets, check_references, has_reference};
use crate::trust::check_trust;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Kinds that are kept running when nothing says when they run. The others wait for a trigger.
pub const SERVICE_KINDS: &[&str] = &["exec", "fileserver", "forward", "api"];

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
    /// Reads a file from disk. For root it must be a file that nobody else may write.
    pub fn read(path: &Path) -> Result<JobFile, Problems> {
        check_trust(path)?;
        JobFile::from_text(path, &read_bytes(path)?)
    }

    /// Reads a file's content; `path` is for messages and for the name if the text gives none.
    pub fn from_text(path: &Path, text: &[u8]) -> Result<JobFile, Problems> {
        let mut node = parse(path, text)?;
        let mut found = Vec::new();
        check_references(&node, &mut found);
        let head = split_head(&mut node);
        let root = read_root(&head).unwrap_or_else(|problems| {
            found.extend(problems);
            None
        });
        let name = match head.attribute("name") {
            Some(name) => name.value.clone(),
            None => path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        };
        if let Err(message) = check_name(&name) {
            let given = head.attribute("name");
            let hint = if given.is_none() {
                "; give the job a name=\"…\""
            } else {
                ""
            };
            found.push((
                given.map_or(head.pos, |a| a.pos),
                format!("{message}{hint}"),
            ));
        }
        match root {
            Some(root) if found.is_empty() => Ok(JobFile {
                path: path.to_path_buf(),
                kind: node.name.clone(),
                name,
                root,
                node,
                head,
                secrets: None,
            }),
            _ => Err(Problems::of(path, found)),
        }
    }

    /// The kind's parameters, or everything that is wrong with them.
    pub fn params<T: DeserializeOwned>(&self) -> Result<T, Problems> {
        de::read(&self.node, &Root::ATTRIBUTES).map_err(|found| Problems::of(&self.path, found))
    }

    /// Sets a value as `--set` does: `output.rows`, `table[2].name`, `every`. Elements are counted from 1; the
    /// last step is an attribute or an element that holds text alone. What is not there is made; a name that
    /// the kind does not know shows when its parameters are read.
    pub fn set(&mut self, at: &str, value: &str) -> Result<(), Problems> {
        let fail =
            |message| Problems::from(Problem::whole(&self.path, format!("--set {at}: {message}")));
        if let Err(message) = path::parse(at) {
            return Err(fail(message));
        }
        if has_reference(value) && Root::ATTRIBUTES.contains(&at) && value.contains("${file:") {
            return Err(fail("`${file:…}` cannot stand there".to_string()));
        }
        let mut changed = self.clone();
        let of_root = Root::ATTRIBUTES.contains(&at) || at.starts_with("env");
        let tree = if of_root {
            &mut changed.head
        } else {
            &mut changed.node
        };
        // an alias takes the place of what it stands for
        let other = match at {
            "timeout" => "heartbeat",
            "heartbeat" => "timeout",
            _ => "",
        };
        tree.attributes.retain(|a| !of_root || a.name != other);
        path::set(tree, at, value).map_err(fail)?;
        if of_root {
            changed.take_head(at)?;
        }
        *self = changed;
        Ok(())
    }

    fn take_head(&mut self, at: &str) -> Result<(), Problems> {
        let problems = |found: Vec<(Pos, String)>| Problems::of(&self.path, found);
        let root = read_root(&self.head).map_err(problems)?;
        let Some(root) = root else { return Ok(()) };
        if at == "name" {
            let name = root.name.clone().unwrap_or_default();
            check_name(&name).map_err(|m| problems(vec![(self.head.pos, m)]))?;
            self.name = name;
        }
        self.root = root;
        Ok(())
    }

    /// Puts in what `${env:NAME}` (the job's own `<env>` first) and `${file:PATH}` stand for; to be called
    /// once, when the job starts. A second call changes nothing.
    pub fn resolve(&mut self, home: &Path) -> Result<Secrets, Problems> {
        if let Some(secrets) = &self.secrets {
            return Ok(secrets.clone());
        }
        let mut resolver = Resolver {
            home: Some(home),
            env: Vec::new(),
            secrets: Secrets::default(),
            found: Vec::new(),
        };
        let places: Vec<Pos> = self.head.children.iter().map(|n| n.pos).collect();
        for ((_, value), pos) in self.root.env.iter_mut().zip(places) {
            if let Some(resolved) = resolver.resolve(value, pos) {
                *value = resolved;
            }
        }
        resolver.env.clone_from(&self.root.env);
        let mut node = self.node.clone();
        resolver.resolve_tree(&mut node, self.kind == "exec");
        if !resolver.found.is_empty() {
            return Err(Problems::of(&self.path, resolver.found));
        }
        self.node = node;
        self.secrets = Some(resolver.secrets.clone());
        Ok(resolver.secrets)
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
            && self.node.says_the_same(&other.node)
            && (a.resident, &a.user, &a.group, &a.umask) == (b.resident, &b.user, &b.group, &b.umask)
            && (&a.dir, a.nice, a.memory, a.nofile) == (&b.dir, b.nice, b.memory, b.nofile)
            && a.env == b.env
            // the runner of a resident job waits by itself
            && (!a.resident || a.every == b.every)
    }
}

/// At most as many bytes as `parse` takes, and one.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, Problem> {
    let cannot = |e: std::io::Error| Problem::whole(path, format!("cannot read: {e}"));
    let file = File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(MAX_SIZE as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    Ok(bytes)
}

/// Takes the root attributes and `<env>` out of the tree.
fn split_head(node: &mut Node) -> Node {
    let of_root = |name: &str| Root::ATTRIBUTES.contains(&name) && name != "env";
    let (head, own) = std::mem::take(&mut node.attributes)
        .into_iter()
        .partition(|a| of_root(&a.name));
    let (env, children) = std::mem::take(&mut node.children)
        .into_iter()
        .partition(|c| c.name == "env");
    node.attributes = own;
    node.children = children;
    Node {
        name: node.name.clone(),
        pos: node.pos,
        text_pos: node.pos,
        attributes: head,
        children: env,
        ..Node::default()
    }
}

/// Reads the root attributes. `${env:…}` in them is replaced now, since they are needed before the job
/// starts; in `<env>` it stays until then.
fn read_root(head: &Node) -> Result<Option<Root>, Vec<(Pos, String)>> {
    let mut resolver = Resolver {
        home: None,
        env: Vec::new(),
        secrets: Secrets::default(),
        found: Vec::new(),
    };
    let mut head = head.clone();
    for attribute in &mut head.attributes {
        if let Some(value) = resolver.resolve(&attribute.value, attribute.pos) {
            attribute.value = value;
        }
    }
    let mut found = resolver.found;
    match de::read::<Root>(&head, &[]) {
        Ok(root) => {
            found.extend(check_root(&root, &head));
            if found.is_empty() {
                return Ok(Some(root));
            }
        }
        Err(problems) => found.extend(problems),
    }
    Err(found)
}
