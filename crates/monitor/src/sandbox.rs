//! What holds a program: seccomp, Landlock, limits, and the root it sees.

pub mod landlock;
pub mod limits;
pub mod root;
pub mod seccomp;
