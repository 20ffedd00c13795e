//! A naive reference for decisions over claims: everything that follows is derived, again and again, until nothing is new.
//!
//! It has no index, no search and no bound but the number of hops; it shares the types of claims and policies with the
//! engine and none of its reasoning. [`worlds`] makes policies and claims at random, [`agree`] holds engine, model and
//! checker together. Never shipped.
#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "read by this project's own tests")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a world that cannot be set up fails its test"
)]

pub mod agree;
pub mod saturate;
pub mod tally;
pub mod worlds;
