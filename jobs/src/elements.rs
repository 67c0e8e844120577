//! Elements of job files that several kinds have, so that they look the same and are read the same everywhere.

use schemars::JsonSchema;
use serde::Deserialize;

/// A database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Database {
    /// Its URL, such as `sqlite:data/core.db`.
    pub(crate) url: String,
}

/// A value for SQL.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Param {
    /// Stands in the SQL as `:name`.
    pub(crate) name: String,
    /// The value.
    pub(crate) value: String,
}
