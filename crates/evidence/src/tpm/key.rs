//! Who vouches for an attestation key. A value of [`AttestationKey`] exists only where somebody does: a certificate to a pinned root,
//! an authentic report or document that names the key, or the relying party itself.

use der::asn1::ObjectIdentifier;

use super::layout::{KeyKind, Public};
use super::refusal::TpmRefusal;
use crate::bytes::RootDigest;
use crate::controls::holds;
use crate::time::{Time, Window};
use crate::x509::path::{Path, order_path, verify_path};
use crate::x509::{Certificate, Scheme, Usage};

const SCHEMES: &[Scheme] = &[
    Scheme::RsaPkcs1Sha256,
    Scheme::RsaPkcs1Sha384,
    Scheme::RsaPkcs1Sha512,
    Scheme::EcdsaP256Sha256,
    Scheme::EcdsaP384Sha384,
];
/// Basic constraints, key usage and subject alternative names: the critical extensions that are understood. An AK's certificate names
/// its TPM in the last, and no decision here rests on that name.
const UNDERSTOOD: [&str; 3] = ["2.5.29.19", "2.5.29.15", "2.5.29.17"];
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// objectAttributes of a restricted signing key that never leaves its TPM, each with what lacks without it.
const ATTRIBUTES: [(u32, &str); 5] = [
    (1 << 1, "fixed to its TPM"),
    (1 << 4, "fixed to its parent"),
    (1 << 5, "made by its TPM"),
    (1 << 16, "restricted"),
    (1 << 18, "a signing key"),
];
const DECRYPT: u32 = 1 << 17;

/// Who vouches for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vouched {
    /// A certificate under this root.
    Certificate {
        /// SHA-256 of the root.
        root: RootDigest,
        /// Its certificate's issuer.
        issuer: String,
        /// Its certificate's subject.
        subject: String,
        /// Its certificate's window.
        window: Window,
    },
    /// Authentic evidence that names it: what kind.
    Evidence(&'static str),
    /// The relying party.
    RelyingParty,
}

/// A key somebody vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationKey {
    pub(super) key: Vec<u8>,
    pub(super) kind: KeyKind,
    pub(super) vouched: Vouched,
    /// When it is vouched for.
    pub(super) window: Window,
    /// Its attributes are those of an attestation key; none if nothing shows them.
    pub(super) attributes: Option<bool>,
}

/// Kind and bits of a SubjectPublicKeyInfo.
fn of_spki(spki: &[u8], bits: &[u8]) -> Result<KeyKind, TpmRefusal> {
    let names = |oid: &ObjectIdentifier| {
        let oid = oid.as_bytes();
        spki.windows(oid.len()).any(|w| w == oid)
    };
    match bits.len() {
        65 if names(&P256) => Ok(KeyKind::P256),
        97 if names(&P384) => Ok(KeyKind::P384),
        _ if names(&RSA) => Ok(KeyKind::Rsa),
        _ => Err(TpmRefusal::Usage("its key is neither RSA nor on P-256 or P-384")),
    }
}

impl AttestationKey {
    /// The key of a certificate whose path leads to a pinned root at `at`; `public` is its public area, where the TPM gave it.
    ///
    /// 1. the path, 2. the certificate is an attestation key's, 3. the public area is of the same key and of an attestation key.
    ///
    /// # Errors
    /// [`TpmRefusal`].
    pub fn certified(
        certificate: &[u8],
        others: &[Certificate],
        roots: &[RootDigest],
        public: Option<&Public>,
        at: Time,
    ) -> Result<Self, TpmRefusal> {
        // 1
        let leaf = Certificate::parse(certificate)?;
        let ordered = order_path(leaf, others, SCHEMES)?;
        let Path { certificates, root, window } = verify_path(ordered, roots, SCHEMES, at)?;
        // 2
        let leaf = certificates.first().ok_or(TpmRefusal::NoKey)?;
        if !holds("tpm_ak_leaf", !leaf.is_ca() && leaf.has_usage(Usage::DigitalSignature)) {
            return Err(TpmRefusal::Usage("it is an authority's, or of a key that signs nothing"));
        }
        for c in &certificates {
            let strange =
                c.extensions().any(|(oid, critical)| critical && !UNDERSTOOD.contains(&oid));
            if !holds("tpm_ak_critical_extension", !strange) {
                return Err(TpmRefusal::Usage(
                    "a critical extension of its path is not understood",
                ));
            }
        }
        let kind = of_spki(leaf.spki(), leaf.key())?;
        // 3
        if let Some(public) = public {
            let same = public.kind == kind && public.key == leaf.key();
            if !holds("tpm_ak_same_key", same) {
                return Err(TpmRefusal::OtherKey);
            }
        }
        let (issuer, subject) = (leaf.issuer_text().to_owned(), leaf.subject_text().to_owned());
        let vouched = Vouched::Certificate { root, issuer, subject, window: leaf.window() };
        let attributes = public.map(attributes).transpose()?;
        Ok(Self { key: leaf.key().to_vec(), kind, vouched, window, attributes })
    }

    /// A key the relying party says it trusts: a SubjectPublicKeyInfo or a TPMT_PUBLIC.
    ///
    /// # Errors
    /// [`TpmRefusal`].
    pub fn trusted(bytes: &[u8]) -> Result<Self, TpmRefusal> {
        let vouched = Vouched::RelyingParty;
        let window = Window { not_before: Time::MIN, not_after: Time::MAX };
        if let Ok(public) = super::parse::parse_public(bytes) {
            let attributes = Some(attributes(&public)?);
            return Ok(Self { key: public.key, kind: public.kind, vouched, window, attributes });
        }
        let bits = spki_bits(bytes).ok_or(TpmRefusal::Form("public key"))?;
        let kind = of_spki(bytes, &bits)?;
        Ok(Self { key: bits, kind, vouched, window, attributes: None })
    }

    /// A key that authentic evidence names.
    pub(crate) const fn named(
        key: Vec<u8>,
        kind: KeyKind,
        by: &'static str,
        window: Window,
    ) -> Self {
        Self { key, kind, vouched: Vouched::Evidence(by), window, attributes: None }
    }

    /// The pinned root its certificate leads to, if it has one.
    pub(super) const fn root(&self) -> Option<RootDigest> {
        match &self.vouched {
            Vouched::Certificate { root, .. } => Some(*root),
            Vouched::Evidence(_) | Vouched::RelyingParty => None,
        }
    }

    /// RSA or a curve.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }
}

/// True; refuses a public area of anything but an attestation key.
fn attributes(public: &Public) -> Result<bool, TpmRefusal> {
    for (bit, word) in ATTRIBUTES {
        if !holds("tpm_ak_attributes", public.attributes & bit != 0) {
            return Err(TpmRefusal::Attributes(word));
        }
    }
    if !holds("tpm_ak_attributes", public.attributes & DECRYPT == 0) {
        return Err(TpmRefusal::Attributes("for signing alone"));
    }
    Ok(true)
}

/// The bits of a SubjectPublicKeyInfo.
fn spki_bits(bytes: &[u8]) -> Option<Vec<u8>> {
    use der::Decode;
    use x509_cert::spki::SubjectPublicKeyInfoRef;
    let spki = SubjectPublicKeyInfoRef::from_der(bytes).ok()?;
    Some(spki.subject_public_key.as_bytes()?.to_vec())
}
