//! Certificate revocation lists (RFC 5280 section 5): who signed one, when it holds, which serial numbers it names.

use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use x509_cert::certificate::Raw;

use super::{Certificate, Scheme, X509Error, signed_part, time};
use crate::time::{Time, Window};

/// Vendors' lists are below 1 MiB.
pub const LEN_MAX: usize = 4 * 1024 * 1024;

/// A list as it stands; it counts only once somebody checked who signed it.
#[derive(Clone, Debug)]
pub struct Crl {
    tbs: Vec<u8>,
    signature: Vec<u8>,
    algorithm: ObjectIdentifier,
    issuer: Vec<u8>,
    window: Window,
    serials: Vec<Vec<u8>>,
    critical: Vec<String>,
}

impl Crl {
    /// Takes one apart. A list that does not say when the next one comes holds for ever and is refused.
    ///
    /// # Errors
    /// [`X509Error`].
    pub fn parse(der: &[u8]) -> Result<Self, X509Error> {
        if der.len() > LEN_MAX {
            return Err(X509Error::TooLong(der.len()));
        }
        let form = |_| X509Error::CrlForm;
        let list = x509_cert::crl::CertificateList::<Raw>::from_der(der).map_err(form)?;
        let tbs = &list.tbs_cert_list;
        let mut serials = tbs
            .revoked_certificates
            .iter()
            .flatten()
            .map(|r| r.serial_number.as_bytes().to_vec())
            .collect::<Vec<_>>();
        serials.sort_unstable();
        let of_entries = tbs.revoked_certificates.iter().flatten();
        let of_entries = of_entries.filter_map(|r| r.crl_entry_extensions.as_ref());
        let extensions = tbs.crl_extensions.iter().chain(of_entries).flatten();
        let critical = extensions.filter(|e| e.critical).map(|e| e.extn_id.to_string()).collect();
        Ok(Self {
            tbs: signed_part(der).ok_or(X509Error::CrlForm)?.to_vec(),
            signature: list.signature.as_bytes().ok_or(X509Error::CrlForm)?.to_vec(),
            algorithm: list.signature_algorithm.oid,
            issuer: tbs.issuer.to_der().map_err(form)?,
            window: Window {
                not_before: time(&tbs.this_update),
                not_after: time(&tbs.next_update.ok_or(X509Error::CrlForm)?),
            },
            serials,
            critical,
        })
    }

    /// Dotted names of its critical extensions, of the list and of its entries: whoever does not understand one must not
    /// rely on the list (RFC 5280 section 5.2), since it may be a part or a difference.
    #[must_use]
    pub fn critical_extensions(&self) -> &[String] {
        &self.critical
    }

    /// From thisUpdate to nextUpdate.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// How many certificates it revokes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.serials.len()
    }

    /// True if it revokes none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.serials.is_empty()
    }

    /// True if `issuer` is named as its issuer; whether it signed it is another question.
    #[must_use]
    pub fn is_of(&self, issuer: &Certificate) -> bool {
        self.issuer == issuer.subject()
    }

    /// True if `issuer` is named as its issuer and signed it by one of `schemes`.
    #[must_use]
    pub fn is_signed_by(&self, issuer: &Certificate, schemes: &[Scheme]) -> bool {
        self.issuer == issuer.subject()
            && schemes
                .iter()
                .filter(|s| s.oid() == self.algorithm)
                .any(|s| s.verify(issuer.key(), &self.tbs, &self.signature))
    }

    /// True if it is about `certificate` and names it.
    #[must_use]
    pub fn revokes(&self, certificate: &Certificate) -> bool {
        certificate.issuer() == self.issuer
            && self.serials.binary_search_by(|s| s.as_slice().cmp(certificate.serial())).is_ok()
    }

    /// True if it is in force at that time.
    #[must_use]
    pub fn holds_at(&self, at: Time) -> bool {
        self.window.contains(at)
    }
}
