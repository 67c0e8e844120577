//! procctl
