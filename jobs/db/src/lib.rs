//! jobs/db
