//! Signed manifests: COSE_Sign1 over an unsigned one (draft-ietf-rats-corim, signed-corim).
//!
//! The caller names the key; nothing in the object chooses one, and certificates in it are refused by their header's number.
//! Refused: MACs, other content types, algorithms other than the key's, signatures outside their validity, two signers.

use super::{Corim, CorimError, LEN_MAX, seconds, window};
use crate::cbor::vendor::{self, Item, Lengths, Rules};
use crate::controls::holds;
use crate::cose::key::EcKey;
use crate::cose::vendor::{Algorithm, Signed, TAG_SIGN1, VendorCoseError};
use crate::{Time, Window};

/// Longest signed header.
const HEADER_MAX: usize = 4096;
/// What a signed manifest says it is.
const CONTENT_TYPE: &str = "application/rim+cbor";

/// A signed manifest, its signature not yet looked at.
#[derive(Clone, Debug)]
pub struct SignedCorim<'a> {
    signed: Signed<'a>,
    algorithm: i128,
    meta: Meta,
}

/// Who signed, in the signer's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The signer's name.
    pub signer: String,
    /// When the signature counts, where that is said.
    pub validity: Option<Window>,
}

impl<'a> SignedCorim<'a> {
    /// Takes it apart.
    ///
    /// # Errors
    /// [`CorimError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, CorimError> {
        let signed = Signed::parse(bytes, LEN_MAX)?;
        if signed.tag != Some(TAG_SIGN1) {
            return Err(CorimError::Form("signed manifest", "a tagged COSE_Sign1"));
        }
        let mut header = decode(signed.protected)?
            .members()
            .ok_or(CorimError::Form("signed header", "a map"))?;
        let algorithm = header.must(1, "algorithm", "a number", |i| i.int())?;
        let content = header.must(3, "content type", "a text", |i| i.text())?;
        header.may(4, "key id", "bytes", |i| i.bytes())?;
        let meta = header.may(8, "meta", "bytes", |i| i.bytes())?.map(meta).transpose()?;
        let cwt = header.may(15, "CWT claims", "a map", Some)?.map(cwt).transpose()?;
        if let Some(other) = header.rest().into_iter().next() {
            return Err(VendorCoseError::Header(other).into());
        }
        if !holds("corim_content_type", content == CONTENT_TYPE) {
            return Err(CorimError::ContentType(content.to_owned()));
        }
        let meta = match (meta, cwt) {
            (Some(a), Some(b)) if !holds("corim_one_signer", a == b) => {
                return Err(CorimError::Signer("two signers"));
            }
            (Some(one), _) | (None, Some(one)) => one,
            (None, None) => return Err(CorimError::Signer("no signer")),
        };
        Ok(Self { signed, algorithm, meta })
    }

    /// The manifest, if that key signed it and both are in force.
    ///
    /// # Errors
    /// [`CorimError`].
    pub fn verify(
        &self,
        key: &EcKey,
        profiles: &[&str],
        at: Time,
    ) -> Result<(Meta, Corim), CorimError> {
        let expected = Algorithm::of_curve(key.curve());
        if !holds("corim_algorithm", i128::from(expected.cose()) == self.algorithm) {
            return Err(VendorCoseError::Algorithm(self.algorithm).into());
        }
        self.signed.verify_by(key)?;
        let valid = self.meta.validity.is_none_or(|w| w.contains(at));
        if !holds("corim_signature_window", valid) {
            return Err(CorimError::SignatureNotInForce);
        }
        Ok((self.meta.clone(), Corim::parse(self.signed.payload, profiles, at)?))
    }
}

fn decode(bytes: &[u8]) -> Result<Item<'_>, CorimError> {
    let rules = Rules { len_max: HEADER_MAX, lengths: Lengths::Definite };
    Ok(vendor::decode(bytes, &rules)?)
}

fn meta(bytes: &[u8]) -> Result<Meta, CorimError> {
    let mut map = decode(bytes)?.members().ok_or(CorimError::Form("meta", "a map"))?;
    let mut who = map.must(0, "signer", "a map", Item::members)?;
    let signer = who.must(0, "signer's name", "a text", |i| i.text().map(str::to_owned))?;
    who.may(1, "signer's URI", "a URI", |i| {
        if let Item::Tag(32, uri) = i { uri.text() } else { i.text() }
    })?;
    who.finish()?;
    let validity = map.may(1, "validity", "a map", Some)?.map(window).transpose()?;
    map.finish()?;
    Ok(Meta { signer, validity })
}

fn cwt(item: Item<'_>) -> Result<Meta, CorimError> {
    let mut map = item.members().ok_or(CorimError::Form("CWT claims", "a map"))?;
    let signer = map.must(1, "issuer", "a text", |i| i.text().map(str::to_owned))?;
    map.may(2, "subject", "a text", |i| i.text())?;
    let until = map.may(4, "expiry", "a time", seconds)?;
    let from = map.may(5, "not-before", "a time", seconds)?;
    map.finish()?;
    let validity = (until.is_some() || from.is_some()).then(|| Window {
        not_before: from.unwrap_or(Time::from_unix(i64::MIN)),
        not_after: until.unwrap_or(Time::from_unix(i64::MAX)),
    });
    Ok(Meta { signer, validity })
}
