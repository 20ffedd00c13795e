//! Bytes to quotes, keys and signatures. TPM structures are big-endian, with lengths before what they count.

use super::layout::{KeyKind, LEN_MAX, MAGIC, PCRS, Public, QUOTE, Quote, Selection, Signature};
use super::refusal::TpmRefusal;
use crate::tcg::Bank;
use crate::x509::Scheme;

/// Most selections of a quote.
const SELECTIONS_MAX: u32 = 8;

struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(what: &'static str, bytes: &'a [u8]) -> Result<Self, TpmRefusal> {
        if bytes.len() > LEN_MAX {
            return Err(TpmRefusal::TooLong { what, got: bytes.len() });
        }
        Ok(Self { what, rest: bytes })
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], TpmRefusal> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(TpmRefusal::Form(self.what))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TpmRefusal> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn u16(&mut self) -> Result<u16, TpmRefusal> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, TpmRefusal> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, TpmRefusal> {
        self.array().map(u64::from_be_bytes)
    }

    fn sized(&mut self) -> Result<&'a [u8], TpmRefusal> {
        let len = self.u16()?;
        self.take(len.into())
    }

    fn end(&self) -> Result<(), TpmRefusal> {
        if self.rest.is_empty() { Ok(()) } else { Err(TpmRefusal::Form(self.what)) }
    }
}

/// Reads a TPMS_ATTEST of type quote, to its exact end.
///
/// # Errors
/// [`TpmRefusal`].
pub fn parse_quote(bytes: &[u8]) -> Result<Quote, TpmRefusal> {
    let mut r = Reader::new("TPMS_ATTEST", bytes)?;
    let magic = r.u32()?;
    if magic != MAGIC {
        return Err(TpmRefusal::Magic(magic));
    }
    let kind = r.u16()?;
    if kind != QUOTE {
        return Err(TpmRefusal::Type(kind));
    }
    let (qualified_signer, extra_data) = (r.sized()?.to_vec(), r.sized()?.to_vec());
    let (clock, reset_count, restart_count) = (r.u64()?, r.u32()?, r.u32()?);
    let safe = match r.array()? {
        [0] => false,
        [1] => true,
        [got] => return Err(TpmRefusal::Unknown { what: "safe", got: got.into() }),
    };
    let firmware_version = r.u64()?;
    let count = r.u32()?;
    if count > SELECTIONS_MAX {
        return Err(TpmRefusal::Unknown { what: "number of PCR selections", got: count });
    }
    let mut selections: Vec<Selection> = Vec::new();
    for _ in 0..count {
        let id = r.u16()?;
        let unknown = TpmRefusal::Unknown { what: "algorithm of a PCR bank", got: id.into() };
        let bank = Bank::of(id).filter(|b| selections.iter().all(|s| s.bank != *b));
        let bank = bank.ok_or(unknown)?;
        let [len] = r.array()?;
        let bits = r.take(len.into())?;
        let is_set = |n: &u32| {
            let byte = usize::try_from(n / 8).ok().and_then(|at| bits.get(at)).copied();
            byte.unwrap_or_default().checked_shr(n % 8).unwrap_or_default() & 1 == 1
        };
        let beyond = bits.iter().skip(3).any(|b| *b != 0);
        if beyond {
            return Err(TpmRefusal::Unknown { what: "PCR beyond 23, in bank", got: id.into() });
        }
        selections.push(Selection { bank, pcrs: (0..PCRS).filter(is_set).collect() });
    }
    let pcr_digest = r.sized()?.to_vec();
    r.end()?;
    Ok(Quote {
        qualified_signer,
        extra_data,
        clock,
        reset_count,
        restart_count,
        safe,
        firmware_version,
        selections,
        pcr_digest,
    })
}

/// Reads a TPMT_SIGNATURE, or a bare signature as some agents pass it on: RSA of the modulus' length, or ECDSA in DER.
///
/// # Errors
/// [`TpmRefusal`].
pub fn parse_signature(bytes: &[u8], kind: KeyKind) -> Result<Signature, TpmRefusal> {
    let mut r = Reader::new("signature", bytes)?;
    let bare = match kind {
        KeyKind::Rsa => matches!(bytes.len(), 256 | 384 | 512),
        KeyKind::P256 | KeyKind::P384 => bytes.starts_with(&[0x30]),
    };
    if !bare {
        let (algorithm, hash) = (r.u16()?, r.u16()?);
        let unknown = TpmRefusal::Unknown { what: "signature algorithm", got: algorithm.into() };
        let weak = TpmRefusal::Unknown { what: "hash of the signature", got: hash.into() };
        let signature = match (algorithm, Bank::of(hash), kind) {
            (0x0014, Some(hash), KeyKind::Rsa) => {
                let scheme = rsa(hash).ok_or(weak)?;
                Signature { scheme, bytes: r.sized()?.to_vec() }
            }
            (0x0016, Some(hash), KeyKind::Rsa) => {
                let scheme = pss(hash).ok_or(weak)?;
                Signature { scheme, bytes: r.sized()?.to_vec() }
            }
            (0x0018, Some(hash), KeyKind::P256 | KeyKind::P384) => {
                let scheme = ecdsa(kind, hash).ok_or(weak)?;
                Signature { scheme, bytes: der(r.sized()?, r.sized()?) }
            }
            _ => return Err(unknown),
        };
        r.end()?;
        return Ok(signature);
    }
    let scheme = match kind {
        KeyKind::Rsa => Scheme::RsaPkcs1Sha256,
        KeyKind::P256 => Scheme::EcdsaP256Sha256,
        KeyKind::P384 => Scheme::EcdsaP384Sha384,
    };
    Ok(Signature { scheme, bytes: bytes.to_vec() })
}

const fn rsa(hash: Bank) -> Option<Scheme> {
    match hash {
        Bank::Sha256 => Some(Scheme::RsaPkcs1Sha256),
        Bank::Sha384 => Some(Scheme::RsaPkcs1Sha384),
        Bank::Sha512 => Some(Scheme::RsaPkcs1Sha512),
        Bank::Sha1 | Bank::Sm3 => None,
    }
}

const fn pss(hash: Bank) -> Option<Scheme> {
    match hash {
        Bank::Sha256 => Some(Scheme::RsaPssSha256),
        Bank::Sha384 => Some(Scheme::RsaPssSha384),
        Bank::Sha1 | Bank::Sha512 | Bank::Sm3 => None,
    }
}

const fn ecdsa(kind: KeyKind, hash: Bank) -> Option<Scheme> {
    match (kind, hash) {
        (KeyKind::P256, Bank::Sha256) => Some(Scheme::EcdsaP256Sha256),
        (KeyKind::P256, Bank::Sha384) => Some(Scheme::EcdsaP256Sha384),
        (KeyKind::P384, Bank::Sha256) => Some(Scheme::EcdsaP384Sha256),
        (KeyKind::P384, Bank::Sha384) => Some(Scheme::EcdsaP384Sha384),
        _ => None,
    }
}

/// SEQUENCE of two INTEGERs below 128 bytes, as a P-384 signature's are.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let short = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
    let body = [integer(r), integer(s)].concat();
    [&[0x30, short(body.len())], body.as_slice()].concat()
}

/// An unsigned INTEGER.
fn integer(big_endian: &[u8]) -> Vec<u8> {
    let mut digits = big_endian.iter().skip_while(|b| **b == 0).copied().collect::<Vec<_>>();
    if digits.first().is_none_or(|b| *b >= 0x80) {
        digits.insert(0, 0);
    }
    let len = digits.len();
    // Up to 127 bytes in short form, else with two bytes of length: a modulus.
    let mut out = vec![0x02];
    match u8::try_from(len) {
        Ok(len) if len < 0x80 => out.push(len),
        _ => {
            out.push(0x82);
            out.extend(u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    out.extend(digits);
    out
}

/// An RSAPublicKey.
pub(crate) fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let body = [integer(modulus), integer(exponent)].concat();
    let len = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[0x30, 0x82], len.as_slice(), body.as_slice()].concat()
}

/// Reads a TPMT_PUBLIC of a signing key, RSA or on P-256 or P-384.
///
/// # Errors
/// [`TpmRefusal`].
pub fn parse_public(bytes: &[u8]) -> Result<Public, TpmRefusal> {
    let mut r = Reader::new("TPMT_PUBLIC", bytes)?;
    let (kind, _name_alg, attributes) = (r.u16()?, r.u16()?, r.u32()?);
    let _policy = r.sized()?;
    let symmetric = r.u16()?;
    if symmetric != 0x0010 {
        // TPM_ALG_NULL: a restricted signing key has no symmetric algorithm; others are storage keys.
        return Err(TpmRefusal::Unknown { what: "symmetric algorithm", got: symmetric.into() });
    }
    let scheme = r.u16()?;
    if scheme != 0x0010 {
        r.u16()?;
    }
    let public = match kind {
        0x0001 => {
            let (_bits, exponent) = (r.u16()?, r.u32()?);
            let exponent = if exponent == 0 { 65_537 } else { exponent };
            let key = rsa_key(r.sized()?, &exponent.to_be_bytes());
            Public { attributes, key, kind: KeyKind::Rsa }
        }
        0x0023 => {
            let (curve, kdf) = (r.u16()?, r.u16()?);
            if kdf != 0x0010 {
                return Err(TpmRefusal::Unknown { what: "key derivation", got: kdf.into() });
            }
            let (kind, len) = match curve {
                0x0003 => (KeyKind::P256, 32_usize),
                0x0004 => (KeyKind::P384, 48),
                got => return Err(TpmRefusal::Unknown { what: "curve", got: got.into() }),
            };
            let mut key = vec![4];
            for coordinate in [r.sized()?, r.sized()?] {
                let pad = len.checked_sub(coordinate.len());
                let pad = pad.ok_or(TpmRefusal::Form("TPMT_PUBLIC"))?;
                key.extend(core::iter::repeat_n(0, pad));
                key.extend(coordinate);
            }
            Public { attributes, key, kind }
        }
        got => return Err(TpmRefusal::Unknown { what: "type of key", got: got.into() }),
    };
    r.end()?;
    Ok(public)
}
