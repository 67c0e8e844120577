//! From the tree to Rust types: a serde `Deserializer` whose errors have a place, and all come at once.
//!
//! A struct's fields come from attributes and child elements by plain name, `$text` is the element's own
//! text; a `Vec` takes the repeated child elements of its name; numbers, `true`/`false` and unit enums come
//! from text. Names that a struct does not know are always problems.
//!
//! serde stops at its first error. To find them all, each pass notes the one it met, puts a harmless
//! stand-in where it arose, and the whole is read again; what was read that way is thrown away.

mod blank;
mod fields;
mod flaw;
mod hint;
mod report;
mod trail;
mod value;

pub(crate) use hint::{hint, quoted};

use crate::node::Node;
use crate::problem::Pos;
use report::Report;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use trail::Trail;
use value::{Form, Value};

/// Passes over one tree; each but the last finds a new problem or tries another stand-in.
const MAX_PASSES: usize = 300;

/// Reads an element into a `T`, or says everything that keeps it from being one. `beside` are names that
/// are known on the root element though `T` lacks them; they serve as hints alone.
pub(crate) fn read<T: DeserializeOwned>(
    node: &Node,
    beside: &[&str],
) -> Result<T, Vec<(Pos, String)>> {
    let report = RefCell::new(Report::new(beside));
    for _ in 0..MAX_PASSES {
        let value = Value {
            form: Form::One(node),
            owner: "",
            trail: Trail::root(),
            report: &report,
        };
        match T::deserialize(value) {
            Ok(value) if report.borrow().found.is_empty() => return Ok(value),
            Ok(_) => break,
            Err(flaw) => {
                if !report.borrow_mut().take(flaw) {
                    break;
                }
            }
        }
    }
    let mut found = report.into_inner().found;
    found.sort_by_key(|(pos, _)| *pos);
    Err(found)
}
