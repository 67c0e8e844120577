//! The parameters of `fileserver`.

use std::{collections::HashSet, net::SocketAddr};

use jobfile::Size;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{job::Invalid, transfer::login::Rights};

/// Clients (`tcp`) log in by account and key, and see the folder of their account alone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Params {
    /// Where clients connect to.
    pub(super) listen: Listen,
    /// Encrypts all connections (TLS 1.3).
    #[serde(default)]
    pub(super) tls: Option<Tls>,
    /// Who may come, and what they may do.
    pub(super) account: Vec<Account>,
}

/// Where clients connect to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Listen {
    /// `address:port`, as `0.0.0.0:5005` or `[::]:5005`.
    pub(super) address: String,
    /// Connections at once that are logged in.
    #[serde(default = "connections")]
    pub(super) connections: usize,
    /// Of these, from one address.
    #[serde(default = "per_address")]
    pub(super) per_address: usize,
}

/// Encryption.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Tls {
    /// The server's certificate, with those that lead to its authority (PEM). One that nobody signed will do: the accounts'
    /// keys prove who is who.
    pub(super) cert: String,
    /// Its private key (PEM).
    pub(super) key: String,
}

/// An account.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Account {
    /// Its name.
    pub(super) name: String,
    /// Its key, the same text as at the client; best `${file:PATH}`, long and random.
    pub(super) key: String,
    /// The folder that is its whole world; made if need be.
    pub(super) root: String,
    /// `get`, `put`, or both. To delete or move files by a get takes both.
    #[serde(default = "both")]
    pub(super) rights: String,
    /// Bytes that its folder may hold.
    #[serde(default)]
    pub(super) quota: Option<Size>,
    /// Makes the folder a cache: when the quota is reached, files that were not used for longest go.
    #[serde(default)]
    pub(super) evict: bool,
}

fn connections() -> usize {
    256
}

fn per_address() -> usize {
    64
}

fn both() -> String {
    "get put".to_owned()
}

impl Account {
    pub(super) fn rights(&self) -> Result<Rights, String> {
        let mut rights = Rights {
            get: false,
            put: false,
        };
        for word in self
            .rights
            .split([' ', ','])
            .filter(|word| !word.is_empty())
        {
            match word {
                "get" => rights.get = true,
                "put" => rights.put = true,
                other => return Err(format!("`{other}` is none of get, put")),
            }
        }
        Ok(rights)
    }
}

impl Params {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let address = &self.listen.address;
        if address.parse::<SocketAddr>().is_err() && !address.contains("${") {
            return Err(Invalid::new(
                "listen.address",
                format!("`{address}` is not ADDRESS:PORT, as 0.0.0.0:5005"),
            ));
        }
        if self.account.is_empty() {
            return Err(Invalid::new("account", "nobody may come in"));
        }
        let mut names = HashSet::new();
        for (n, account) in self.account.iter().enumerate() {
            let at = |what: &str| format!("account[{}].{what}", n + 1);
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
            if account.name.is_empty()
                || account.name.len() > 64
                || !account.name.chars().all(plain)
            {
                return Err(Invalid::new(
                    at("name"),
                    "1 to 64 of letters, digits, `.`, `_`, `-`, `@`",
                ));
            }
            if !names.insert(account.name.as_str()) {
                return Err(Invalid::new(
                    at("name"),
                    format!("there are two accounts `{}`", account.name),
                ));
            }
            if account.key.trim().is_empty() {
                return Err(Invalid::new(at("key"), "the key is empty"));
            }
            if account.root.is_empty() {
                return Err(Invalid::new(at("root"), "the root is empty"));
            }
            account
                .rights()
                .map_err(|why| Invalid::new(at("rights"), why))?;
            if account.evict && account.quota.is_none() {
                return Err(Invalid::new(
                    at("evict"),
                    "nothing is ever evicted without a quota",
                ));
            }
        }
        Ok(())
    }
}
