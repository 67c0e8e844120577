//! The parameters of `tcp`.

use std::time::Duration;

use jobfile::{Interval, Patterns};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    job::Invalid,
    moving::{Then, every_name, keep, two_seconds, yes},
    transfer::name,
};

/// A file that changes for longer than this is not waited for by the server.
const MAX_STABLE: Duration = Duration::from_secs(60);

/// Files go between folders here and folders of a `fileserver`, each version once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Params {
    /// The server: a `fileserver` job somewhere.
    pub(super) server: Server,
    /// Encrypts the connection (TLS 1.3). The account's key proves who the server is; with `ca` its certificate has to, too.
    #[serde(default)]
    pub(super) tls: Option<Tls>,
    /// Files from here to the server. Done before the gets.
    #[serde(default)]
    pub(super) put: Vec<Put>,
    /// Files from the server to here.
    #[serde(default)]
    pub(super) get: Vec<Get>,
}

/// A server and who we are to it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Server {
    /// `name:port` or `address:port`.
    pub(super) host: String,
    /// The account.
    pub(super) account: String,
    /// Its key, the same text as at the server; best `${file:PATH}`, long and random.
    pub(super) key: String,
}

/// Encryption.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Tls {
    /// Certificates (PEM) to one of which the server's must lead.
    #[serde(default)]
    pub(super) ca: Option<String>,
    /// The name that the server's certificate is made out to, if it is not that of `host`.
    #[serde(default)]
    pub(super) name: Option<String>,
}

/// Files that go to the server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Put {
    /// The folder here.
    pub(super) from: String,
    /// The folder at the server, below the account's root; made if need be.
    pub(super) to: String,
    /// Patterns of the names, comma-separated. Names that begin with a dot are left alone.
    #[serde(rename = "match", default = "every_name")]
    pub(super) pattern: Patterns,
    /// Whether folders below are sent, too.
    #[serde(default)]
    pub(super) recurse: bool,
    /// What becomes of a file that is safe at the server: `keep` (only new and changed files go, remembered by name, size and
    /// time), `delete`, or `move:DIR`.
    #[serde(default = "keep")]
    pub(super) then: String,
    /// How long a file must have been unchanged.
    #[serde(default = "two_seconds")]
    pub(super) stable: Interval,
    /// Whether the server syncs files to its disk before it counts them as safe. `false` is faster, and a power cut may lose
    /// files that are gone here.
    #[serde(default = "yes")]
    pub(super) sync: bool,
}

/// Files that come from the server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Get {
    /// The folder at the server, below the account's root.
    pub(super) from: String,
    /// The folder here; made if need be.
    pub(super) to: String,
    /// Patterns of the names, comma-separated. Names that begin with a dot are left alone.
    #[serde(rename = "match", default = "every_name")]
    pub(super) pattern: Patterns,
    /// Whether folders below are fetched, too.
    #[serde(default)]
    pub(super) recurse: bool,
    /// What becomes of a file at the server that is safe here: `keep` (only new and changed files come, remembered by name,
    /// size and time), `delete`, or `move:DIR` (below the account's root). The last two need the right to put.
    #[serde(default = "keep")]
    pub(super) then: String,
    /// How long a file must have been unchanged at the server; a minute at most.
    #[serde(default = "two_seconds")]
    pub(super) stable: Interval,
    /// Whether files are synced to the disk here before they count as safe.
    #[serde(default = "yes")]
    pub(super) sync: bool,
}

impl Params {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        if self.put.is_empty() && self.get.is_empty() {
            return Err(Invalid::new(
                "",
                "moves nothing: it has neither <put> nor <get>",
            ));
        }
        let port = self
            .server
            .host
            .rsplit_once(':')
            .map(|(host, port)| (host, port.parse::<u16>()));
        if !matches!(port, Some((host, Ok(_))) if !host.is_empty())
            && !self.server.host.contains("${")
        {
            return Err(Invalid::new(
                "server.host",
                format!("`{}` is not NAME:PORT", self.server.host),
            ));
        }
        if self.server.account.is_empty() || self.server.account.len() > 64 {
            return Err(Invalid::new(
                "server.account",
                "an account's name has 1 to 64 bytes",
            ));
        }
        if self.server.key.trim().is_empty() {
            return Err(Invalid::new("server.key", "the key is empty"));
        }
        for (n, put) in self.put.iter().enumerate() {
            let at = |what: &str| format!("put[{}].{what}", n + 1);
            put.then
                .parse::<Then>()
                .map_err(|why| Invalid::new(at("then"), why))?;
            remote(&put.to).map_err(|why| Invalid::new(at("to"), why))?;
        }
        for (n, get) in self.get.iter().enumerate() {
            let at = |what: &str| format!("get[{}].{what}", n + 1);
            let then: Then = get
                .then
                .parse()
                .map_err(|why| Invalid::new(at("then"), why))?;
            if let Then::Move(dir) = then {
                remote(&dir).map_err(|why| Invalid::new(at("then"), why))?;
            }
            remote(&get.from).map_err(|why| Invalid::new(at("from"), why))?;
            if get.stable.0 > MAX_STABLE {
                return Err(Invalid::new(
                    at("stable"),
                    "a server waits a minute at most",
                ));
            }
        }
        Ok(())
    }
}

fn remote(text: &str) -> Result<(), String> {
    if text.contains("${") {
        return Ok(());
    }
    name::folder(text)
        .map(drop)
        .map_err(|why| format!("`{text}` is no folder at the server: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(inside: &str) -> Result<(), String> {
        let text = format!(r#"<tcp><server host="h:1" account="a" key="k"/>{inside}</tcp>"#);
        let file = jobfile::JobFile::from_text("t.xml".as_ref(), text.as_bytes())
            .map_err(|e| e.to_string())?;
        let params: Params = file.params().map_err(|e| e.to_string())?;
        params
            .check()
            .map_err(|invalid| format!("{}: {}", invalid.at, invalid.message))
    }

    #[test]
    fn parameters_have_to_make_sense_together() {
        assert_eq!(
            made(r#"<put from="out" to="/vip" then="move:sent"/>"#),
            Ok(())
        );
        assert_eq!(
            made(r#"<get from="." to="in" match="*.xml,*.csv" sync="false"/>"#),
            Ok(())
        );
        for (inside, wrong) in [
            ("", "moves nothing"),
            (r#"<put from="a" to="../b"/>"#, "put[1].to"),
            (
                r#"<put from="a" to="b"/><put from="a" to="b" then="burn"/>"#,
                "put[2].then",
            ),
            (r#"<get from="a" to="b" then="move:../x"/>"#, "get[1].then"),
            (r#"<get from="a" to="b" stable="2m"/>"#, "get[1].stable"),
        ] {
            let error = made(inside).unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
