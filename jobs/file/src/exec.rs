//! The parameters of `<exec>`: kept here because procctl forks such a job itself and `jobs` runs it by hand.

use crate::problem::Pos;
use crate::secrets::{Resolver, unescape};
use crate::written::written;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// What `<exec>` takes beside the attributes that every kind has.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Exec {
    /// The program and its arguments, split into words as a shell does. No shell runs them: pipes,
    /// variables and the like need `sh -c '…'`. `${env:NAME}` and `${file:PATH}` are put in after the splitting; whoever
    /// runs `ps` sees the words of a running command, so a password belongs into `<env>`.
    pub command: Words,
    /// Where the heartbeat comes from: `none`, `output` (each line that it prints) or `self` (it beats itself).
    #[serde(default)]
    pub beat: Beat,
}

/// Where the heartbeat of a program comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Beat {
    /// It has none; only its end is noticed.
    #[default]
    None,
    /// Each line it prints is a beat.
    Output,
    /// It beats by `checkproc beat`, or by `WATCHDOG=1` on `NOTIFY_SOCKET` as for systemd.
    #[serde(rename = "self")]
    SelfBeat,
}

/// The words of a command line, at least one, as they are written: references are not yet put in, and `$${` stands for `${`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl FromStr for Words {
    type Err = String;

    fn from_str(text: &str) -> Result<Words, String> {
        let words = shlex::split(text)
            .ok_or("a quote is not closed, or a `\\` stands at the very end".to_string())?;
        match words.first() {
            None => Err("names no program".to_string()),
            Some(program) if program.is_empty() => Err("the program's name is empty".to_string()),
            Some(_) if words.iter().any(|w| w.contains('\0')) => Err("holds a NUL".to_string()),
            Some(_) => Ok(Words(words)),
        }
    }
}

impl Words {
    /// The words as the program gets them, where no reference is left in them.
    pub fn plain(&self) -> Vec<String> {
        self.0.iter().map(|word| unescape(word)).collect()
    }

    /// The words as the program gets them, with what `${env:NAME}` (the job's own variables first) and `${file:PATH}` stand for put in; what is put
    /// in is never split. To be called where a job starts without `JobFile::resolve`. The error says what cannot be put
    /// in, one reference a line.
    pub fn resolve(&self, home: &Path, env: &[(String, String)]) -> Result<Vec<String>, String> {
        let mut resolver = Resolver::new(Some(home));
        resolver.env = env.to_vec();
        let words = self.put_in(&mut resolver, Pos::default());
        if resolver.found.is_empty() {
            return Ok(words);
        }
        let all: Vec<String> = resolver.found.into_iter().map(|(_, text)| text).collect();
        Err(all.join("\n"))
    }

    /// The command as it is written in a file that means these words and nothing else.
    pub(crate) fn resolved_text(&self, resolver: &mut Resolver<'_>, pos: Pos) -> String {
        let words = self.put_in(resolver, pos);
        Words(words.iter().map(|word| word.replace("${", "$${")).collect()).to_string()
    }

    fn put_in(&self, resolver: &mut Resolver<'_>, pos: Pos) -> Vec<String> {
        let word = |word: &String| resolver.resolve(word, pos).unwrap_or_else(|| word.clone());
        self.0.iter().map(word).collect()
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = shlex::try_join(self.0.iter().map(String::as_str));
        f.write_str(&quoted.unwrap_or_else(|_| self.0.join(" ")))
    }
}

written!(Words, "command", "^.+$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        let words: Words = "/bin/sh -c 'echo \"a b\"' x\\ y".parse().unwrap();
        assert_eq!(words.0, ["/bin/sh", "-c", "echo \"a b\"", "x y"]);
        for bad in ["", "  ", "a 'b", "'' x"] {
            assert!(bad.parse::<Words>().is_err(), "{bad}");
        }
        assert_eq!(
            "sh -c 'echo $${HOME}'".parse::<Words>().unwrap().plain()[2],
            "echo ${HOME}"
        );
    }

    #[test]
    fn what_is_put_in_is_one_word_and_means_itself() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("pw"), "a 'b' ${c} $${d}\n").unwrap();
        let words: Words = "x -p${file:pw} '$${e} ${env:V}'".parse().unwrap();
        let env = [("V".to_string(), "v".to_string())];
        let expected = ["x", "-pa 'b' ${c} $${d}", "${e} v"];
        assert_eq!(words.resolve(home.path(), &env).unwrap(), expected);
        let mut resolver = Resolver::new(Some(home.path()));
        resolver.env = env.to_vec();
        let text = words.resolved_text(&mut resolver, Pos::default());
        assert_eq!(text.parse::<Words>().unwrap().plain(), expected);
        let lacks: Words = "x ${file:none}".parse().unwrap();
        assert!(
            lacks
                .resolve(home.path(), &[])
                .unwrap_err()
                .contains("cannot read")
        );
    }
}
