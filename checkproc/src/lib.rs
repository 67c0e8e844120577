//! checkproc
