//! What a TPM signs (TCG TPM 2.0 Library, Part 2: TPMS_ATTEST, TPMT_SIGNATURE, TPMT_PUBLIC), as far as quotes go.

use std::collections::BTreeMap;

use crate::tcg::Bank;

/// TPM_GENERATED_VALUE: no key of a TPM that is restricted signs anything else that begins so.
pub const MAGIC: u32 = 0xff54_4347;
/// TPM_ST_ATTEST_QUOTE.
pub const QUOTE: u16 = 0x8018;
/// Longest TPMS_ATTEST, signature, public area taken.
pub const LEN_MAX: usize = 4096;
/// PCRs of a PC.
pub const PCRS: u32 = 24;

/// A selection of a bank's PCRs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The bank.
    pub bank: Bank,
    /// Indices, ascending.
    pub pcrs: Vec<u32>,
}

/// A TPMS_ATTEST of type quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// qualifiedSigner: the name of the key under its hierarchy.
    pub qualified_signer: Vec<u8>,
    /// extraData: what the caller wanted to be bound.
    pub extra_data: Vec<u8>,
    /// clock, in milliseconds the TPM was powered.
    pub clock: u64,
    /// resetCount.
    pub reset_count: u32,
    /// restartCount.
    pub restart_count: u32,
    /// safe: the clock has not gone back.
    pub safe: bool,
    /// firmwareVersion.
    pub firmware_version: u64,
    /// pcrSelect.
    pub selections: Vec<Selection>,
    /// pcrDigest.
    pub pcr_digest: Vec<u8>,
}

/// A public key and what its TPM promises of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public {
    /// objectAttributes.
    pub attributes: u32,
    /// The key as [`crate::x509::Scheme`] takes it: an RSAPublicKey, or a point.
    pub key: Vec<u8>,
    /// RSA or a curve.
    pub kind: KeyKind,
}

/// Kinds of keys that sign quotes here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA.
    Rsa,
    /// ECC on P-256.
    P256,
    /// ECC on P-384.
    P384,
}

/// A signature and how it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Its scheme.
    pub scheme: crate::x509::Scheme,
    /// As that scheme takes it: RSA bytes, or ECDSA in DER.
    pub bytes: Vec<u8>,
}

/// Values of PCRs by bank, as they come beside a quote: the digest in the quote says whether they are these.
pub type Pcrs = BTreeMap<Bank, BTreeMap<u32, Vec<u8>>>;
