//! Tests of the plan with a fake clock.
