//! Collateral whose signatures, chains, revocation lists and windows hold. Made once, it serves any number of quotes at any
//! time inside its window; what is left to check for each is the quote's own.

use super::chain::{Role, chain, described, end_of_chain, in_force, issued, list, not_revoked};
use super::chain::{read, signed_raw};
use super::collateral::Collateral;
use super::identity::QeIdentity;
use super::pem;
use super::refusal::DcapRefusal;
use super::tcb_info::TcbInfo;
use crate::bytes::{RootDigest, sha256};
use crate::controls::holds;
use crate::time::{Time, Window};
use crate::x509::Certificate;
use crate::x509::crl::Crl;

/// SHA-256 of the DER of the Intel SGX Root CA certificate (serial 22650cd65a9d3489f383b49552bf501b392706ac, until 2049).
pub const PINNED_ROOTS: [RootDigest; 1] =
    [RootDigest::pinned(b"44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3")];

/// Verified collateral.
#[derive(Clone, Debug)]
pub struct VerifiedCollateral {
    pub(super) digest: RootDigest,
    pub(super) root: Certificate,
    pub(super) root_crl: Crl,
    /// The authority whose revocation list came along; a quote's may be the other one.
    pub(super) pck_ca: Certificate,
    pub(super) pck_crl: Crl,
    pub(super) tcb_info: TcbInfo,
    pub(super) qe_identity: QeIdentity,
    /// For quotes that carry no PCK certificate; not yet verified.
    pub(super) pck_chain: Option<Vec<Vec<u8>>>,
    window: Window,
}

impl VerifiedCollateral {
    /// The pinned root everything in it ends in.
    #[must_use]
    pub const fn root(&self) -> RootDigest {
        self.digest
    }

    /// When all of it is in force.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// The last second at which it can be used (I6).
    #[must_use]
    pub const fn holds_until(&self) -> Time {
        self.window.not_after
    }

    /// TCB info.
    #[must_use]
    pub const fn tcb_info(&self) -> &TcbInfo {
        &self.tcb_info
    }

    /// The quoting enclave's identity.
    #[must_use]
    pub const fn qe_identity(&self) -> &QeIdentity {
        &self.qe_identity
    }
}

/// Verifies collateral for use at `at` and, kept, at any time inside [`VerifiedCollateral::window`].
///
/// 1. chains in form, the root pinned by its bytes, one root for all, 2. who the root signed, each in its place, 3. revocation
/// lists and that nobody so far is on them, 4. TCB info and QE identity over their exact texts, 5. what these say, in form,
/// 6. every window.
///
/// # Errors
/// [`DcapRefusal`], the first that applies.
pub fn verify_collateral(
    collateral: &Collateral,
    roots: &[RootDigest],
    at: Time,
) -> Result<VerifiedCollateral, DcapRefusal> {
    // 1, 2
    let what = "PCK CRL issuer chain";
    let [pck_ca, root] = chain(what, collateral.pck_crl_issuer_chain.as_bytes())?;
    let digest = RootDigest::new(sha256(&root));
    if !holds("dcap_pinned_root", roots.contains(&digest)) {
        return Err(DcapRefusal::UntrustedRoot { what, root: described(&root) });
    }
    // Its own signature would prove nothing: the bytes are pinned.
    let root = read(Role::Root, &root)?;
    let pck_ca = read(Role::PckCa, &pck_ca)?;
    issued(Role::PckCa, &pck_ca, &root, Role::Root)?;
    let (of_info, of_qe) =
        (&collateral.tcb_info_issuer_chain, &collateral.qe_identity_issuer_chain);
    let info_signer = signer("TCB info issuer chain", of_info, &root)?;
    let other = if of_info == of_qe {
        None
    } else {
        Some(signer("QE identity issuer chain", of_qe, &root)?)
    };
    let qe_signer = other.as_ref().unwrap_or(&info_signer);
    // 3
    let root_crl = list("root CA CRL", &collateral.root_ca_crl, &root, Role::Root)?;
    let pck_crl = list("PCK CRL", &collateral.pck_crl, &pck_ca, Role::PckCa)?;
    not_revoked(Role::Root, &root, &root_crl)?;
    not_revoked(Role::PckCa, &pck_ca, &root_crl)?;
    not_revoked(Role::TcbSigner, &info_signer, &root_crl)?;
    not_revoked(Role::TcbSigner, qe_signer, &root_crl)?;
    // 4, 5
    let info_text = signed_text(
        "TCB info",
        &collateral.tcb_info,
        &collateral.tcb_info_signature,
        &info_signer,
    )?;
    let tcb_info = TcbInfo::parse(info_text)?;
    let qe_text = signed_text(
        "QE identity",
        &collateral.qe_identity,
        &collateral.qe_identity_signature,
        qe_signer,
    )?;
    let qe_identity = QeIdentity::parse(qe_text)?;
    // 6
    let mut window = Window { not_before: Time::MIN, not_after: Time::MAX };
    for (what, part) in [
        ("TCB info", tcb_info.window),
        ("QE identity", qe_identity.window),
        ("root CA CRL", root_crl.window()),
        ("PCK CRL", pck_crl.window()),
        ("root CA certificate", root.window()),
        ("PCK CA certificate", pck_ca.window()),
        ("TCB signing certificate", info_signer.window()),
        ("TCB signing certificate", qe_signer.window()),
    ] {
        in_force(what, part, at)?;
        window = window.intersect(&part);
    }
    let pem = collateral.pck_certificate_chain.as_ref();
    let pck_chain = pem.map(|pem| pem::certificates("PCK certificate chain", pem.as_bytes()));
    let pck_chain = pck_chain.transpose()?;
    Ok(VerifiedCollateral {
        digest,
        root,
        root_crl,
        pck_ca,
        pck_crl,
        tcb_info,
        qe_identity,
        pck_chain,
        window,
    })
}

/// A TCB signing certificate under `root`.
fn signer(what: &'static str, pem: &str, root: &Certificate) -> Result<Certificate, DcapRefusal> {
    let [leaf, end] = chain(what, pem.as_bytes())?;
    let other = end_of_chain(what, &end, root)?;
    let signer = read(Role::TcbSigner, &leaf)?;
    issued(Role::TcbSigner, &signer, other.as_ref().unwrap_or(root), Role::Root)?;
    Ok(signer)
}

/// The text, if its signature holds over exactly these bytes.
fn signed_text<'a>(
    what: &'static str,
    text: &'a str,
    signature: &[u8],
    signer: &Certificate,
) -> Result<&'a str, DcapRefusal> {
    let made = signed_raw(signer.key(), text.as_bytes(), signature);
    if holds("dcap_json_signature", made) {
        Ok(text)
    } else {
        Err(DcapRefusal::JsonSignature(what))
    }
}
