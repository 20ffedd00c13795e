//! Intel SGX: an enclave's quote (version 3, and 4 and 5 with an enclave's body), with key separation and sharing. The platform under
//! it, its collateral and what its TCB is worth are [`crate::dcap`]'s; here is what the enclave itself is.

mod appraise;
mod verify;

pub use appraise::{Knobs, appraise};
pub use verify::{Facts, verify};
