//! The one error of this crate: a kind to decide by, what was being done, the server's own code and words.
//! Kinds come from native codes, never from message text.

use std::error::Error as StdError;
use std::fmt;

/// What went wrong, and on what.
///
/// Printed: what was being done, the kind, the column and the native code. The server's own words
/// are its source, so a printed chain tells all and nothing twice: the kind is left to a source of ours that has it.
#[derive(Debug, thiserror::Error)]
#[error("{action}{}{}{}", Meaning(.kind, .source), Column(.column), Native(.native))]
pub struct Error {
    kind: ErrorKind,
    action: String,
    column: Option<String>,
    native: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What an error means to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The row breaks a rule of the table.
    Constraint(Constraint),
    /// A value that its column cannot hold: not a number, too long, out of range, not UTF-8.
    Type,
    /// The server refuses the statement itself, as one that it does not understand; on databases whose codes do not tell them apart (SQLite), also a
    /// table or column that is not there.
    Syntax,
    /// A database, table or column that is not there.
    Missing,
    /// The server cannot be reached, or the connection broke.
    Connect,
    /// Not allowed: wrong password, missing right, read-only.
    Permission,
    /// Locked by others, deadlock, serialization failure: the same again may succeed.
    Busy,
    /// It took longer than the statement timeout.
    Timeout,
    /// Cancelled on request.
    Cancelled,
    /// The database's disk or quota is full.
    Full,
    /// A URL or an option of ours that makes no sense.
    Invalid,
    /// Anything else; see the source.
    Other,
}

/// The rule that a row breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraint {
    /// Primary or unique key: the key is there already.
    Unique,
    /// NULL where there must be a value.
    NotNull,
    /// A CHECK.
    Check,
    /// A foreign key without its parent row.
    ForeignKey,
    /// Another rule, such as one raised by a trigger.
    Other,
}

impl Error {
    /// An error of `kind` while doing `action` (a lower-case fragment that names the object).
    pub fn new(kind: ErrorKind, action: impl Into<String>) -> Self {
        Error {
            kind,
            action: action.into(),
            column: None,
            native: None,
            source: None,
        }
    }

    /// The same error, meant otherwise.
    #[must_use]
    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// Adds the cause: the driver's error, or a fragment of our own.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds the column.
    #[must_use]
    pub fn at_column(mut self, column: impl Into<String>) -> Self {
        self.column = Some(column.into());
        self
    }

    /// Adds the server's own code, such as `sqlite 2067` or `23505`.
    #[must_use]
    pub fn with_native(mut self, native: impl Into<String>) -> Self {
        self.native = Some(native.into());
        self
    }

    /// What it means.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What was being done, on what.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// The column, where it is known.
    pub fn column(&self) -> Option<&str> {
        self.column.as_deref()
    }

    /// The server's own code.
    pub fn native(&self) -> Option<&str> {
        self.native.as_deref()
    }

    /// Whether the same again, later, may succeed without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Connect | ErrorKind::Busy)
    }

    /// Tells the log of a load that was given up and could not be taken back. Where the connection is gone, the server has done that by itself.
    pub(crate) fn not_taken_back(&self) {
        let level = match self.kind {
            ErrorKind::Connect => log::Level::Debug,
            _ => log::Level::Error,
        };
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        log::log!(level, "taking back an unfinished load: {text}");
    }

    /// Whether it speaks of one row's content, so that other rows may still be good. Never worth a retry.
    pub fn is_row_error(&self) -> bool {
        matches!(self.kind, ErrorKind::Constraint(_) | ErrorKind::Type)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorKind::Constraint(Constraint::Unique) => "the key is there already",
            ErrorKind::Constraint(Constraint::NotNull) => "NULL where a value must be",
            ErrorKind::Constraint(Constraint::Check) => "a check of the table refuses the row",
            ErrorKind::Constraint(Constraint::ForeignKey) => "the row that it refers to is missing",
            ErrorKind::Constraint(Constraint::Other) => "a rule of the table refuses the row",
            ErrorKind::Type => "a value that the column cannot hold",
            ErrorKind::Syntax => "the statement was refused",
            ErrorKind::Missing => "not there",
            ErrorKind::Connect => "no connection",
            ErrorKind::Permission => "not allowed",
            ErrorKind::Busy => "locked by others",
            ErrorKind::Timeout => "longer than the statement timeout",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::Full => "no space left in the database",
            ErrorKind::Invalid => "not valid",
            ErrorKind::Other => "failed",
        })
    }
}

type Source = Option<Box<dyn StdError + Send + Sync>>;

struct Meaning<'a>(&'a ErrorKind, &'a Source);

impl fmt::Display for Meaning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Meaning(kind, source) = self;
        let inner = source.as_ref().and_then(|cause| cause.downcast_ref());
        if inner.is_some_and(|inner: &Error| inner.kind == **kind) {
            return Ok(());
        }
        write!(f, ": {kind}")
    }
}

struct Column<'a>(&'a Option<String>);

impl fmt::Display for Column<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .as_ref()
            .map_or(Ok(()), |column| write!(f, ", column {column}"))
    }
}

struct Native<'a>(&'a Option<String>);

impl fmt::Display for Native<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .as_ref()
            .map_or(Ok(()), |native| write!(f, " ({native})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_on_what_and_leaves_the_rest_to_its_source() {
        let error = Error::new(ErrorKind::Constraint(Constraint::NotNull), "loading into t")
            .at_column("id")
            .with_native("sqlite 1299")
            .because("NOT NULL constraint failed: t.id");
        assert_eq!(
            error.to_string(),
            "loading into t: NULL where a value must be, column id (sqlite 1299)"
        );
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some("NOT NULL constraint failed: t.id")
        );
        assert!(error.is_row_error() && !error.is_transient());
    }

    #[test]
    fn what_a_source_says_already_is_not_said_twice() {
        let told = |kind| {
            let inner = Error::new(ErrorKind::Syntax, "running statements").with_native("sqlite 1");
            Error::new(kind, "before-sql of t")
                .because(inner)
                .to_string()
        };
        assert_eq!(told(ErrorKind::Syntax), "before-sql of t");
        assert_eq!(told(ErrorKind::Other), "before-sql of t: failed");
    }
}
