//! What SGX and TDX quotes are verified by alike: a PCK certificate under the pinned root vouches for the quoting enclave, that
//! for the attestation key, that for the quote. With collateral kept this costs three P-256 verifications.

use super::chain::{Role, end_of_chain, exactly, in_force, issued, not_revoked, pck_ca, read};
use super::chain::{described, signed_raw};
use super::layout::{Certification, EnclaveReport, INTEL_VENDOR, Quote, Tee};
use super::parse::enclave_report;
use super::pck::{self, Pck};
use super::pem;
use super::refusal::DcapRefusal;
use super::tcb::{Tcb, TdSvns, evaluate};
use super::verified::VerifiedCollateral;
use crate::authentic::Check;
use crate::bytes::{RootDigest, sha256};
use crate::controls::holds;
use crate::time::{Time, Window};
use crate::x509::Certificate;

const PCK_CHAIN: &str = "PCK certificate chain";

/// Whether collateral is about the platform it was offered for. Genuine collateral of another platform, or of the other TEE,
/// says nothing about this one; it does not make the quote a forgery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// TCB info is for this TEE.
    pub tcb_info_tee: bool,
    /// TCB info is for this FMSPC.
    pub fmspc: bool,
    /// TCB info is for this PCE-ID.
    pub pce_id: bool,
    /// QE identity is for this TEE, and then the quoting enclave is as it says.
    pub qe_identity: bool,
    /// The revocation list is of the authority that issued the PCK certificate, and does not name it.
    pub pck_crl: bool,
}

impl Fit {
    const fn all(self) -> bool {
        self.tcb_info_tee && self.fmspc && self.pce_id && self.qe_identity && self.pck_crl
    }
}

/// What is known of the platform that made an authentic quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// The pinned root its chain ends in.
    pub root: RootDigest,
    /// VERSION of the quote.
    pub version: u16,
    /// USER_DATA of the quote.
    pub user_data: [u8; 20],
    /// The platform, as its PCK certificate describes it.
    pub pck: Pck,
    /// The quoting enclave's report.
    pub qe: EnclaveReport,
    /// Certification data type of the quote.
    pub certification: u16,
    /// Whether the collateral is about it.
    pub fit: Fit,
    /// What the collateral says of its TCB.
    pub tcb: Tcb,
    /// FMSPC of TCB info.
    pub tcb_info_fmspc: [u8; 6],
    /// What TCB info is for.
    pub tcb_info_tee: Tee,
    /// `tcbEvaluationDataNumber` of TCB info.
    pub tcb_info_evaluation: u32,
    /// `tcbEvaluationDataNumber` of QE identity.
    pub qe_identity_evaluation: u32,
    /// When everything this rests on is in force.
    pub window: Window,
    /// Bytes behind the quote.
    pub trailing: usize,
    /// All of them are zero, as drivers pad their buffers.
    pub trailing_zero: bool,
}

/// A quote whose signatures hold, before its TCB is evaluated.
pub(crate) struct Signed<'a> {
    quote: &'a Quote<'a>,
    collateral: &'a VerifiedCollateral,
    root: RootDigest,
    pck: Pck,
    qe: EnclaveReport,
    fit: Fit,
    window: Window,
}

/// Verifies what both kinds of quote share.
///
/// 1. the collateral is in force, 2. the PCK certificate: root, authority, leaf, revocation, windows, 3. its signature over the
/// quoting enclave's report, 4. that report over the attestation key, 5. its signature over the quote, 6. vendor, 7. the quoting
/// enclave is the one Intel names.
pub(crate) fn verify<'a>(
    quote: &'a Quote<'a>,
    collateral: &'a VerifiedCollateral,
    at: Time,
) -> Result<Signed<'a>, DcapRefusal> {
    // 1
    in_force("the collateral", collateral.window(), at)?;
    // 2
    let chain = pck_chain(quote, collateral, at)?;
    // 3
    let made = signed_raw(chain.leaf.key(), quote.qe_report, quote.qe_signature);
    if !holds("dcap_qe_report_signature", made) {
        return Err(DcapRefusal::QeReportSignature);
    }
    let qe = enclave_report(quote.qe_report)?;
    // 4
    let digest = sha256(&[quote.key, quote.qe_auth].concat());
    let (named, rest) = qe.report_data.split_at(digest.len());
    if !holds("dcap_qe_report_data", named == digest && rest.iter().all(|b| *b == 0)) {
        return Err(DcapRefusal::QeReportData);
    }
    // 5
    let point = [&[4], quote.key].concat();
    if !holds("dcap_quote_signature", signed_raw(&point, quote.signed, quote.signature)) {
        return Err(DcapRefusal::QuoteSignature);
    }
    // 6
    if !holds("dcap_vendor", quote.header.vendor == INTEL_VENDOR) {
        return Err(DcapRefusal::Vendor(hex::encode(quote.header.vendor)));
    }
    // 7
    let (tee, info, identity) = (quote.header.tee, &collateral.tcb_info, &collateral.qe_identity);
    let qe_identity = holds("dcap_qe_identity_tee", identity.tee == tee);
    if qe_identity
        && let Some(field) = identity.differs(&qe)
        && !holds("dcap_qe_identity", false)
    {
        return Err(DcapRefusal::QeIdentity { field });
    }
    let fit = Fit {
        tcb_info_tee: holds("dcap_tcb_info_tee", info.tee == tee),
        fmspc: holds("dcap_fmspc", info.fmspc == chain.pck.fmspc),
        pce_id: holds("dcap_pce_id", info.pce_id == chain.pck.pce_id),
        qe_identity,
        pck_crl: holds("dcap_pck_crl", chain.listed),
    };
    let window = collateral.window().intersect(&chain.window);
    let root = collateral.digest;
    Ok(Signed { quote, collateral, root, pck: chain.pck, qe, fit, window })
}

impl Signed<'_> {
    /// The platform with its TCB evaluated, if the collateral is about it.
    pub(crate) fn platform(self, td: Option<&TdSvns>) -> Platform {
        let Self { quote, collateral, root, pck, qe, fit, window } = self;
        let (info, identity) = (&collateral.tcb_info, &collateral.qe_identity);
        let tcb =
            if fit.all() { evaluate(info, identity, &pck, qe.isv_svn, td) } else { Tcb::unknown() };
        Platform {
            root,
            version: quote.header.version,
            user_data: quote.header.user_data,
            pck,
            qe,
            certification: quote.certification.number(),
            fit,
            tcb,
            tcb_info_fmspc: info.fmspc,
            tcb_info_tee: info.tee,
            tcb_info_evaluation: info.evaluation,
            qe_identity_evaluation: identity.evaluation,
            window,
            trailing: quote.trailing.len(),
            trailing_zero: quote.trailing.iter().all(|b| *b == 0),
        }
    }
}

impl Platform {
    /// What was checked on the way here.
    pub(crate) fn checks(&self) -> Vec<Check> {
        let ca = self.pck.ca.as_str();
        vec![
            Check::passed("chain", format!("PCK under the {ca} CA, root {}", self.root)),
            Check::passed("qe_report_signature", "ECDSA P-256 by the PCK over the QE's report"),
            Check::passed("qe_report_data", "the QE's report vouches for the attestation key"),
            Check::passed("quote_signature", "ECDSA P-256 over header and body as received"),
            Check::passed(
                "collateral",
                format!("in force from {} to {}", self.window.not_before, self.window.not_after),
            ),
        ]
    }
}

/// A PCK certificate whose chain holds.
struct PckChain {
    leaf: Certificate,
    pck: Pck,
    /// When leaf and authority are in force.
    window: Window,
    /// The collateral's revocation list is its authority's.
    listed: bool,
}

fn pck_chain(
    quote: &Quote<'_>,
    collateral: &VerifiedCollateral,
    at: Time,
) -> Result<PckChain, DcapRefusal> {
    let [leaf, ca, end] = certificates(quote, collateral.pck_chain.as_deref())?;
    let other = end_of_chain(PCK_CHAIN, &end, &collateral.root)?;
    let root = other.as_ref().unwrap_or(&collateral.root);
    // The authority is mostly the one whose list came along, and then already verified.
    let read_ca;
    let ca = if ca == collateral.pck_ca.der() {
        &collateral.pck_ca
    } else {
        read_ca = read(Role::PckCa, &ca)?;
        issued(Role::PckCa, &read_ca, root, Role::Root)?;
        not_revoked(Role::PckCa, &read_ca, &collateral.root_crl)?;
        in_force("PCK CA certificate", read_ca.window(), at)?;
        &read_ca
    };
    let leaf = read(Role::Pck, &leaf)?;
    issued(Role::Pck, &leaf, ca, Role::PckCa)?;
    // Two authorities may have one name: the list is this one's if the key is the same, too.
    let listed =
        ca.subject() == collateral.pck_ca.subject() && ca.spki() == collateral.pck_ca.spki();
    if listed {
        not_revoked(Role::Pck, &leaf, &collateral.pck_crl)?;
    }
    in_force("PCK certificate", leaf.window(), at)?;
    let pck = pck_ca(ca).and_then(|ca| pck::parse(&leaf, ca)).ok_or(DcapRefusal::PckExtension)?;
    let window = leaf.window().intersect(&ca.window());
    Ok(PckChain { leaf, pck, window, listed })
}

/// Leaf, authority and root: the quote's own, or where it has none those that came with the collateral.
fn certificates(
    quote: &Quote<'_>,
    beside: Option<&[Vec<u8>]>,
) -> Result<[Vec<u8>; 3], DcapRefusal> {
    let list = match (quote.certification, beside) {
        (Certification::Chain(pem), _) => pem::certificates_of_quote(pem)?,
        (Certification::Elsewhere(_), Some(list)) => list.to_vec(),
        (Certification::Elsewhere(kind), None) => return Err(DcapRefusal::NoPck(kind)),
    };
    exactly(PCK_CHAIN, list)
}

/// What can be said of a quote's chain without collateral: refuses one that has none, or ends in a root that is not pinned.
/// What passes is not verified.
///
/// # Errors
/// [`DcapRefusal`].
pub fn check_root(quote: &Quote<'_>, roots: &[RootDigest]) -> Result<(), DcapRefusal> {
    let [_, _, end] = certificates(quote, None)?;
    if roots.contains(&RootDigest::new(sha256(&end))) {
        return Ok(());
    }
    Err(DcapRefusal::UntrustedRoot { what: PCK_CHAIN, root: described(&end) })
}
