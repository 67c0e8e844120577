//! What people see of procctl on a terminal: aligned columns, colours, short forms of times and
//! amounts. Knows nothing of jobs.

pub mod columns;
pub mod terminal;
pub mod words;
