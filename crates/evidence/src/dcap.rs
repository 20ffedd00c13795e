//! Intel DCAP: what SGX and TDX quotes share. The quote's form, the chain from the pinned root to the key that signed it,
//! collateral (TCB info, QE identity, revocation lists), and what a platform's TCB is worth under it.
//!
//! Collateral is verified once ([`verify_collateral`]) and serves any number of quotes inside its window. Quotes of versions 3,
//! 4 and 5 with bodies of SGX enclaves and of TD 1.0 and 1.5; what was never seen is refused rather than guessed.

mod appraise;
mod chain;
mod collateral;
mod identity;
pub mod layout;
mod parse;
mod pck;
mod pem;
mod refusal;
mod signed_json;
mod status;
mod tcb;
mod tcb_info;
mod verified;
mod verify;

pub use appraise::{Knobs, Setting, appraise};
pub use collateral::{COLLATERAL_MAX, Collateral, PcsAnswers};
pub use identity::QeIdentity;
pub use layout::{EnclaveReport, Quote, Tee};
pub use parse::parse;
pub(crate) use parse::{Reader, enclave_report};
pub use pck::{Configuration, Pck, PckCa};
pub use refusal::DcapRefusal;
pub use signed_json::SvnLevel;
pub use status::Status;
pub(crate) use tcb::TdSvns;
pub use tcb::{Module, Shortfall, Tcb};
pub use tcb_info::{Level, TcbInfo};
pub use verified::{PINNED_ROOTS, VerifiedCollateral, verify_collateral};
pub(crate) use verify::verify;
pub use verify::{Fit, Platform, check_root};
