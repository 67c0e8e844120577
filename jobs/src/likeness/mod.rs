//! Likeness of tables: what a column's type can hold, a table made like one of another database, what is lost between two
//! tables, and when two cells of theirs are equal.
//!
//! Everything here is drawn from dictionaries ([`db::TableInfo`]) and is pure but for [`make`]. What the types of a database are called
//! stands in two lists, one for reading (`read.rs`) and one for writing (`spelling.rs`): another database is a few lines of data in each, and
//! one without lines is served by its [`db::Dialect`] alone. No row passes here.

mod compare;
mod default;
mod draw;
mod even;
mod holds;
mod read;
mod spelling;
mod twin;
mod types;

pub use compare::{Pair, Side, may_alter, mismatches};
pub use draw::{Drawing, Wanted, draw};
pub use even::Even;
pub use read::type_of;
pub use twin::{make, twin};
pub use types::{Digits, Type};
