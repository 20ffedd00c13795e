//! Bytes to [`Authentic`] facts for NVIDIA devices.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};

use super::chain::{device, fwid, verify_chain};
use super::layout::{Facts, FieldId};
use super::parse::parse;
use super::refusal::NvidiaRefusal;
use super::revocation::Revocation;
use super::rim;
use crate::authentic::{Authentic, Check};
use crate::bytes::{Nonce, RootDigest, SpkiDigest};
use crate::controls::holds;
use crate::time::Time;

/// SHA-256 of the DER of "NVIDIA Device Identity CA".
pub const PINNED_ROOTS: [RootDigest; 1] =
    [RootDigest::pinned(b"102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48")];
/// Certificates looked at: a chain has five.
const CERTIFICATES_MAX: usize = 16;
/// Manifests looked at: a GPU has two.
const RIMS_MAX: usize = 8;
/// OCSP responses looked at: about three certificates of a device and three of each signer.
const RESPONSES_MAX: usize = 32;

/// A report and everything that came beside it; untrusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Request and response, byte for byte.
    pub report: Vec<u8>,
    /// The device's chain, DER, the leaf first.
    pub certificates: Vec<Vec<u8>>,
    /// Manifests, as NVIDIA's service gives them.
    pub rims: Vec<Vec<u8>>,
    /// OCSP responses about any of the certificates, DER.
    pub ocsp: Vec<Vec<u8>>,
}

/// Roots that chains may end in. A root of one kind is none of the other.
#[derive(Clone, Copy, Debug)]
pub struct Roots<'a> {
    /// Of devices.
    pub device: &'a [RootDigest],
    /// Of manifests' signers.
    pub rim: &'a [RootDigest],
}

/// What the relying party had asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// This nonce: a report that answers another one is a replay.
    Nonce(Nonce),
    /// Nobody says; the report may be of any age, and the result says so.
    Unstated,
}

/// Authentic facts, if a device whose chain ends in a pinned root signed the report and it answers the nonce. Manifests
/// and revocation statuses are judged too, each for itself; whether they are wanted is appraisal's question.
///
/// 1. form, 2. chain and windows, 3. the report's signature over the received bytes, 4. firmware id against the leaf,
///    5. nonce, 6. manifests, 7. revocation.
///
/// # Errors
/// [`NvidiaRefusal`], the first that applies.
pub fn verify(
    evidence: &Evidence,
    roots: &Roots<'_>,
    asked: Asked,
    at: Time,
) -> Result<Authentic<Facts>, NvidiaRefusal> {
    // 1
    let report = parse(&evidence.report)?;
    for (what, list, most) in [
        ("certificates", &evidence.certificates, CERTIFICATES_MAX),
        ("RIMs", &evidence.rims, RIMS_MAX),
        ("OCSP responses", &evidence.ocsp, RESPONSES_MAX),
    ] {
        if list.len() > most {
            return Err(NvidiaRefusal::TooMany { what, got: list.len(), most });
        }
    }
    // 2
    let chain = verify_chain(&evidence.certificates, roots.device, at)?;
    let leaf = chain.certificates.first().ok_or(NvidiaRefusal::NoChain)?;
    // 3
    let signed = evidence.report.get(..report.signed_len).unwrap_or_default();
    let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, leaf.key());
    if !holds("nvidia_report_signature", key.verify(signed, &report.signature).is_ok()) {
        return Err(NvidiaRefusal::ReportSignature(leaf.subject_text().to_owned()));
    }
    let mut checks = vec![
        Check::passed("chain", format!("{} under {}", leaf.subject_text(), chain.root)),
        Check::passed("report_signature", "ECDSA P-384 over request and response as received"),
    ];
    // 4
    checks.push(match report.opaque.get(FieldId::FWID) {
        Some(stated) => {
            let certified = fwid(leaf);
            if !holds("nvidia_fwid", certified.is_some_and(|c| c[..] == *stated)) {
                let certificate = certified.map_or("none".to_owned(), hex::encode);
                return Err(NvidiaRefusal::Fwid { report: hex::encode(stated), certificate });
            }
            Check::passed("fwid", "as in the leaf's DICE extension")
        }
        None => Check::not_applicable("fwid", "the report states none"),
    });
    // 5
    checks.push(match asked {
        Asked::Nonce(expected) => {
            if !holds("nvidia_nonce", expected == report.nonce) {
                return Err(NvidiaRefusal::Nonce { expected, got: report.nonce });
            }
            Check::passed("nonce", "the one asked for")
        }
        Asked::Unstated => Check::skipped("nonce", "nobody says what was asked for"),
    });
    // 6
    let judged = evidence.rims.iter().map(|bytes| rim::verify(bytes, roots.rim, at));
    let judged = judged.collect::<Vec<_>>();
    // 7
    let mut holds_until = chain.window.not_after;
    let mut paths = vec![chain.certificates.get(1..).unwrap_or_default()];
    for (_, signer) in judged.iter().flatten() {
        holds_until = holds_until.min(signer.window.not_after);
        paths.push(&signer.certificates);
    }
    let revocation = Revocation::of(&evidence.ocsp, &paths, at);
    holds_until = holds_until.min(revocation.holds_until);
    let facts = Facts {
        asked,
        device: device(leaf),
        root: chain.root,
        chain: chain.certificates.iter().map(|c| c.subject_text().to_owned()).collect(),
        identity: SpkiDigest::of_der(chain.certificates.get(1).unwrap_or(leaf).spki()),
        rims: judged.into_iter().map(|judged| judged.map(|(rim, _)| rim)).collect(),
        revocation,
        report,
    };
    Ok(Authentic::new(facts, at, holds_until, checks))
}
