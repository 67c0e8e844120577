//! jobs/file
