//! What is PostgreSQL's own; what all backends share is in `tests/conformance`.
