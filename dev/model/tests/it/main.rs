//! Engine, model and checker held together, and the theorems of `docs/rules.md` on generated worlds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]
#![allow(missing_docs, reason = "tests")]

mod agreement;
mod questions;
mod theorems;
