//! Intel TDX: a trust domain's quote (versions 4 and 5, TD 1.0 and 1.5). The platform under it, its collateral and what its TCB is
//! worth are [`crate::dcap`]'s; here is what the domain itself is.

mod appraise;
pub mod ccel;
pub mod layout;
mod verify;

pub use appraise::{Knobs, appraise};
pub use ccel::Replayed;
pub use layout::TdReport;
pub use verify::{Facts, verify};
