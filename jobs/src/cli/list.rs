//! What there is to know about kinds: `list`, `describe`, `new`, `schema`.

use std::{fmt::Write as _, path::Path};

use crate::{
    error::Error,
    external, home,
    job::Kind,
    kinds::{self, KINDS},
    schema::{self, Element, Field, describe, template, xsd::Xsd},
};

/// A line for each kind, external ones with their path.
pub(super) fn list(home: Option<&Path>) -> Result<String, Error> {
    // Without a home there are still the kinds that are built in.
    let home = home::find(home).ok();
    let mut out = String::new();
    for kind in KINDS {
        let _ = writeln!(out, "{:<12} {}", kind.name, kind.about);
    }
    for (name, program) in home.iter().flat_map(external::list) {
        if kinds::find(&name).is_none() {
            let _ = writeln!(out, "{name:<12} external: {}", program.display());
        }
    }
    Ok(out)
}

/// Everything about one kind.
pub(super) fn describe(name: &str) -> Result<String, Error> {
    let kind = kind(name)?;
    let params = schema::element(&(kind.schema)());
    let mut out = format!("{}: {}\n", kind.name, kind.about);
    describe::paragraphs(&mut out, &params.about, 0);
    out.push_str(
        "\nParameters (words in < > are child elements; others are attributes, or child elements with text):\n\n",
    );
    out.push_str(&describe::fields(&params, 1));
    out.push_str("\nAttributes that every kind has, on the root element:\n\n");
    out.push_str(&describe::fields(&root(), 1));
    let _ = write!(out, "\nExample:\n\n{}", kind.sample);
    Ok(out)
}

/// A commented job file.
pub(super) fn new(name: &str) -> Result<String, Error> {
    let kind = kind(name)?;
    template_of(kind)
}

/// The job file that `new` prints for a kind.
///
/// # Errors
/// [`Error::Internal`] when the kind's own sample is no XML.
pub fn template_of(kind: &Kind) -> Result<String, Error> {
    let sample = jobfile::parse(Path::new("sample"), kind.sample.as_bytes())
        .map_err(|problems| Error::Internal(format!("the sample of {}: {problems}", kind.name)))?;
    let params = schema::element(&(kind.schema)());
    Ok(template::write(
        kind.name,
        kind.about,
        &params,
        &root(),
        &sample,
    ))
}

/// The XSD of all kinds.
#[must_use]
pub fn schema() -> String {
    let mut xsd = Xsd::default();
    let root = root();
    for kind in KINDS {
        xsd.kind(
            kind.name,
            kind.about,
            &schema::element(&(kind.schema)()),
            &root,
        );
    }
    xsd.finish()
}

/// What every kind's root element may carry.
fn root() -> Element {
    let mut root = schema::element(&crate::job::schema_of::<jobfile::Root>());
    // The schema does not tell of names that mean the same.
    if let Some(at) = root
        .fields
        .iter()
        .position(|field| field.name == "heartbeat")
    {
        let alias = Field {
            name: "timeout".to_owned(),
            about: "Another name of `heartbeat`.".to_owned(),
            ..root.fields[at].clone()
        };
        root.fields.insert(at + 1, alias);
    }
    root
}

/// The kind that is meant, or which ones there are.
fn kind(name: &str) -> Result<&'static Kind, Error> {
    kinds::find(name).ok_or_else(|| {
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        Error::Usage(format!(
            "there is no kind {name:?}; there are {}",
            known.join(", ")
        ))
    })
}
