//! Trust: who is trusted for what, written down by owners, and the decisions that follow from it.
//!
//! The domain file ([`domain`]) compiles to a [`policy`]; k of n owners sign it ([`signing`]) under a [`genesis`]
//! whose hash is the domain root. [`decide`] takes a *set* of policies and authentic facts, derives a principal with a
//! role by a few fixed rules (`docs/rules.md`), asks Cedar for its permissions, and returns a proof with the answer.
//! This crate is pure: time is an argument, files are read by whoever calls it.
#![forbid(unsafe_code)]

pub mod ask;
pub mod claim;
pub mod claims;
pub mod decide;
pub mod describe;
pub mod diff;
pub mod domain;
pub mod endorsement;
pub mod genesis;
pub mod infer;
mod names;
pub mod pending;
pub mod permission;
pub mod policy;
pub mod profiles;
pub mod proof;
pub mod revocation;
pub mod role_secret;
pub mod signing;
pub mod succession;
pub mod suppose;

pub use claim::{AuthenticClaim, Claim};
pub use claims::Claims;
pub use decide::{Context, Decision, Grant, Refusal, decide};
pub use domain::DomainFile;
pub use endorsement::{AuthorityEndorsement, EndorsedAuthority};
pub use genesis::Genesis;
pub use names::{DomainName, RoleName};
pub use pending::{Pending, Subject};
pub use policy::{Policy, PolicyInForce, Program};
pub use revocation::{Revocation, Revocations, Revoked};
pub use succession::SignerChange;
