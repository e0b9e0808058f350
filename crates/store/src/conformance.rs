//! What every store must do, as tests that any adapter runs.
