//! COSE_Sign1 (RFC 9052) with Ed25519 (RFC 9864, algorithm -19), the one signature form of our own objects.
//!
//! The label of the object is the external AAD, so that a signature made for one purpose never verifies
//! for another. Vendor COSE (Nitro, CCA, PSA) is looser and has its own reader, [`vendor`].

pub mod anchor;
pub mod key;
pub mod vendor;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use ciborium::Value;
use thiserror::Error;

use crate::bytes::StatementKey;
use crate::cbor::{self, CborError};
use crate::controls::holds;

/// COSE algorithm identifier of Ed25519.
pub const ALG_ED25519: i64 = -19;

/// Why a signed object is refused.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CoseError {
    /// Not deterministic CBOR of the form COSE_Sign1.
    #[error("not a COSE_Sign1 of ours: {0}")]
    Form(#[from] CborError),
    /// The protected header names another algorithm or anything besides.
    #[error(
        "COSE protected header is not exactly {{1: -19}} (Ed25519); no other algorithm is accepted"
    )]
    Header,
    /// The signature does not verify under the expected key for the expected label.
    #[error(
        "COSE signature does not verify; the object was changed, or another key or purpose signed it"
    )]
    Signature,
}

/// A COSE_Sign1 taken apart, its signature not yet looked at.
#[derive(Debug, Clone)]
pub struct Sign1 {
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Sign1 {
    /// Takes the four parts apart.
    ///
    /// # Errors
    /// [`CoseError::Form`], [`CoseError::Header`].
    pub fn parse(bytes: &[u8], max: usize) -> Result<Self, CoseError> {
        let items =
            cbor::decode(bytes, max)?.into_array().map_err(|_| CborError::Field("COSE_Sign1"))?;
        let Ok([protected, unprotected, payload, signature]) = <[Value; 4]>::try_from(items) else {
            return Err(CborError::Field("COSE_Sign1").into());
        };
        if protected.as_bytes() != Some(&protected_header())
            || unprotected != Value::Map(Vec::new())
        {
            return Err(CoseError::Header);
        }
        Ok(Self {
            payload: payload.into_bytes().map_err(|_| CborError::Field("payload"))?,
            signature: signature.into_bytes().map_err(|_| CborError::Field("signature"))?,
        })
    }

    /// The payload before its signature is looked at: good for finding the key to try, and for nothing else.
    #[must_use]
    pub fn unverified(&self) -> &[u8] {
        &self.payload
    }

    /// The payload, if `key` signed it under `label`.
    ///
    /// # Errors
    /// [`CoseError::Signature`].
    pub fn verify(&self, key: &StatementKey, label: &str) -> Result<&[u8], CoseError> {
        let verified = UnparsedPublicKey::new(&ED25519, key.as_bytes())
            .verify(&to_be_signed(label, &self.payload), &self.signature);
        if !holds("cose_signature", verified.is_ok()) {
            return Err(CoseError::Signature);
        }
        Ok(&self.payload)
    }
}

/// The exact bytes an Ed25519 key signs for `payload` under `label`.
#[must_use]
pub fn to_be_signed(label: &str, payload: &[u8]) -> Vec<u8> {
    cbor::encode(&Value::Array(vec![
        "Signature1".into(),
        Value::Bytes(protected_header()),
        Value::Bytes(label.as_bytes().to_vec()),
        Value::Bytes(payload.to_vec()),
    ]))
}

/// Puts payload and signature together.
#[must_use]
pub fn assemble(payload: Vec<u8>, signature: Vec<u8>) -> Vec<u8> {
    cbor::encode(&Value::Array(vec![
        Value::Bytes(protected_header()),
        Value::Map(Vec::new()),
        Value::Bytes(payload),
        Value::Bytes(signature),
    ]))
}

fn protected_header() -> Vec<u8> {
    cbor::encode(&cbor::map(vec![(1, Value::from(ALG_ED25519))]))
}
