//! What becomes of a job file after it was read: `--set`, and secrets put in.

use super::JobFile;
use super::read::read_root;
use crate::path;
use crate::problem::{Pos, Problem, Problems};
use crate::root::{Root, check_name};
use crate::secrets::{Resolver, Secrets, has_reference};
use std::path::Path;

impl JobFile {
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
        let env = at.split(['.', '[']).next() == Some("env");
        let of_root = env || Root::ATTRIBUTES.contains(&at);
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
        let mut resolver = Resolver::new(Some(home));
        let places: Vec<Pos> = self.head.children.iter().map(|n| n.pos).collect();
        let mut env = self.root.env.clone();
        for ((_, value), pos) in env.0.iter_mut().zip(places) {
            if let Some(resolved) = resolver.resolve(value, pos) {
                *value = resolved;
            }
        }
        resolver.env.clone_from(&env);
        let mut node = self.node.clone();
        resolver.resolve_tree(&mut node, self.kind == "exec");
        if !resolver.found.is_empty() {
            return Err(Problems::of(&self.path, resolver.found));
        }
        self.node = node;
        self.root.env = env;
        self.secrets = Some(resolver.secrets.clone());
        Ok(resolver.secrets)
    }
}
