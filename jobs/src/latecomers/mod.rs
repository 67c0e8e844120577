//! Rows that are committed late: what keeps a reader by a growing value from losing them. Pure; knows neither databases nor files nor any kind.
//!
//! A number is drawn at INSERT and seen at COMMIT. [`Look`] is what a server tells of its open transactions at one moment, `Guard` what has to end
//! before something seen then is final, `Holes` the gaps that wait for it, `Edge` the rows that share the highest value, [`Cursor`] all of that together.

mod cursor;
mod edge;
mod guard;
mod holes;
mod value;

pub(crate) use cursor::{Cursor, Row, Tracker};
pub(crate) use edge::EdgeWatch;
pub(crate) use guard::Look;
pub(crate) use holes::Due;
pub(crate) use value::{is_ahead, misfit};
