//! Services: each a pure core (state in, answers out) and a thin shell. Here: the [`authority`].
#![forbid(unsafe_code)]

pub mod authority;
