//! Claims: signed statements of those a policy lets speak. `docs/formats/claim.md` is their page, `docs/rules.md` what follows from them.
//!
//! A claim is a COSE_Sign1 with Ed25519 over deterministic CBOR. Authentic is one thing, believed another: [`AuthenticClaim`]
//! says that its issuer signed it, and [`crate::infer`] whether the policy takes its issuer's word for that.

pub mod says;
pub mod scope;

use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::controls::holds;
use evidence::cose::{self, CoseError, Sign1};
use evidence::{ContentDigest, DomainRoot, IssuerKey, StatementKey, Time, Window};
use thiserror::Error;

use crate::signing::{SigningError, SigningKey};

pub use says::{Basis, Country, Says, Source, Standing};
pub use scope::{Scope, Topic};

/// The external AAD of every claim: what is signed as a claim is nothing else.
pub const LABEL: &str = "casemate-claim@v1";
/// The longest claim names a source and a place; none needs more.
pub const LEN_MAX: usize = 4096;
const VERSION: u64 = 1;

/// Who says what, to whom, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The domain it speaks to. Only facts about the world (releases, builds, places) may leave it open.
    pub domain: Option<DomainRoot>,
    /// Who says it.
    pub issuer: IssuerKey,
    /// When it holds.
    pub window: Window,
    /// What.
    pub says: Says,
}

/// A claim that its issuer signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticClaim {
    claim: Claim,
    digest: ContentDigest,
    bytes: Vec<u8>,
}

/// Why bytes are no claim.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimError {
    /// Not a COSE_Sign1 of ours, or its signature does not verify.
    #[error("claim: {0}")]
    Cose(#[from] CoseError),
    /// Malformed.
    #[error("claim: {0}")]
    Form(#[from] CborError),
    /// Ends before it begins.
    #[error("claim: holds from {from} to {to}, which is never; make it again")]
    Window {
        /// First second.
        from: Time,
        /// Last second.
        to: Time,
    },
    /// What only a domain can be told, told to all.
    #[error("claim: `{0}` names no domain, and only what is so everywhere may leave it open")]
    Domainless(&'static str),
    /// Cannot be signed.
    #[error("claim: {0}")]
    Signing(#[from] SigningError),
}

impl Claim {
    /// The payload that is signed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let domain = self.domain.map_or(Value::Null, |d| Value::Bytes(d.as_bytes().to_vec()));
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, domain),
            (3, Value::Bytes(self.issuer.as_bytes().to_vec())),
            (4, self.window.not_before.unix().into()),
            (5, self.window.not_after.unix().into()),
            (6, self.says.encode()),
        ]))
    }

    fn decode(payload: &[u8]) -> Result<Self, ClaimError> {
        let mut f = Fields::decode(payload, LEN_MAX)?;
        f.version(VERSION)?;
        let domain = match f.take(2, "domain")? {
            Value::Null => None,
            Value::Bytes(b) => Some(DomainRoot::from_slice(&b).ok_or(CborError::Field("domain"))?),
            _ => return Err(CborError::Field("domain").into()),
        };
        let issuer = f.named(3, "issuer", IssuerKey::from_slice)?;
        let (from, to) = (f.int(4, "not_before")?, f.int(5, "not_after")?);
        let (from, to) = (Time::from_unix(from), Time::from_unix(to));
        let says = Says::decode(f.take(6, "says")?)?;
        f.finish()?;
        let claim =
            Self { domain, issuer, window: Window { not_before: from, not_after: to }, says };
        claim.sensible()?;
        Ok(claim)
    }

    fn sensible(&self) -> Result<(), ClaimError> {
        let Window { not_before: from, not_after: to } = self.window;
        let in_order = Time::from_unix(0) <= from && from <= to && to <= Time::MAX;
        if !holds("claim_order", in_order) {
            return Err(ClaimError::Window { from, to });
        }
        let addressed = self.domain.is_some() || self.says.is_of_the_world();
        if !holds("claim_domainless", addressed) {
            return Err(ClaimError::Domainless(self.says.verb()));
        }
        Ok(())
    }

    /// Signs it with the issuer's key, whose public part becomes its issuer.
    ///
    /// # Errors
    /// [`ClaimError`]: what no reader would take is not signed.
    pub fn sign(mut self, key: &SigningKey) -> Result<AuthenticClaim, ClaimError> {
        self.issuer = key.issuer();
        self.sensible()?;
        let payload = self.encode();
        let signature = key.sign_raw(&cose::to_be_signed(LABEL, &payload))?;
        AuthenticClaim::verify(&cose::assemble(payload, signature))
    }
}

impl AuthenticClaim {
    /// The claim, if its issuer signed exactly these bytes.
    ///
    /// 1. the form of COSE, 2. who it says it is from, 3. that key's signature, 4. everything else.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn verify(bytes: &[u8]) -> Result<Self, ClaimError> {
        // 1
        let signed = Sign1::parse(bytes, LEN_MAX)?;
        // 2: of unsigned bytes only the key to try is read
        let issuer = Fields::decode(signed.unverified(), LEN_MAX)?.named(
            3,
            "issuer",
            IssuerKey::from_slice,
        )?;
        // 3
        let payload = signed.verify(&StatementKey::new(*issuer.as_bytes()), LABEL)?;
        // 4
        let claim = Claim::decode(payload)?;
        Ok(Self { claim, digest: ContentDigest::of(payload), bytes: bytes.to_vec() })
    }

    /// The claim.
    #[must_use]
    pub const fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Its name: SHA-384 of the signed payload, so that one claim signed twice is one claim.
    #[must_use]
    pub const fn digest(&self) -> ContentDigest {
        self.digest
    }

    /// The bytes as they came.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl core::fmt::Display for Claim {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let issuer = self.issuer.to_string();
        let short = issuer.get(..12).unwrap_or(&issuer);
        write!(f, "key {short}… says: {}", self.says)?;
        write!(f, " (from {} to {}", self.window.not_before, self.window.not_after)?;
        match self.domain {
            Some(domain) => write!(f, ", to domain {domain})"),
            None => f.write_str(", to whoever takes its word)"),
        }
    }
}

#[cfg(test)]
mod tests;
