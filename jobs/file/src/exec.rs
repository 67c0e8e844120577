//! The parameters of `<exec>`: kept here because procctl forks such a job itself and `jobs` runs it by hand.

use crate::secrets::{has_reference, unescape};
use crate::written::written;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What `<exec>` takes beside the attributes that every kind has.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Exec {
    /// The program and its arguments, split into words as a shell does. No shell runs them: pipes,
    /// variables and the like need `sh -c '…'`.
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

/// The words of a command line, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl FromStr for Words {
    type Err = String;

    fn from_str(text: &str) -> Result<Words, String> {
        if has_reference(text) {
            return Err(IN_COMMAND.to_string());
        }
        let words = shlex::split(text)
            .ok_or("a quote is not closed, or a `\\` stands at the very end".to_string())?;
        match words.first() {
            None => Err("names no program".to_string()),
            Some(program) if program.is_empty() => Err("the program's name is empty".to_string()),
            Some(_) if words.iter().any(|w| w.contains('\0')) => Err("holds a NUL".to_string()),
            Some(_) => Ok(Words(words.iter().map(|w| unescape(w)).collect())),
        }
    }
}

/// Anyone may read a command line with `ps`.
pub(crate) const IN_COMMAND: &str = "`${…}` in a command would show in `ps`: hand it over by \
     <env name=\"…\" value=\"${…}\"/>, where the program finds it in its environment";

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
        for bad in ["", "  ", "a 'b", "'' x", "cat ${file:pw}"] {
            assert!(bad.parse::<Words>().is_err(), "{bad}");
        }
        assert_eq!(
            "sh -c 'echo $${HOME}'".parse::<Words>().unwrap().0[2],
            "echo ${HOME}"
        );
    }
}
