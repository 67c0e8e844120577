//! From a file's text to a `JobFile`: the root attributes are told from the kind's own and read at once.

use super::JobFile;
use crate::de;
use crate::node::Node;
use crate::parse::{MAX_SIZE, parse};
use crate::problem::{Pos, Problem, Problems};
use crate::root::{Root, check_name, check_root};
use crate::secrets::{Resolver, check_references};
use crate::trust::check_trust;
use std::fs::File;
use std::io::Read;
use std::path::Path;

impl JobFile {
    /// Reads a file from disk. For root it must be a file that nobody else may write.
    pub fn read(path: &Path) -> Result<JobFile, Problems> {
        check_trust(path)?;
        JobFile::from_text(path, &read_bytes(path)?)
    }

    /// Reads a file's content; `path` is for messages and for the name if the text gives none.
    pub fn from_text(path: &Path, text: &[u8]) -> Result<JobFile, Problems> {
        match JobFile::inspect(path, text) {
            (Some(job), problems) if problems.0.is_empty() => Ok(job),
            (_, problems) => Err(problems),
        }
    }

    /// Reads a file's content as far as that goes, for checking alone: as long as the text is XML there is a
    /// job beside the problems, with defaults in place of attributes that are wrong, so that its parameters
    /// can be looked at too.
    pub fn inspect(path: &Path, text: &[u8]) -> (Option<JobFile>, Problems) {
        let mut node = match parse(path, text) {
            Ok(node) => node,
            Err(problems) => return (None, problems),
        };
        let mut found = Vec::new();
        check_references(&node, &mut found);
        let head = split_head(&mut node);
        let root = read_root(&head).unwrap_or_else(|problems| {
            found.extend(problems);
            Root::default()
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
        let job = JobFile {
            path: path.to_path_buf(),
            kind: node.name.clone(),
            name,
            root,
            node,
            head,
            secrets: None,
        };
        (Some(job), Problems::of(path, found))
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
pub(super) fn read_root(head: &Node) -> Result<Root, Vec<(Pos, String)>> {
    let mut resolver = Resolver::new(None);
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
                return Ok(root);
            }
        }
        Err(problems) => found.extend(problems),
    }
    Err(found)
}
