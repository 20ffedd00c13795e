//! What OCSP responses say about the certificates of a device's chain and of manifests' signers. NVIDIA's own verifier
//! asks about every certificate between root and leaf of a device, and about a manifest's signer too; so does this.

use super::chain::SCHEMES;
use crate::time::Time;
use crate::x509::Certificate;
use crate::x509::ocsp::{Answer, Ocsp, OcspError, Status};

/// One certificate and what is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateStatus {
    /// Its subject's common name.
    pub subject: String,
    /// What its issuer says; nothing if no response is about it; or why the response about it does not count.
    pub status: Result<Option<Status>, OcspError>,
}

/// Everything known about revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Responses that could not be read: whom they are about is not known.
    pub unreadable: Vec<OcspError>,
    /// Certificates whose status matters, in the order of the paths.
    pub certificates: Vec<CertificateStatus>,
    /// Earliest end of a response relied on.
    pub holds_until: Time,
}

impl Revocation {
    /// Asks `responses` about every certificate of `paths` that has an issuer above it in its path.
    pub(super) fn of(responses: &[Vec<u8>], paths: &[&[Certificate]], at: Time) -> Self {
        let (mut parsed, mut unreadable) = (Vec::new(), Vec::new());
        for der in responses {
            match Ocsp::parse(der) {
                Ok(response) => parsed.push(response),
                Err(e) => unreadable.push(e),
            }
        }
        let mut out = Self { unreadable, certificates: Vec::new(), holds_until: Time::MAX };
        // Two manifests may have one authority; it is asked about once.
        let mut seen = Vec::new();
        for path in paths {
            for (certificate, number) in path.iter().zip(1_usize..) {
                let authorities = path.get(number..).unwrap_or_default();
                if authorities.is_empty() || seen.contains(&certificate.der()) {
                    continue;
                }
                seen.push(certificate.der());
                let answer = worst(&parsed, certificate, authorities, at);
                if let Ok(Some(a)) = &answer {
                    out.holds_until = out.holds_until.min(a.window.not_after);
                }
                let status = answer.map(|a| a.map(|a| a.status));
                let subject = certificate.subject_cn().to_owned();
                out.certificates.push(CertificateStatus { subject, status });
            }
        }
        out
    }
}

/// The worst answer there is: a good one beside it does not undo a revocation.
fn worst(
    responses: &[Ocsp],
    certificate: &Certificate,
    authorities: &[Certificate],
    at: Time,
) -> Result<Option<Answer>, OcspError> {
    let rank = |a: &Answer| match a.status {
        Status::Good => 0,
        Status::Unknown => 1,
        Status::Hold { .. } => 2,
        Status::Revoked { .. } => 3,
    };
    let answers = responses.iter().map(|r| r.answer(certificate, authorities, &SCHEMES, at));
    let answers = answers.collect::<Result<Vec<_>, _>>()?;
    Ok(answers.into_iter().flatten().max_by_key(rank))
}
