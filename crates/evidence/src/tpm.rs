//! TPM 2.0 quotes: what a TPM says about the registers of a measured boot, under a key somebody vouches for. A quote is authentic if its
//! key is: by a certificate to a pinned root, because a hardware report or a signed document names it ([`crate::azure`], NitroTPM), or
//! because the relying party said so itself. What the registers mean, event logs tell ([`crate::tcg`]).

mod appraise;
mod key;
pub mod layout;
pub mod machine;
mod parse;
mod refusal;
mod verify;

pub use appraise::{Knobs, appraise, appraise_log, explained, quoted};
pub use key::{AttestationKey, Vouched};
pub use layout::{KeyKind, Pcrs, Public, Quote, Selection, Signature};
pub(crate) use parse::rsa_key;
pub use parse::{parse_public, parse_quote, parse_signature};
pub use refusal::TpmRefusal;
pub use verify::{Facts, PINNED_ROOTS, verify};
