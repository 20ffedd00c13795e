//! Credentials: X.509-SVIDs with what the authority found out about their holder. `docs/formats/credential.md` is the page.
//!
//! A credential counts only under a CA key that k of n owners endorsed; the SPIFFE profile (X509-SVID sections 2 to 5)
//! is checked rule by rule. What is checked over bytes is checked over the received bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use evidence::cbor::{self, CborError, Fields};
use evidence::controls::holds;
use evidence::statement::HostOs;
use evidence::{
    ContentDigest, DomainRoot, Isolation, Kind, Measurement, SpkiDigest, StatementKey, Time, Window,
};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use thiserror::Error;
use trust::{EndorsedAuthority, RoleName};
use webpki::{EndEntityCert, anchor_from_trusted_cert};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    BasicConstraints as Basic, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
};

/// The extension that carries [`Credential`]: RFC 5612's arc for documentation, until a number is assigned.
pub const EXTENSION: &[u64] = &[1, 3, 6, 1, 4, 1, 32473, 1, 1];
const EXTENSION_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.1.1");
const ID_KP_SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const ID_KP_CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const LEN_MAX: usize = 4096;
/// Longest certificate.
pub const DER_MAX: usize = 16 * 1024;
const VERSION: u64 = 1;
/// How long before its issuance a credential is in force, for clocks that differ.
const SKEW_SECS: i64 = crate::admission::client::SKEW_SECS_MAX;

/// What the authority vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The domain.
    pub domain: DomainRoot,
    /// The role.
    pub role: RoleName,
    /// The program.
    pub measurement: Measurement,
    /// The key of the monitor that speaks for it.
    pub statement_key: StatementKey,
    /// The hardware underneath.
    pub kind: Kind,
    /// How far isolation holds.
    pub isolation: Isolation,
    /// The operating system around.
    pub host: HostOs,
    /// Its key can be exported by the program: good for credential mode only (I14).
    pub exportable: bool,
    /// Version of the policy that admitted it.
    pub policy: u64,
    /// Digest of the proof.
    pub proof: ContentDigest,
    /// Its entry in the log.
    pub log_index: u64,
}

impl Credential {
    /// The extension's content.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let bytes = |b: &[u8]| ciborium::Value::Bytes(b.to_vec());
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, bytes(self.domain.as_bytes())),
            (3, self.role.as_str().into()),
            (4, bytes(self.measurement.as_bytes())),
            (5, bytes(self.statement_key.as_bytes())),
            (6, self.kind.as_str().into()),
            (7, self.isolation.as_str().into()),
            (8, self.host.as_str().into()),
            (9, self.exportable.into()),
            (10, self.policy.into()),
            (11, bytes(self.proof.as_bytes())),
            (12, self.log_index.into()),
        ]))
    }

    fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut f = Fields::decode(bytes, LEN_MAX)?;
        f.version(VERSION)?;
        let credential = Self {
            domain: f.named(2, "domain", DomainRoot::from_slice)?,
            role: RoleName::new(&f.text(3, "role")?).ok_or(CborError::Field("role"))?,
            measurement: f.named(4, "measurement", Measurement::from_slice)?,
            statement_key: f.named(5, "statement_key", StatementKey::from_slice)?,
            kind: Kind::parse(&f.text(6, "kind")?).ok_or(CborError::Field("kind"))?,
            isolation: Isolation::parse(&f.text(7, "isolation")?)
                .ok_or(CborError::Field("isolation"))?,
            host: HostOs::parse(&f.text(8, "host")?).ok_or(CborError::Field("host"))?,
            exportable: f.boolean(9, "exportable")?,
            policy: f.uint(10, "policy")?,
            proof: f.named(11, "proof", ContentDigest::from_slice)?,
            log_index: f.uint(12, "log_index")?,
        };
        f.finish()?;
        Ok(credential)
    }
}

/// Why a credential is refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialRefusal {
    /// The peer shows none, or more than a leaf and its issuer.
    #[error("peer shows {0} certificates, expected one or two (leaf, issuer)")]
    Count(usize),
    /// Not a certificate.
    #[error("certificate cannot be read")]
    Form,
    /// The CA key is not the one the owners endorsed.
    #[error(
        "certificate authority key {got} is not the one the owners endorsed ({expected}); it may speak for nobody here"
    )]
    Authority {
        /// Endorsed.
        expected: SpkiDigest,
        /// Found.
        got: SpkiDigest,
    },
    /// The CA did not sign it, it is out of its window, or not for this use.
    #[error("certificate is not valid under the endorsed authority at {at}: {why}")]
    Chain {
        /// What the path check said.
        why: String,
        /// The time asked about.
        at: Time,
    },
    /// A rule of the SPIFFE profile.
    #[error("not an X509-SVID: {0}")]
    Profile(&'static str),
    /// The extension is missing or malformed.
    #[error(
        "credential extension is missing or malformed; the certificate was not issued by casemate"
    )]
    Extension,
    /// It names another domain than the authority's.
    #[error("credential of domain {got}, expected {expected}")]
    Domain {
        /// Ours.
        expected: DomainRoot,
        /// The credential's.
        got: DomainRoot,
    },
}

/// A domain whose authority the owners endorsed: what credentials are verified against. One domain only, so bundles
/// of two domains cannot be merged.
#[derive(Clone, Debug)]
pub struct DomainTrust {
    authority: EndorsedAuthority,
    ca: CertificateDer<'static>,
    root: DomainRoot,
    seen: Arc<Mutex<Seen>>,
}

/// Credentials that were verified under this trust, by the digest of their certificate. A signature over the same bytes
/// by the same key holds for ever; the window is judged anew each time. Oldest out first.
#[derive(Debug, Default)]
struct Seen {
    by_digest: HashMap<ContentDigest, VerifiedCredential>,
    order: VecDeque<ContentDigest>,
}

/// Peers remembered: about half a megabyte.
const SEEN_MAX: usize = 1024;

impl Seen {
    fn keep(&mut self, digest: ContentDigest, credential: VerifiedCredential) {
        if self.by_digest.insert(digest, credential).is_none() {
            self.order.push_back(digest);
        }
        if self.order.len() > SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_digest.remove(&oldest);
        }
    }
}

impl DomainTrust {
    /// The trust in `ca`, if its key is the endorsed one.
    ///
    /// # Errors
    /// [`CredentialRefusal::Form`], [`CredentialRefusal::Authority`].
    pub fn new(authority: EndorsedAuthority, ca: &[u8]) -> Result<Self, CredentialRefusal> {
        let got = spki_digest(ca)?;
        let expected = authority.endorsement().ca;
        if !holds("endorsed_authority", got == expected) {
            return Err(CredentialRefusal::Authority { expected, got });
        }
        let root = authority.genesis().root();
        let ca = CertificateDer::from(ca.to_vec());
        Ok(Self { authority, ca, root, seen: Arc::default() })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The domain root.
    #[must_use]
    pub const fn root(&self) -> DomainRoot {
        self.root
    }

    /// The endorsed authority.
    #[must_use]
    pub const fn authority(&self) -> &EndorsedAuthority {
        &self.authority
    }

    /// The CA certificate, DER.
    #[must_use]
    pub fn ca(&self) -> &[u8] {
        &self.ca
    }
}

/// A credential that holds.
#[derive(Clone, Debug)]
pub struct VerifiedCredential {
    credential: Credential,
    spki: SpkiDigest,
    window: Window,
    spiffe_id: String,
}

impl VerifiedCredential {
    fn holds_at(&self, at: Time) -> bool {
        self.window.contains(at)
    }

    /// What the authority vouches for.
    #[must_use]
    pub const fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The key it is for.
    #[must_use]
    pub const fn spki(&self) -> SpkiDigest {
        self.spki
    }

    /// When it is in force.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// Its SPIFFE id.
    #[must_use]
    pub fn spiffe_id(&self) -> &str {
        &self.spiffe_id
    }

    /// When a new one is to be fetched: before half the life that is left, a little differently for everybody, as the
    /// random byte says.
    #[must_use]
    pub fn renew_at(&self, now: Time, [jitter]: [u8; 1]) -> Time {
        let life = self.window.not_after.unix().saturating_sub(now.unix()).max(2);
        let part = life.saturating_mul(i64::from(jitter)).div_euclid(255 * 10);
        now.plus_secs(life.div_euclid(2).saturating_sub(part).max(1))
    }
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo.
///
/// # Errors
/// [`CredentialRefusal::Form`].
pub fn spki_digest(certificate: &[u8]) -> Result<SpkiDigest, CredentialRefusal> {
    let der = CertificateDer::from(certificate);
    let cert = EndEntityCert::try_from(&der).map_err(|_| CredentialRefusal::Form)?;
    Ok(SpkiDigest::of_der(&cert.subject_public_key_info()))
}

/// The key of a credential's certificate.
///
/// # Errors
/// [`CredentialRefusal::Form`], also for keys that are never certified here.
pub fn leaf_key(certificate: &[u8]) -> Result<P256Key, CredentialRefusal> {
    let der = CertificateDer::from(certificate);
    let cert = EndEntityCert::try_from(&der).map_err(|_| CredentialRefusal::Form)?;
    P256Key::from_spki(&cert.subject_public_key_info()).ok_or(CredentialRefusal::Form)
}

/// The credential of a chain (leaf first), if everything about it holds at `at`.
///
/// 1. one or two certificates, 2. path to the endorsed CA, window, use, 3. the SPIFFE profile, 4. the extension, 5. the domain.
///
/// # Errors
/// [`CredentialRefusal`], the first that applies.
pub fn verify(
    chain: &[CertificateDer<'_>],
    trust: &DomainTrust,
    at: Time,
) -> Result<VerifiedCredential, CredentialRefusal> {
    // 1
    let leaf = match chain {
        [leaf] | [leaf, _] if leaf.len() <= DER_MAX => leaf,
        _ => return Err(CredentialRefusal::Count(chain.len())),
    };
    let digest = ContentDigest::of(leaf);
    if let Some(known) = trust.seen().by_digest.get(&digest)
        && known.holds_at(at)
    {
        return Ok(known.clone());
    }
    // 2
    let seconds = u64::try_from(at.unix()).unwrap_or(0);
    let time = UnixTime::since_unix_epoch(core::time::Duration::from_secs(seconds));
    let refused = |e: webpki::Error| CredentialRefusal::Chain { why: e.to_string(), at };
    let cert = EndEntityCert::try_from(leaf).map_err(|_| CredentialRefusal::Form)?;
    let anchor = anchor_from_trusted_cert(&trust.ca).map_err(refused)?;
    let algorithms = &[webpki::aws_lc_rs::ECDSA_P256_SHA256];
    let anchors = core::slice::from_ref(&anchor);
    // Once, for servers: that it is for clients too, its profile says, and a second walk would cost a signature more.
    let usage = webpki::KeyUsage::server_auth();
    let path = cert.verify_for_usage(algorithms, anchors, &[], time, usage, None, None).map(drop);
    if !holds("credential_path", path.is_ok()) {
        path.map_err(refused)?;
    }
    // 3, 4, 5
    let verified = read(leaf, trust)?;
    trust.seen().keep(digest, verified.clone());
    Ok(verified)
}

/// What a certificate says whose path was checked before.
fn read(
    leaf: &CertificateDer<'_>,
    trust: &DomainTrust,
) -> Result<VerifiedCredential, CredentialRefusal> {
    let cert = x509_cert::Certificate::from_der(leaf).map_err(|_| CredentialRefusal::Form)?;
    let tbs = cert.tbs_certificate();
    let spiffe_id = profile(tbs)?;
    let extension =
        tbs.extensions().and_then(|all| all.iter().find(|e| e.extn_id == EXTENSION_OID));
    let extension = extension.ok_or(CredentialRefusal::Extension)?;
    let credential = Credential::decode(extension.extn_value.as_bytes())
        .map_err(|_| CredentialRefusal::Extension)?;
    if !holds("credential_domain", credential.domain == trust.root) {
        return Err(CredentialRefusal::Domain { expected: trust.root, got: credential.domain });
    }
    let named = trust.authority.genesis().domain.spiffe_id(&credential.role);
    if !holds("credential_role", spiffe_id == named) {
        return Err(CredentialRefusal::Profile("SPIFFE id and role differ"));
    }
    let secs = |t: &x509_cert::time::Time| {
        Time::from_unix(i64::try_from(t.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
    };
    let window = Window {
        not_before: secs(&tbs.validity().not_before),
        not_after: secs(&tbs.validity().not_after),
    };
    let spki = tbs.subject_public_key_info().to_der().map_err(|_| CredentialRefusal::Form)?;
    Ok(VerifiedCredential { credential, spki: SpkiDigest::of_der(&spki), window, spiffe_id })
}

/// The rules of X509-SVID that a path check does not know.
fn profile(tbs: &x509_cert::TbsCertificate) -> Result<String, CredentialRefusal> {
    let no = CredentialRefusal::Profile;
    let (_, names) = tbs
        .get_extension::<SubjectAltName>()
        .map_err(|_| CredentialRefusal::Form)?
        .ok_or(no("no subject alternative name"))?;
    let uris = names.0.iter().filter_map(|n| {
        if let GeneralName::UniformResourceIdentifier(u) = n { Some(u.as_str()) } else { None }
    });
    let uris = uris.collect::<Vec<_>>();
    let id = uris.first().filter(|_| holds("svid_one_uri", uris.len() == 1));
    let id = *id.ok_or(no("not exactly one URI name"))?;
    let path = id.strip_prefix("spiffe://").and_then(|r| r.split_once('/')).map(|(_, path)| path);
    if !holds("svid_path", path.is_some_and(|p| !p.is_empty())) {
        return Err(no("a leaf's SPIFFE id has a path"));
    }
    let basic = tbs.get_extension::<Basic>().map_err(|_| CredentialRefusal::Form)?;
    if !holds("svid_leaf", !basic.is_some_and(|(_, b)| b.ca)) {
        return Err(no("a leaf is no certificate authority"));
    }
    let usage = tbs.get_extension::<KeyUsage>().map_err(|_| CredentialRefusal::Form)?;
    let Some((critical, KeyUsage(bits))) = usage else { return Err(no("key usage is missing")) };
    if !holds("svid_key_usage", critical && bits.contains(KeyUsages::DigitalSignature)) {
        return Err(no("key usage is not critical digitalSignature"));
    }
    let purposes = tbs.get_extension::<ExtendedKeyUsage>().map_err(|_| CredentialRefusal::Form)?;
    let purposes = purposes.map(|(_, ExtendedKeyUsage(all))| all).unwrap_or_default();
    let both = [ID_KP_SERVER_AUTH, ID_KP_CLIENT_AUTH].iter().all(|p| purposes.contains(p));
    if !holds("credential_purposes", both) {
        return Err(no("extended key usage is not server and client authentication"));
    }
    let signs = bits.contains(KeyUsages::KeyCertSign) || bits.contains(KeyUsages::CRLSign);
    if !holds("svid_signs_nothing", !signs) {
        return Err(no("a leaf signs no certificates"));
    }
    Ok(id.to_owned())
}

/// A certificate authority inside an authority program.
#[derive(Debug)]
pub struct Ca {
    certificate: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

/// Why a certificate cannot be made.
#[derive(Debug, Error)]
#[error("certificate cannot be made: {0}")]
pub struct IssueError(#[from] rcgen::Error);

impl Ca {
    /// A fresh CA key, and its certificate. The PKCS#8 bytes are for sealing.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn create(
        domain: &str,
        window: Window,
    ) -> Result<(Self, platform::Secret<Vec<u8>>), IssueError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let pkcs8 = platform::Secret::new(key.serialize_der());
        Ok((Self::with_key(domain, window, key)?, pkcs8))
    }

    /// The CA of a key that was sealed.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn restore(
        domain: &str,
        window: Window,
        pkcs8: &platform::Secret<Vec<u8>>,
    ) -> Result<Self, IssueError> {
        Self::with_key(domain, window, KeyPair::try_from(pkcs8.expose().as_slice())?)
    }

    fn with_key(domain: &str, window: Window, key: KeyPair) -> Result<Self, IssueError> {
        let mut params = params(window)?;
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("{domain} authority"));
        params.subject_alt_names = vec![SanType::URI(format!("spiffe://{domain}").try_into()?)];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.der().to_vec();
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// The CA certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// A credential for the key with this SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn issue(
        &self,
        spiffe_id: &str,
        spki: &[u8],
        credential: &Credential,
        window: Window,
    ) -> Result<Vec<u8>, IssueError> {
        let mut params =
            params(Window { not_before: window.not_before.plus_secs(-SKEW_SECS), ..window })?;
        params.subject_alt_names = vec![SanType::URI(spiffe_id.try_into()?)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.custom_extensions =
            vec![CustomExtension::from_oid_content(EXTENSION, credential.encode())];
        let key = P256Key::from_spki(spki).ok_or(rcgen::Error::UnsupportedSignatureAlgorithm)?;
        Ok(params.signed_by(&key, &self.issuer)?.der().to_vec())
    }
}

/// An uncompressed P-256 public key, the one kind of key that is certified.
#[derive(Debug)]
pub struct P256Key([u8; 65]);

/// DER of a SubjectPublicKeyInfo of P-256 up to the point.
const P256_PREFIX: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

impl P256Key {
    /// Reads a DER SubjectPublicKeyInfo of exactly this kind.
    #[must_use]
    pub fn from_spki(spki: &[u8]) -> Option<Self> {
        let point = spki.strip_prefix(P256_PREFIX)?;
        (point.first() == Some(&4)).then(|| point.try_into().ok().map(Self)).flatten()
    }

    /// True if this key made the signature (ECDSA with SHA-256, DER) over `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = aws_lc_rs::signature::UnparsedPublicKey::new(
            &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1,
            &self.0,
        );
        key.verify(message, signature).is_ok()
    }
}

impl rcgen::PublicKeyData for P256Key {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

fn params(window: Window) -> Result<CertificateParams, IssueError> {
    let mut params = CertificateParams::new(Vec::new())?;
    let date = |t: Time| {
        let text = t.to_string();
        let part = |a, b| text.get(a..b).and_then(|p| p.parse::<u8>().ok()).unwrap_or(1);
        let year = text.get(0..4).and_then(|p| p.parse().ok()).unwrap_or(1970);
        let seconds = t.unix().rem_euclid(86_400);
        rcgen::date_time_ymd(year, part(5, 7), part(8, 10))
            .saturating_add(time::Duration::seconds(seconds))
    };
    params.not_before = date(window.not_before);
    params.not_after = date(window.not_after);
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| rcgen::Error::RingUnspecified)?;
    if let Some(first) = serial.first_mut() {
        *first &= 0x7f;
    }
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = rcgen::DistinguishedName::new();
    Ok(params)
}
