//! Intel's hierarchy (Intel SGX PCK Certificate and Certificate Revocation List Profile Specification, section 1): the root
//! signs both PCK authorities and the TCB signing key; an authority signs PCK certificates and the list of those it revoked.
//! Every certificate has its place by name: a genuine one is refused in another's.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use super::pck::PckCa;
use super::pem;
use super::refusal::DcapRefusal;
use crate::bytes::sha256;
use crate::controls::holds;
use crate::time::{Time, Window};
use crate::x509::crl::Crl;
use crate::x509::{Certificate, Scheme};

const SCHEMES: &[Scheme] = &[Scheme::EcdsaP256Sha256];
/// Basic constraints and key usage: the critical extensions that are understood, and checked where they matter.
const UNDERSTOOD: [&str; 2] = ["2.5.29.19", "2.5.29.15"];

/// A place in the hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Root,
    PckCa,
    Pck,
    TcbSigner,
}

impl Role {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Root => "root CA",
            Self::PckCa => "PCK CA",
            Self::Pck => "PCK",
            Self::TcbSigner => "TCB signing",
        }
    }

    fn fits(self, c: &Certificate) -> bool {
        let cn = c.subject_cn();
        match self {
            Self::Root => cn == "Intel SGX Root CA" && c.is_ca(),
            Self::PckCa => pck_ca(c).is_some() && c.is_ca(),
            Self::Pck => cn == "Intel SGX PCK Certificate" && !c.is_ca(),
            Self::TcbSigner => cn == "Intel SGX TCB Signing" && !c.is_ca(),
        }
    }
}

/// Which PCK authority a certificate is, by its name.
pub(super) fn pck_ca(c: &Certificate) -> Option<PckCa> {
    match c.subject_cn() {
        "Intel SGX PCK Platform CA" => Some(PckCa::Platform),
        "Intel SGX PCK Processor CA" => Some(PckCa::Processor),
        _ => None,
    }
}

/// Reads a certificate and checks that it is in its place.
pub(super) fn read(role: Role, der: &[u8]) -> Result<Certificate, DcapRefusal> {
    let name = role.name();
    let c = Certificate::parse(der).map_err(|source| DcapRefusal::Certificate { name, source })?;
    if !holds("dcap_role", role.fits(&c)) {
        return Err(DcapRefusal::Role { name, subject: c.subject_text().to_owned() });
    }
    let strange = c.extensions().find(|(oid, critical)| *critical && !UNDERSTOOD.contains(oid));
    if let Some((oid, _)) = strange.filter(|_| !holds("dcap_critical_extension", false)) {
        return Err(DcapRefusal::CriticalExtension { name, oid: oid.to_owned() });
    }
    Ok(c)
}

/// Refuses a certificate that `issuer` did not sign.
pub(super) fn issued(
    role: Role,
    c: &Certificate,
    issuer: &Certificate,
    by: Role,
) -> Result<(), DcapRefusal> {
    if holds("dcap_chain_signature", c.is_signed_by(issuer, SCHEMES)) {
        return Ok(());
    }
    Err(DcapRefusal::ChainSignature { name: role.name(), issuer: by.name() })
}

/// The certificates of a chain, which has as many as its place in the hierarchy makes it have.
pub(super) fn chain<const N: usize>(
    what: &'static str,
    pem: &[u8],
) -> Result<[Vec<u8>; N], DcapRefusal> {
    exactly(what, pem::certificates(what, pem)?)
}

/// As many as `N`.
pub(super) fn exactly<const N: usize>(
    what: &'static str,
    certificates: Vec<Vec<u8>>,
) -> Result<[Vec<u8>; N], DcapRefusal> {
    let got = certificates.len();
    certificates.try_into().map_err(|_| DcapRefusal::ChainLength { what, expected: N, got })
}

/// The end of a chain: `root`, or, which refuses, another one.
pub(super) fn end_of_chain(
    what: &'static str,
    end: &[u8],
    root: &Certificate,
) -> Result<Option<Certificate>, DcapRefusal> {
    if end == root.der() {
        return Ok(None);
    }
    // A root counts by its bytes, never by its name: pre-production roots of Intel have the name of the real one.
    if !holds("dcap_one_root", false) {
        return Err(DcapRefusal::UntrustedRoot { what, root: described(end) });
    }
    read(Role::Root, end).map(Some)
}

/// A root for people: its subject and SHA-256.
pub(super) fn described(der: &[u8]) -> String {
    let digest = hex::encode(sha256(der));
    let subject = Certificate::parse(der).map(|c| c.subject_text().to_owned());
    format!("{:?} ({digest})", subject.unwrap_or_else(|e| e.to_string()))
}

/// Reads a revocation list and checks that `issuer` signed it.
pub(super) fn list(
    name: &'static str,
    der: &[u8],
    issuer: &Certificate,
    by: Role,
) -> Result<Crl, DcapRefusal> {
    let crl = Crl::parse(der).map_err(|source| DcapRefusal::Crl { name, source })?;
    if !holds("dcap_crl_signature", crl.is_signed_by(issuer, SCHEMES)) {
        return Err(DcapRefusal::CrlSignature { name, issuer: by.name() });
    }
    if let Some(oid) = crl.critical_extensions().first()
        && !holds("dcap_crl_critical_extension", false)
    {
        return Err(DcapRefusal::CriticalExtension { name, oid: oid.clone() });
    }
    Ok(crl)
}

/// Refuses a certificate that a list names.
pub(super) fn not_revoked(role: Role, c: &Certificate, by: &Crl) -> Result<(), DcapRefusal> {
    if holds("dcap_certificate_revoked", !by.revokes(c)) {
        return Ok(());
    }
    Err(DcapRefusal::Revoked { name: role.name(), serial: hex::encode(c.serial()) })
}

/// Refuses what is not in force.
pub(super) fn in_force(what: &'static str, window: Window, at: Time) -> Result<(), DcapRefusal> {
    if holds("dcap_window", window.contains(at)) {
        return Ok(());
    }
    Err(DcapRefusal::Window { what, window, at })
}

/// True if the key with this point made the signature r and s, 32 bytes each.
pub(super) fn signed_raw(point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
}
