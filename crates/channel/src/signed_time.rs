//! Time as the authority says it, over the caller's nonce (I12): the host owns this machine's clock, so a program's
//! proxy takes the authority's word and only measures how much time went by since. `docs/formats/signed-time.md` is the page.

use core::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::controls::holds;
use evidence::{DomainRoot, Nonce, Time};
use thiserror::Error;

use crate::credential::P256Key;

/// Header of a request: the caller's nonce, hex.
pub const NONCE_HEADER: &str = "casemate-nonce";
/// Header of every answer to one: [`SignedTime`], base64.
pub const TIME_HEADER: &str = "casemate-time";
/// An answer that took longer says too little about now.
pub const INTERVAL_MAX: Duration = Duration::from_secs(10);
const LABEL: &str = "casemate signed time";
const VERSION: u64 = 1;
const LEN_MAX: usize = 1024;

/// What the authority says about now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeClaim {
    /// The domain.
    pub domain: DomainRoot,
    /// The caller's nonce.
    pub nonce: Nonce,
    /// The authority's time.
    pub time: Time,
    /// Version of the policy in force.
    pub policy: u64,
    /// Number of the newest revocation.
    pub revocation: u64,
}

/// The claim with a signature of the key in the authority's credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTime {
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// Why signed time is not taken.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeRefusal {
    /// The answer carries none, or a malformed one.
    #[error("signed time: {0}; the authority speaks another version")]
    Form(#[from] CborError),
    /// Not the authority's signature.
    #[error("signed time: not signed by the authority's key; somebody stands between")]
    Signature,
    /// It answers another question, or for another domain.
    #[error(
        "signed time: it answers another nonce or speaks for another domain; an old answer was replayed"
    )]
    Nonce,
    /// The answer took too long to say anything about now.
    #[error("signed time: the answer took {} s, at most {} are taken; the host or network holds it back", .0.as_secs(), INTERVAL_MAX.as_secs())]
    Interval(Duration),
}

impl TimeClaim {
    /// Deterministic CBOR: what is signed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, LABEL.into()),
            (3, Value::Bytes(self.domain.as_bytes().to_vec())),
            (4, Value::Bytes(self.nonce.as_bytes().to_vec())),
            (5, self.time.unix().into()),
            (6, self.policy.into()),
            (7, self.revocation.into()),
        ]))
    }

    fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut f = Fields::decode(bytes, LEN_MAX)?;
        f.version(VERSION)?;
        if f.text(2, "label")? != LABEL {
            return Err(CborError::Field("label"));
        }
        let claim = Self {
            domain: f.named(3, "domain", DomainRoot::from_slice)?,
            nonce: f.named(4, "nonce", Nonce::from_slice)?,
            time: Time::from_unix(f.int(5, "time")?),
            policy: f.uint(6, "policy")?,
            revocation: f.uint(7, "revocation")?,
        };
        f.finish()?;
        Ok(claim)
    }
}

impl SignedTime {
    /// Puts claim and signature together.
    #[must_use]
    pub fn new(claim: &TimeClaim, sign: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<Self> {
        let payload = claim.encode();
        let signature = sign(&payload)?;
        Some(Self { payload, signature })
    }

    /// As the header carries it.
    #[must_use]
    pub fn to_header(&self) -> String {
        let bytes = |b: &[u8]| Value::Bytes(b.to_vec());
        let parts = Value::Array(vec![bytes(&self.payload), bytes(&self.signature)]);
        BASE64_STANDARD.encode(cbor::encode(&parts))
    }

    /// Reads that.
    ///
    /// # Errors
    /// [`TimeRefusal::Form`].
    pub fn from_header(text: &str) -> Result<Self, TimeRefusal> {
        let form = || TimeRefusal::Form(CborError::Field("signed time"));
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| form())?;
        let parts = cbor::decode(&bytes, LEN_MAX)?.into_array().map_err(|_| form())?;
        let Ok([payload, signature]) = <[Value; 2]>::try_from(parts) else { return Err(form()) };
        let payload = payload.into_bytes().map_err(|_| form())?;
        let signature = signature.into_bytes().map_err(|_| form())?;
        Ok(Self { payload, signature })
    }

    /// The claim, if the authority's `key` signed it over `nonce` for `domain`, within `interval` of the question.
    ///
    /// 1. signature, 2. form, 3. nonce and domain, 4. interval.
    ///
    /// # Errors
    /// [`TimeRefusal`].
    pub fn verify(
        &self,
        key: &P256Key,
        domain: DomainRoot,
        nonce: &Nonce,
        interval: Duration,
    ) -> Result<TimeClaim, TimeRefusal> {
        // 1
        if !holds("time_signature", key.verifies(&self.payload, &self.signature)) {
            return Err(TimeRefusal::Signature);
        }
        // 2
        let claim = TimeClaim::decode(&self.payload)?;
        // 3
        if !holds("time_nonce", claim.nonce == *nonce && claim.domain == domain) {
            return Err(TimeRefusal::Nonce);
        }
        // 4
        if !holds("time_interval", interval <= INTERVAL_MAX) {
            return Err(TimeRefusal::Interval(interval));
        }
        Ok(claim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::LeafKey;
    use evidence::controls::without;

    #[test]
    fn an_answer_that_was_held_back_says_nothing_about_now() {
        let key = LeafKey::generate().unwrap();
        let (domain, nonce) = (DomainRoot::new([1; 32]), Nonce::new([2; 32]));
        let claim = TimeClaim { domain, nonce, time: Time::from_unix(7), policy: 1, revocation: 2 };
        let signed = SignedTime::new(&claim, |m| key.sign(m)).unwrap();
        let signed = SignedTime::from_header(&signed.to_header()).unwrap();
        let public = P256Key::from_spki(key.spki()).unwrap();
        let after = |interval| signed.verify(&public, domain, &nonce, interval);
        assert_eq!(after(INTERVAL_MAX), Ok(claim));
        let late = INTERVAL_MAX.saturating_add(Duration::from_millis(1));
        assert_eq!(after(late), Err(TimeRefusal::Interval(late)));
        assert_eq!(without("time_interval", || after(late)), Ok(claim));
        for junk in ["", "AAAA", "!", "gkA="] {
            assert!(SignedTime::from_header(junk).is_err(), "{junk}");
        }
    }
}
